"""Pages of the day-partitioned listings, and what their rows have in common."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.life_cycle import life_cycle
from chalicelib.domain.reasons import EXPLANATIONS, Reason
from chalicelib.keyspace import Table, day
from chalicelib.ports import R, Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.market_directory import MarketDirectory

Json = dict[str, Any]

PAGE_MAX = 200
DAYS_BACK_MAX = 7
READS_PER_PAGE_MAX = 20
CURSOR_CHARS_MAX = 200
_DAY_MS = 86_400_000
_END_OF_DAY = "9999999999999#"


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
) -> tuple[list[R], str | None]:
    """One page of a day-partitioned feed, walking back at most DAYS_BACK_MAX days.

    A page may be shorter than `limit` when a filter lets little through: the cursor then stands
    where reading stopped. Raises InvalidInput for a cursor that is not ours.
    """
    day_, before = (day(now), None) if cursor is None else _parse_cursor(cursor)
    days = [d for back in range(DAYS_BACK_MAX) if (d := day(now - back * _DAY_MS)) <= day_]
    found: list[R] = []
    for _ in range(READS_PER_PAGE_MAX):
        if not days:
            return found, None
        start = before if days[0] == day_ else None
        rows = store.feed(kind, table, prefix + days[0], before=start, limit=limit)
        for sk, record in rows:
            if wanted(record):
                found.append(record)
                if len(found) == limit:
                    return found, f"{days[0]}~{sk}"
        day_, before = days[0], rows[-1][0] if rows else start
        if len(rows) < limit:
            days.pop(0)
            before = None
    return found, f"{days[0]}~{before or _END_OF_DAY}" if days else None


def _parse_cursor(cursor: str) -> tuple[str, str | None]:
    day_, _, sk = cursor.partition("~")
    if len(day_) != 10 or not sk or len(cursor) > CURSOR_CHARS_MAX:
        raise InvalidInput("cursor", "is not a cursor of this listing")
    return day_, sk


def names_of_leaders(store: Store) -> dict[str, str]:
    """The name of every leader ever followed, by address."""
    return {leader.leader: leader.name for leader in leaders(store)}


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
