"""Pages of the day-partitioned listings, and what their rows have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.life_cycle import life_cycle
from chalicelib.domain.market import Market
from chalicelib.domain.reasons import EXPLANATIONS, Reason
from chalicelib.keyspace import Table, day, market_key
from chalicelib.ports import R, Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.market_directory import MarketDirectory

Json = dict[str, Any]

PAGE_MAX = 200
DAYS_BACK_MAX = 7
"""How far back a listing goes by itself; who names a beginning may go to RANGE_DAYS_MAX."""
RANGE_DAYS_MAX = 400
READS_PER_PAGE_MAX = 20
ROWS_PER_PAGE_MAX = 1_000
"""Rows that one page may read, whatever its filters let through."""
READ_ROWS = 100
CURSOR_CHARS_MAX = 200
_DAY_MS = 86_400_000
_END_OF_DAY = "9999999999999#"


@dataclass(frozen=True, slots=True)
class Range:
    """From `ts_from` up to but without `ts_until` (milliseconds); None leaves an end open."""

    ts_from: int | None = None
    ts_until: int | None = None

    def days(self, now: int) -> list[str]:
        """The UTC days of the range newest first, none of them in the future."""
        newest = now if self.ts_until is None else min(now, self.ts_until - 1)
        oldest = newest - (DAYS_BACK_MAX - 1) * _DAY_MS
        if self.ts_from is not None:
            oldest = max(self.ts_from, newest - (RANGE_DAYS_MAX - 1) * _DAY_MS)
        if newest < 0 or newest // _DAY_MS < oldest // _DAY_MS:
            return []
        return [day(d * _DAY_MS) for d in range(newest // _DAY_MS, oldest // _DAY_MS - 1, -1)]


EVER = Range()


def page_of(
    store: Store,
    kind: type[R],
    table: Table,
    prefix: str,
    *,
    now: int,
    cursor: str | None,
    limit: int,
    wanted: Callable[[R], bool],
    within: Range = EVER,
) -> tuple[list[R], str | None]:
    """One page of a day-partitioned feed, newest first.

    It costs at most READS_PER_PAGE_MAX reads of ROWS_PER_PAGE_MAX rows together, so a page may be
    shorter than `limit` when a filter lets little through: the cursor then stands where reading
    stopped. Raises InvalidInput for a cursor that is not ours.
    """
    days = within.days(now)
    end = None if within.ts_until is None else f"{within.ts_until:013d}"
    before = end
    if cursor is not None:
        day_, stopped = _parse_cursor(cursor)
        days = [d for d in days if d <= day_]
        before = min(stopped, end or stopped) if days and days[0] == day_ else None
    first = "" if within.ts_from is None else f"{within.ts_from:013d}"
    found: list[R] = []
    left = ROWS_PER_PAGE_MAX
    for _ in range(READS_PER_PAGE_MAX):
        if not days:
            return found, None
        size = min(left, limit if left == ROWS_PER_PAGE_MAX else READ_ROWS)
        rows = store.feed(kind, table, prefix + days[0], before=before, limit=size)
        for sk, record in rows:
            if sk < first:
                return found, None
            if wanted(record):
                found.append(record)
                if len(found) == limit:
                    return found, f"{days[0]}~{sk}"
        left -= len(rows)
        before = rows[-1][0] if rows else before
        if len(rows) < size:
            days.pop(0)
            before = None
        if left <= 0:
            break
    return found, f"{days[0]}~{before or _END_OF_DAY}" if days else None


def _parse_cursor(cursor: str) -> tuple[str, str]:
    day_, _, sk = cursor.partition("~")
    if len(day_) != 10 or not sk or len(cursor) > CURSOR_CHARS_MAX:
        raise InvalidInput("cursor", "is not a cursor of this listing")
    return day_, sk


def names_of_leaders(store: Store) -> dict[str, str]:
    """The name of every leader ever followed, by address."""
    return {leader.leader: leader.name for leader in leaders(store)}


def tokens_of(store: Store, condition: str | None) -> frozenset[str] | None:
    """The tokens of a market, none where it is not known; None when no market was named."""
    if condition is None:
        return None
    market = store.get(Market, market_key(condition))
    return frozenset(market.tokens) if market else frozenset()


def explained(reasons: Iterable[Reason]) -> list[Json]:
    """Reasons with the sentence shown to people."""
    return [{"code": reason.value, "text": EXPLANATIONS[reason]} for reason in reasons]


@dataclass(frozen=True, slots=True)
class MarketTexts:
    """What a row says of its market at `now`; new positions end `close_guard_ms` before it does."""

    directory: MarketDirectory
    now: int
    close_guard_ms: int

    def fields(self, token_id: str) -> Json:
        """Token and market of a row, texts empty while the market is not known."""
        market = self.directory.known(token_id)
        stands = life_cycle(market, self.now, self.close_guard_ms) if market else None
        return {
            "token_id": token_id,
            "outcome": market.outcome_of(token_id) if market else "",
            "question": market.question if market else "",
            "slug": market.slug if market else "",
            "life_cycle": stands,
        }
