"""A Data API that is slower than it is: what does the copy do when confirmation comes late?"""

from __future__ import annotations

from dataclasses import replace

from chalicelib.ports import ActivityFeed, ActivityPoll, Clock, Rules


class LaggedFeed:
    """Port ActivityFeed over another one: rows younger than the simulated lag are not there yet.

    Rows carry whole seconds, so all of a second, and with it all of a trade, appears at once. The
    setting is read with every poll; at 0 nothing is changed.
    """

    def __init__(self, feed: ActivityFeed, rules: Rules, clock: Clock) -> None:
        self._feed = feed
        self._rules = rules
        self._clock = clock

    def poll(
        self, wallet: str, since_seconds: int, until_seconds: int | None = None
    ) -> ActivityPoll:
        """The poll without its youngest rows. Raises Retryable."""
        poll = self._feed.poll(wallet, since_seconds, until_seconds)
        lag_ms = self._rules.system().simulate_api_lag_ms
        if lag_ms <= 0:
            return poll
        newest = (self._clock.now_ms() - lag_ms) // 1000
        return replace(poll, events=tuple(e for e in poll.events if e.timestamp <= newest))

    def lag_seconds(self) -> int | None:
        """The feed's own lag and the simulated one together."""
        lag = self._feed.lag_seconds()
        lag_ms = self._rules.system().simulate_api_lag_ms
        return lag if lag_ms <= 0 else (lag or 0) + -(-lag_ms // 1000)
