"""What leaders' wallets hold: read when they are followed, or followed again after a pause."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.errors import Conflict, PapercopyError, Retryable
from chalicelib.domain.registry import HeldToken, Leader, wallet_as_of, wallet_reading
from chalicelib.ports import Clock, Holdings, HoldingsFeed, Metrics, Put, Store, stored
from chalicelib.services.holdings_sheets import keep_sheets
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.post_holdings import finish_holdings

READINGS_PER_CALL = 10
CALL_MS_MAX = 15_000
"""No further wallet is read and nothing more is booked after this long; the next call goes on."""
ROTATE_MS = 60_000
"""Every minute another leader comes first: nobody's failure or size keeps others waiting."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What all wallets of a leader hold, the first as of `as_of`, the last as of `latest`.

    Block times in milliseconds. They differ by as long as reading the wallets took.
    """

    as_of: int
    latest: int
    held: dict[str, HeldToken]
    refused: int


def added_up(parts: Sequence[Holdings]) -> Reading:
    """The readings of all wallets of a leader as one."""
    held: dict[str, HeldToken] = {}
    for part in parts:
        for row in part.held:
            shares = row.shares + (held[row.token_id].shares if row.token_id in held else 0)
            held[row.token_id] = HeldToken(row.token_id, shares, row.price)
    times = [part.as_of for part in parts]
    return Reading(min(times), max(times), held, sum(part.refused for part in parts))


def time_limit(clock: Clock, ms: int = CALL_MS_MAX) -> Callable[[], bool]:
    """Says when `ms` from now are over."""
    end = clock.now_ms() + ms
    return lambda: clock.now_ms() >= end


def in_turn(known: list[Leader], now_ms: int) -> list[Leader]:
    """The leaders from another one on every minute."""
    first = now_ms // ROTATE_MS % len(known) if known else 0
    return known[first:] + known[:first]


class ReadHoldings:
    """Read the wallets whose holdings are not known, one at a time, and book them.

    A wallet's sheets come first, then the leader's row, which makes its reading count; once the
    last wallet was read, the differences are booked. Whoever comes next goes on where time ended
    or a crash left off.
    """

    def __init__(self, store: Store, feed: HoldingsFeed, clock: Clock, metrics: Metrics) -> None:
        self._store = store
        self._feed = feed
        self._clock = clock
        self._metrics = metrics

    def __call__(self) -> int:
        """How many leaders were served, at most READINGS_PER_CALL and as time allows.

        One leader's failure keeps no other from being read. Raises the first failure.
        """
        is_over = time_limit(self._clock)
        owing = in_turn(_owing(leaders(self._store)), self._clock.now_ms())
        done, failures = 0, list[PapercopyError]()
        for leader in owing[:READINGS_PER_CALL]:
            if (done or failures) and is_over():
                break
            try:
                self._serve(leader, is_over)
                done += 1
            except PapercopyError as error:
                self._metrics.count("holdings_readings_failed")
                failures.append(error)
        if failures:
            raise failures[0]
        return done

    def _serve(self, leader: Leader, is_over: Callable[[], bool]) -> None:
        """Read what is missing of him, then book it. Raises what the first failing wallet did."""
        unread = [wallet for wallet in leader.wallets if wallet_as_of(leader, wallet) is None]
        failures = list[PapercopyError]()
        for number, wallet in enumerate(unread):
            if number and is_over():
                break
            try:
                leader = self._read(leader, wallet)
            except PapercopyError as error:
                failures.append(error)
        if failures:
            raise failures[0]
        finish_holdings(self._store, leader, is_over)

    def _read(self, leader: Leader, wallet: str) -> Leader:
        """The leader's row naming the wallet's reading. Raises Retryable when it changed."""
        number = leader.holdings_read + 1
        reading = self._feed.holdings(wallet)
        required = keep_sheets(self._store, leader.leader, wallet, number, reading)
        named = _with_reading(leader, wallet, reading.as_of, number)
        try:
            self._store.commit([Put(named), *required])
        except Conflict as error:
            raise Retryable(f"{leader.leader} changed while his holdings were read") from error
        self._metrics.count("holdings_read")
        return stored(named)


def _with_reading(leader: Leader, wallet: str, as_of: int, number: int) -> Leader:
    times = {w: wallet_as_of(leader, w) for w in leader.wallets} | {wallet: as_of}
    numbers = {w: wallet_reading(leader, w) for w in leader.wallets} | {wallet: number}
    known = [ts for ts in times.values() if ts is not None]
    is_complete = len(known) == len(leader.wallets)
    return replace(
        leader,
        wallet_as_of=tuple(times.values()),
        wallet_read=tuple(numbers.values()),
        holdings_as_of=max(known) if is_complete else None,
        holdings_read=number if is_complete else leader.holdings_read,
    )


def _owing(known: list[Leader]) -> list[Leader]:
    """Leaders whose holdings must be read or booked."""
    return [
        leader
        for leader in known
        if leader.state != "off"
        and (leader.holdings_as_of is None or leader.holdings_posted < leader.holdings_read)
    ]
