"""Export trades, attempts, fills and ledger page by page; what a page holds bounds the memory.

Attempts, fills and ledger come by portfolio, epoch and time, oldest first, epochs of before a reset
included; trades are facts shared by all accounts and come newest first. What is written while an
export runs may be missing from it; what was there before is not.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error
from collections.abc import Iterator
from dataclasses import dataclass, replace

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.export_rows import (
    ATTEMPTS,
    COLUMNS,
    FILLS,
    LEDGER,
    TRADES,
    ExportKind,
    Row,
    paper_fills,
)
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import day, key_of, portfolio_pk
from chalicelib.ports import Clock, Store
from chalicelib.services import portfolios

PAGE_ROWS = 250
"""Records of one read, at least 2: a fee must fit in with its fill."""
EPOCHS_MAX = 10_000
TRADE_DAYS = 401
"""Trades are kept for 400 days."""
TS_MAX = 9_999_999_999_999
CURSOR_CHARS_MAX = 2_000
SK_CHARS_MAX = 1_025
"""The store's own bound, and a character behind it."""
_DAY_MS = 86_400_000
_AT = re.compile(
    rf"(?P<portfolio>[^#]{{1,200}})#(?P<epoch>[1-9][0-9]{{0,4}})#(?P<sk>.{{0,{SK_CHARS_MAX}}})",
    re.DOTALL,
)
_AT_DAY = re.compile(r"(?P<day>[0-9]{4}-[0-9]{2}-[0-9]{2})~(?P<sk>[0-9]{13}.{0,80})", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Selection:
    """What to export: `ts_from` ≤ time < `ts_until` (milliseconds), of one portfolio or all the
    account's executable ones, of one epoch or all. Trades know neither portfolio nor epoch.
    """

    kind: ExportKind
    account_id: str = portfolios.ACCOUNT
    portfolio_id: str = ""
    epoch: int = 0
    ts_from: int = 0
    ts_until: int = TS_MAX


@dataclass(frozen=True, slots=True)
class Page:
    """Rows, maybe none, and the cursor of what follows, None at the end."""

    rows: tuple[Row, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    """One epoch of one portfolio, from a sort key on."""

    portfolio_id: str
    epoch: int
    start: str = ""


class Exports:
    """Pages of an export; every page can be gone on from by its cursor."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __call__(self, wanted: Selection, cursor: str | None = None) -> Iterator[Page]:
        """The pages behind a cursor, at least one; the last one has no cursor.

        Raises InvalidInput, naming the field, for a selection or cursor that cannot be.
        """
        if wanted.kind not in COLUMNS:
            raise InvalidInput("kind", f"one of {', '.join(COLUMNS)} was expected")
        if not 0 <= wanted.ts_from <= wanted.ts_until <= TS_MAX:
            raise InvalidInput("from", "must not be after until")
        if wanted.kind != "trades":
            return self._of_portfolios(wanted, self._parts(wanted, cursor))
        if wanted.portfolio_id or wanted.epoch:
            raise InvalidInput("portfolio", "trades belong to no portfolio")
        now = self._clock.now_ms()
        return self._of_trades(wanted, _days(wanted, now), _day_cursor(cursor))

    def _parts(self, wanted: Selection, cursor: str | None) -> list[_Part]:
        parts = [
            _Part(ref.portfolio_id, epoch)
            for ref in self._portfolios(wanted)
            for epoch in range(1, min(ref.epoch, EPOCHS_MAX) + 1)
            if wanted.epoch in (0, epoch)
        ]
        if wanted.epoch and not parts:
            raise InvalidInput("epoch", "there is no such epoch")
        if cursor is None:
            return parts
        at = _position(cursor)
        names = [(part.portfolio_id, part.epoch) for part in parts]
        if (at.portfolio_id, at.epoch) not in names:
            raise InvalidInput("cursor", "is not a cursor of this export")
        return [at, *parts[names.index((at.portfolio_id, at.epoch)) + 1 :]]

    def _portfolios(self, wanted: Selection) -> list[PortfolioRef]:
        if not wanted.portfolio_id:
            return portfolios.portfolios_of(self._store, wanted.account_id)
        owner = portfolios.account_of(wanted.portfolio_id)
        ref = portfolios.portfolio_ref(self._store, wanted.portfolio_id)
        if ref is None or owner not in (wanted.account_id, portfolios.SHADOW):
            raise InvalidInput("portfolio", "there is no such portfolio")
        return [ref]

    def _of_portfolios(self, wanted: Selection, parts: list[_Part]) -> Iterator[Page]:
        prefix = "attempt#" if wanted.kind == "attempts" else "entry#"
        first, end = f"{prefix}{wanted.ts_from:013d}", f"{prefix}{wanted.ts_until:013d}"
        for number, part in enumerate(parts):
            here: _Part | None = replace(part, start=max(part.start, first))
            while here is not None:
                rows, here = self._page(wanted.kind, here, end)
                following = here or next(iter(parts[number + 1 :]), None)
                yield Page(rows, _named(following) if following else None)
        if not parts:
            yield Page((), None)

    def _page(
        self, kind: ExportKind, part: _Part, end: str
    ) -> tuple[tuple[Row, ...], _Part | None]:
        """One read, and where the next one begins unless this was the last."""
        pk = portfolio_pk(part.portfolio_id, part.epoch)
        if kind == "attempts":
            attempts = self._store.query(
                Attempt, "portfolio", pk, start=part.start, end=end, limit=PAGE_ROWS
            )
            rows = tuple(ATTEMPTS.row(attempt) for attempt in attempts)
            last = attempts[-1] if len(attempts) == PAGE_ROWS else None
            return rows, replace(part, start=key_of(last).sk + "\x00") if last else None
        entries = self._store.query(
            Entry, "portfolio", pk, start=part.start, end=end, limit=PAGE_ROWS
        )
        rest = None
        if len(entries) == PAGE_ROWS:
            rest = replace(part, start=key_of(entries[-1]).sk + "\x00")
            if kind == "fills" and entries[-1].kind == "FEE":
                # Its fill is on the next page, so it goes there as well.
                rest = replace(part, start=key_of(entries.pop()).sk)
        if kind == "fills":
            return tuple(FILLS.row(fill) for fill in paper_fills(entries)), rest
        return tuple(LEDGER.row(entry) for entry in entries), rest

    def _of_trades(
        self, wanted: Selection, days: list[str], at: tuple[str, str] | None
    ) -> Iterator[Page]:
        before = f"{wanted.ts_until:013d}"
        if at:
            days, before = [d for d in days if d <= at[0]], min(at[1], before)
        for number, day_ in enumerate(days):
            more = True
            while more:
                page = self._store.feed(
                    Trade, "activity", f"trades#{day_}", before=before, limit=PAGE_ROWS
                )
                rows = [trade for _, trade in page if trade.ts_listed >= wanted.ts_from]
                more = len(page) == PAGE_ROWS and len(rows) == PAGE_ROWS
                if more:
                    before = page[-1][0]
                ends = not more and number + 1 == len(days)
                where = None if ends else f"{day_ if more else days[number + 1]}~{before}"
                yield Page(
                    tuple(TRADES.row(trade) for trade in rows), _encoded(where) if where else None
                )
        if not days:
            yield Page((), None)


def _days(wanted: Selection, now: int) -> list[str]:
    """The days of a range, newest first; nothing is older than what is kept or newer than now."""
    newest = min(wanted.ts_until, now + _DAY_MS)
    oldest = max(wanted.ts_from, now - TRADE_DAYS * _DAY_MS, 0)
    if newest < oldest:
        return []
    first, last = oldest // _DAY_MS, newest // _DAY_MS
    return [day(number * _DAY_MS) for number in range(last, first - 1, -1)]


def _named(part: _Part) -> str:
    return _encoded(f"{part.portfolio_id}#{part.epoch}#{part.start}")


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decoded(cursor: str) -> str:
    refused = InvalidInput("cursor", "is not a cursor of this export")
    if not re.fullmatch(rf"[A-Za-z0-9_-]{{1,{CURSOR_CHARS_MAX}}}", cursor):
        raise refused
    try:
        return urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except (Error, UnicodeDecodeError):
        raise refused from None


def _position(cursor: str) -> _Part:
    found = _AT.fullmatch(_decoded(cursor))
    if found is None:
        raise InvalidInput("cursor", "is not a cursor of this export")
    return _Part(found["portfolio"], int(found["epoch"]), found["sk"])


def _day_cursor(cursor: str | None) -> tuple[str, str] | None:
    if cursor is None:
        return None
    found = _AT_DAY.fullmatch(_decoded(cursor))
    if found is None:
        raise InvalidInput("cursor", "is not a cursor of this export")
    return found["day"], found["sk"]
