"""Where every record lives: table, partition and sort key, listing and life time.

Four tables share one shape: `pk`, `sk`, `version`, optional `ttl` (epoch seconds), and an optional
place in the `feed` index (`feed_pk`, `feed_sk`), which lists records by time across partitions.
The embedded stores keep the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from chalicelib.domain.group import Fill, Group
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Market
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import (
    Cursor,
    Heartbeat,
    Leader,
    MarkSheet,
    PortfolioRef,
    SettingsRow,
    TokenPointer,
)
from chalicelib.domain.trade import Trade

Table = Literal["registry", "activity", "portfolio", "audit"]
TABLES: tuple[Table, ...] = ("registry", "activity", "portfolio", "audit")
FEED_TABLES: tuple[Table, ...] = ("activity", "portfolio")
ONLY = "-"
"""Sort key of a partition's single record."""

_DAY_MS = 86_400_000
_TRADE_DAYS = 400
_FILL_DAYS = 90

Record = (
    Trade
    | Fill
    | Group
    | Head
    | Work
    | Entry
    | Position
    | Attempt
    | Leader
    | PortfolioRef
    | Market
    | TokenPointer
    | Cursor
    | Heartbeat
    | SettingsRow
    | MarkSheet
)


@dataclass(frozen=True, slots=True)
class Key:
    """The address of one record."""

    table: Table
    pk: str
    sk: str


@dataclass(frozen=True, slots=True)
class Place:
    """A record's address, its place in the feed index, and when it expires (epoch seconds)."""

    key: Key
    feed: tuple[str, str] | None = None
    ttl: int | None = None


def day(ts_ms: int) -> str:
    """The UTC day of a time in milliseconds, as YYYY-MM-DD."""
    return datetime.fromtimestamp(ts_ms // 1000, UTC).strftime("%Y-%m-%d")


def _expires(ts_ms: int, days: int) -> int:
    return (ts_ms + days * _DAY_MS) // 1000


def trade_key(trade_id: str) -> Key:
    """A trade and, under the same partition, its fills."""
    return Key("activity", f"trade#{trade_id}", ONLY)


def fill_key(trade_id: str, seq: int) -> Key:
    """One numbered fill of a trade."""
    return Key("activity", f"trade#{trade_id}", f"fill#{seq:06d}")


def line_pk(leader: str, token_id: str, side: str) -> str:
    """The partition of all groups of one leader, token and side."""
    return f"line#{leader}#{token_id}#{side}"


def group_key(leader: str, token_id: str, side: str, number: int) -> Key:
    """One group in its line."""
    return Key("activity", line_pk(leader, token_id, side), f"group#{number:09d}")


def portfolio_pk(portfolio_id: str, epoch: int) -> str:
    """The partition of one epoch of a portfolio."""
    return f"{portfolio_id}#{epoch}"


def head_key(portfolio_id: str, epoch: int) -> Key:
    """The head of a portfolio's epoch."""
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), "head")


def work_key(row: Work) -> Key:
    """A work row; sort keys order by due time, decision time, the leader's own order, then id."""
    times = f"{row.ts_due:013d}#{row.ts_decided:013d}#{row.ts_block:013d}#{row.order:08d}"
    sk = f"work#{times}#{row.ref}"
    return Key("portfolio", portfolio_pk(row.portfolio_id, row.epoch), sk)


def entry_key(
    portfolio_id: str, epoch: int, ts_effective: int, order: int, reference: str, kind: str
) -> Key:
    """A ledger entry; the key repeats its identity, so a second one cannot be written."""
    sk = f"entry#{ts_effective:013d}#{order:08d}#{reference}#{kind}"
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), sk)


def position_key(portfolio_id: str, epoch: int, token_id: str, leader: str) -> Key:
    """One leader's part of a token in a portfolio."""
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), f"position#{token_id}#{leader}")


def attempt_key(portfolio_id: str, epoch: int, ts_decided: int, attempt_id: str) -> Key:
    """An attempt; sort keys order by decision time."""
    sk = f"attempt#{ts_decided:013d}#{attempt_id}"
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), sk)


def leader_key(leader: str) -> Key:
    """A followed leader."""
    return Key("registry", "leaders", leader)


def portfolio_ref_key(portfolio_id: str) -> Key:
    """The entry of the list of portfolios."""
    return Key("registry", "portfolios", portfolio_id)


def market_key(condition_id: str) -> Key:
    """A market."""
    return Key("registry", f"market#{condition_id}", ONLY)


def token_key(token_id: str) -> Key:
    """The pointer from a token to its market."""
    return Key("registry", f"token#{token_id}", ONLY)


def cursor_key(leader: str, wallet: str) -> Key:
    """A wallet's polling cursor."""
    return Key("registry", f"cursor#{leader}", wallet)


def heartbeat_key(source: str) -> Key:
    """A source's heartbeat."""
    return Key("registry", "heartbeats", source)


def settings_key(scope: str) -> Key:
    """Settings of one scope."""
    return Key("registry", "settings", scope)


MARKS_KEY = Key("registry", "marks", "latest")


def _trade(r: Trade) -> Place:
    feed = (f"trades#{day(r.ts_listed)}", f"{r.ts_listed:013d}#{r.trade_id}")
    return Place(trade_key(r.trade_id), feed, _expires(r.ts_listed, _TRADE_DAYS))


def _attempt(r: Attempt) -> Place:
    decided = r.decision.ts_decided
    account = r.portfolio_id.split("/", 1)[0]
    return Place(
        attempt_key(r.portfolio_id, r.epoch, decided, r.attempt_id),
        (f"attempts#{account}#{day(decided)}", f"{decided:013d}#{r.attempt_id}"),
    )


_PLACES: dict[type, Callable[..., Place]] = {
    Trade: _trade,
    Attempt: _attempt,
    Fill: lambda r: Place(fill_key(r.trade_id, r.seq), None, _expires(r.ts_block, _FILL_DAYS)),
    Group: lambda r: Place(
        group_key(r.leader, r.token_id, r.side, r.number), None, _expires(r.opened, _FILL_DAYS)
    ),
    Head: lambda r: Place(head_key(r.portfolio_id, r.epoch)),
    Work: lambda r: Place(work_key(r)),
    Entry: lambda r: Place(
        entry_key(r.portfolio_id, r.epoch, r.ts_effective, r.order, r.reference, r.kind)
    ),
    Position: lambda r: Place(position_key(r.portfolio_id, r.epoch, r.token_id, r.leader)),
    Leader: lambda r: Place(leader_key(r.leader)),
    PortfolioRef: lambda r: Place(portfolio_ref_key(r.portfolio_id)),
    Market: lambda r: Place(market_key(r.condition_id)),
    TokenPointer: lambda r: Place(token_key(r.token_id)),
    Cursor: lambda r: Place(cursor_key(r.leader, r.wallet)),
    Heartbeat: lambda r: Place(heartbeat_key(r.source)),
    SettingsRow: lambda r: Place(settings_key(r.scope)),
    MarkSheet: lambda _: Place(MARKS_KEY),
}


def place_of(record: Record) -> Place:
    """Address, listing and life time of a record."""
    return _PLACES[type(record)](record)


def key_of(record: Record) -> Key:
    """Address of a record."""
    return place_of(record).key
