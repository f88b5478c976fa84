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

from chalicelib.domain.completeness import HourTally
from chalicelib.domain.consumption import Consumed
from chalicelib.domain.group import Correction, Fill, Group
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.leader_event import LeaderEvent, WaitingEvent
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.market_sync import DigestPage, SyncState
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import (
    CatchUp,
    ChainCursor,
    Check,
    Cursor,
    ExchangeContract,
    Heartbeat,
    HoldingsCheck,
    HoldingsSheet,
    Leader,
    MarkSheet,
    PortfolioRef,
    RawPayload,
    SettingsRow,
    TapeRequest,
    TokenPointer,
    WalletOwner,
)
from chalicelib.domain.tape_text import TapeSegment
from chalicelib.domain.trade import Trade

Table = Literal["registry", "activity", "portfolio", "audit"]
TABLES: tuple[Table, ...] = ("registry", "activity", "portfolio", "audit")
FEED_TABLES: tuple[Table, ...] = ("activity", "portfolio")
ONLY = "-"
"""Sort key of a partition's single record."""

_DAY_MS = 86_400_000
_TRADE_DAYS = 400
_FILL_DAYS = 90
_RAW_DAYS = 90
_CHECK_DAYS = 3
_TAPE_DAYS = 90

Record = (
    Trade
    | Fill
    | Correction
    | Group
    | Head
    | Work
    | Entry
    | Position
    | Attempt
    | Consumed
    | Leader
    | PortfolioRef
    | Market
    | TokenPointer
    | MarketLists
    | SyncState
    | DigestPage
    | Cursor
    | Heartbeat
    | SettingsRow
    | MarkSheet
    | CatchUp
    | Check
    | ExchangeContract
    | ChainCursor
    | RawPayload
    | WalletOwner
    | HoldingsSheet
    | HoldingsCheck
    | LeaderEvent
    | WaitingEvent
    | HourTally
    | TapeRequest
    | TapeSegment
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


def correction_key(trade_id: str, seq: int) -> Key:
    """A note that a numbered correction reached the groups of a trade."""
    return Key("activity", f"trade#{trade_id}", f"correction#{seq:06d}")


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


def consumed_key(portfolio_id: str, epoch: int, token_id: str) -> Key:
    """What a portfolio's own orders took of a token's book."""
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), f"consumed#{token_id}")


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


def market_lists_key(account_id: str) -> Key:
    """An account's blacklist and whitelist of markets."""
    return Key("registry", "market_lists", account_id)


MARKET_SYNC_KEY = Key("registry", "market_sync", ONLY)
DIGESTS_PK = "market_digests"


def digest_page_key(generation: int, number: int) -> Key:
    """A page of digests of what is stored of open markets."""
    return Key("registry", DIGESTS_PK, f"{generation:06d}#{number:04d}")


def cursor_key(leader: str, wallet: str) -> Key:
    """A wallet's polling cursor."""
    return Key("registry", f"cursor#{leader}", wallet)


def heartbeat_key(source: str) -> Key:
    """A source's heartbeat."""
    return Key("registry", "heartbeats", source)


def settings_key(scope: str) -> Key:
    """Settings of one scope."""
    return Key("registry", "settings", scope)


def catch_up_key(leader: str, ts_from: int) -> Key:
    """A stretch of time to catch up; one per leader and start."""
    return Key("registry", "catch_ups", f"{leader}#{ts_from:013d}")


def check_key(ts_due: int, trade_id: str, reason: str) -> Key:
    """An open question about a trade, in the order in which they become due."""
    return Key("activity", "checks", f"{ts_due:013d}#{trade_id}#{reason}")


def exchange_key(address: str) -> Key:
    """An exchange contract."""
    return Key("registry", "exchanges", address)


def chain_cursor_key(exchange: str) -> Key:
    """How far an exchange's logs were read by range."""
    return Key("registry", "chain_cursors", exchange)


def raw_key(subject: str, number: int, source: str) -> Key:
    """A payload that brought a new fact about a trade or event."""
    return Key("activity", f"raw#{subject}", f"{number:06d}#{source}")


def hours_pk(leader: str) -> str:
    """The partition of one leader's hourly tallies."""
    return f"hours#{leader}"


def hour_key(leader: str, ts_hour: int) -> Key:
    """One hour's tally of a leader; sort keys order by hour."""
    return Key("activity", hours_pk(leader), f"{ts_hour:013d}")


def wallet_owner_key(wallet: str) -> Key:
    """Whose wallet an address is."""
    return Key("registry", f"wallet#{wallet}", ONLY)


def holdings_sheet_key(leader: str, number: int, as_of: int, part: int, wallet: str = "") -> Key:
    """A part of one reading of a wallet's holdings."""
    sk = f"{number:06d}#{as_of:013d}#{part:03d}" + (f"#{wallet}" if wallet else "")
    return Key("activity", f"holdings#{leader}", sk)


def holdings_check_key(leader: str) -> Key:
    """How a leader's shadow compares with the venue."""
    return Key("registry", "holdings_checks", leader)


def event_key(event_id: str) -> Key:
    """A leader's activity other than a trade."""
    return Key("activity", f"event#{event_id}", ONLY)


def waiting_event_key(ts_due: int, event_id: str) -> Key:
    """An event that is not applied yet, in the order in which they become due."""
    return Key("activity", "waiting_events", f"{ts_due:013d}#{event_id}")


def tape_pk(token_id: str) -> str:
    """The partition of one token's tape."""
    return f"tape#{token_id}"


def tape_key(token_id: str, ts_start: int, watcher: str) -> Key:
    """One segment of a tape; sort keys order by start."""
    return Key("activity", tape_pk(token_id), f"{ts_start:013d}#{watcher}")


def tape_request_key(token_id: str, ts_from: int, ts_until: int) -> Key:
    """A wish for a tape, in the order in which they end."""
    return Key("activity", "tape_requests", f"{ts_until:013d}#{token_id}#{ts_from:013d}")


def mark_sheet_key(scope: str) -> Key:
    """The latest marks of one scope of portfolios."""
    return Key("registry", "marks", scope)


MARKS_KEY = mark_sheet_key("latest")
SHADOW_MARKS_KEY = mark_sheet_key("shadows")


def _trade(r: Trade) -> Place:
    feed = (f"trades#{day(r.ts_listed)}", f"{r.ts_listed:013d}#{r.trade_id}")
    return Place(trade_key(r.trade_id), feed, _expires(r.ts_listed, _TRADE_DAYS))


def _event(r: LeaderEvent) -> Place:
    feed = (f"events#{day(r.ts_block)}", f"{r.ts_block:013d}#{r.event_id}")
    return Place(event_key(r.event_id), feed, _expires(r.ts_block, _TRADE_DAYS))


def _attempt(r: Attempt) -> Place:
    decided = r.decision.ts_decided
    account = r.portfolio_id.split("/", 1)[0]
    return Place(
        attempt_key(r.portfolio_id, r.epoch, decided, r.attempt_id),
        (f"attempts#{account}#{day(decided)}", f"{decided:013d}#{r.attempt_id}"),
    )


def _hour(r: HourTally) -> Place:
    feed = (f"hours#{day(r.ts_hour)}", f"{r.ts_hour:013d}#{r.leader}")
    return Place(hour_key(r.leader, r.ts_hour), feed, _expires(r.ts_hour, _TRADE_DAYS))


_PLACES: dict[type, Callable[..., Place]] = {
    Trade: _trade,
    Attempt: _attempt,
    Fill: lambda r: Place(fill_key(r.trade_id, r.seq), None, _expires(r.ts_block, _FILL_DAYS)),
    Correction: lambda r: Place(
        correction_key(r.trade_id, r.seq), None, _expires(r.ts_seen, _FILL_DAYS)
    ),
    Group: lambda r: Place(
        group_key(r.leader, r.token_id, r.side, r.number), None, _expires(r.opened, _FILL_DAYS)
    ),
    Head: lambda r: Place(head_key(r.portfolio_id, r.epoch)),
    Work: lambda r: Place(work_key(r)),
    Entry: lambda r: Place(
        entry_key(r.portfolio_id, r.epoch, r.ts_effective, r.order, r.reference, r.kind)
    ),
    Position: lambda r: Place(position_key(r.portfolio_id, r.epoch, r.token_id, r.leader)),
    Consumed: lambda r: Place(consumed_key(r.portfolio_id, r.epoch, r.token_id)),
    Leader: lambda r: Place(leader_key(r.leader)),
    PortfolioRef: lambda r: Place(portfolio_ref_key(r.portfolio_id)),
    Market: lambda r: Place(market_key(r.condition_id)),
    TokenPointer: lambda r: Place(token_key(r.token_id)),
    MarketLists: lambda r: Place(market_lists_key(r.account_id)),
    SyncState: lambda _: Place(MARKET_SYNC_KEY),
    DigestPage: lambda r: Place(digest_page_key(r.generation, r.number)),
    Cursor: lambda r: Place(cursor_key(r.leader, r.wallet)),
    Heartbeat: lambda r: Place(heartbeat_key(r.source)),
    SettingsRow: lambda r: Place(settings_key(r.scope)),
    MarkSheet: lambda r: Place(mark_sheet_key(r.scope)),
    CatchUp: lambda r: Place(catch_up_key(r.leader, r.ts_from)),
    Check: lambda r: Place(
        check_key(r.ts_due, r.trade_id, r.reason), None, _expires(r.ts_due, _CHECK_DAYS)
    ),
    ExchangeContract: lambda r: Place(exchange_key(r.address)),
    ChainCursor: lambda r: Place(chain_cursor_key(r.exchange)),
    HourTally: _hour,
    RawPayload: lambda r: Place(
        raw_key(r.subject, r.number, r.source), None, _expires(r.ts, _RAW_DAYS)
    ),
    WalletOwner: lambda r: Place(wallet_owner_key(r.wallet)),
    HoldingsSheet: lambda r: Place(
        holdings_sheet_key(r.leader, r.number, r.as_of, r.part, r.wallet),
        None,
        _expires(r.as_of, _RAW_DAYS),
    ),
    HoldingsCheck: lambda r: Place(holdings_check_key(r.leader)),
    LeaderEvent: _event,
    WaitingEvent: lambda r: Place(waiting_event_key(r.ts_due, r.event_id)),
    TapeRequest: lambda r: Place(
        tape_request_key(r.token_id, r.ts_from, r.ts_until), None, _expires(r.ts_until, 1)
    ),
    TapeSegment: lambda r: Place(
        tape_key(r.token_id, r.ts_start, r.watcher), None, _expires(r.ts_start, _TAPE_DAYS)
    ),
}


def place_of(record: Record) -> Place:
    """Address, listing and life time of a record."""
    return _PLACES[type(record)](record)


def key_of(record: Record) -> Key:
    """Address of a record."""
    return place_of(record).key
