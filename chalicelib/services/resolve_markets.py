"""Find out how markets ended that somebody holds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.market import Market, Resolution, resolved
from chalicelib.ports import Clock, Metrics, ResolutionFeed
from chalicelib.services.market_directory import MarketDirectory

LOOKUPS_MAX = 40
"""Markets asked for in one call; the others are asked for by the next ones."""
LOOKUPS_MS_MAX = 15_000
"""After this long no further market is asked for in one call: a schedule has less than a minute."""
ASK_MS = 60_000
ASKED_MAX = 5_000
DECIDED_MAX = 20_000
"""Tokens remembered as decided for good; forgotten ones are met again while somebody holds them."""


class ResolveMarkets:
    """The markets of tokens that lost their book: refreshed, and their resolution read.

    Each market is asked for at most once per ASK_MS until its payouts are final. A venue that does
    not answer leaves everything as it is known.
    """

    def __init__(
        self,
        directory: MarketDirectory,
        feed: ResolutionFeed | None,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._directory = directory
        self._feed = feed
        self._clock = clock
        self._metrics = metrics
        self._asked: dict[str, int] = {}
        self._final: dict[str, Market] = {}

    @property
    def decided(self) -> Mapping[str, Market]:
        """Market by token of what calls of this process found decided for good."""
        return self._final

    def __call__(self, token_ids: Iterable[str]) -> dict[str, Market]:
        """Market by token as known afterwards; unknown ones are missing.

        Raises Retryable when the store cannot answer.
        """
        known = {token: self._directory.known(token) for token in token_ids}
        ended: dict[str, Market] = {}
        until = self._clock.now_ms() + LOOKUPS_MS_MAX
        for token in self._due(known):
            if self._clock.now_ms() > until:
                break
            market = known[token] = self._refreshed(token, known[token])
            if market and (market.closed or not market.accepting_orders):
                ended[market.condition_id] = market
        told = self._decided(list(ended.values()))
        found = {t: told.get(market.condition_id, market) for t, market in known.items() if market}
        self._final.update((t, m) for t, m in found.items() if m.resolution.final)
        while len(self._final) > DECIDED_MAX:
            del self._final[next(iter(self._final))]
        return found

    def _due(self, known: Mapping[str, Market | None]) -> list[str]:
        """Tokens whose market is not decided for good, those that wait longest first."""
        now = self._clock.now_ms()
        asked = {
            token: self._asked.get(token, 0)
            for token, market in known.items()
            if not (market and market.resolution.final)
        }
        due = [token for token, ts in asked.items() if now - ts >= ASK_MS]
        return sorted(due, key=lambda token: asked[token])[:LOOKUPS_MAX]

    def _refreshed(self, token: str, known: Market | None) -> Market | None:
        self._asked.pop(token, None)
        self._asked[token] = self._clock.now_ms()
        while len(self._asked) > ASKED_MAX:
            del self._asked[next(iter(self._asked))]
        try:
            return self._directory.lookup(token, suspect=True)
        except PapercopyError:
            self._metrics.count("market_refreshes_failed")
            return known

    def _decided(self, markets: Sequence[Market]) -> dict[str, Market]:
        """The markets whose resolution was told, as stored then."""
        if not markets or self._feed is None:
            return {}
        try:
            told = self._feed.resolutions(markets)
        except PapercopyError:
            self._metrics.count("resolutions_failed")
            return {}
        changed: dict[str, Market] = {}
        for market in markets:
            resolution = told.get(market.condition_id)
            if resolution is None or resolution.state == "open":
                continue
            changed[market.condition_id] = self._learn(market, resolution)
        return changed

    def _learn(self, market: Market, resolution: Resolution) -> Market:
        self._metrics.count("markets_resolved", int(resolution.final))
        if resolution.final:
            # The venue's own time; where it states none, when its answer was first read.
            now = self._clock.now_ms()
            resolution = replace(resolution, ts=min(resolution.ts or now, now))
        return self._directory.learn(market, lambda known: resolved(known, resolution))
