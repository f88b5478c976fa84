"""Where every record lives: table, partition and sort key, listing and life time.

Four tables share one shape: `pk`, `sk`, `version`, optional `ttl` (epoch seconds), and an optional
place in the `feed` index (`feed_pk`, `feed_sk`), which lists records by time across partitions.
The embedded stores keep the same shape.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal, NamedTuple

from chalicelib.domain.breakers import Breakers
from chalicelib.domain.complete_set import SetChange, SetDecision
from chalicelib.domain.completeness import HourTally
from chalicelib.domain.config_job import ConfigJob
from chalicelib.domain.consumption import Consumed
from chalicelib.domain.group import Correction, Fill, Group
from chalicelib.domain.hindsight import Hindsight, LookBack
from chalicelib.domain.lane import Attempt, LaneInput, Work
from chalicelib.domain.leader_event import LeaderEvent, WaitingEvent
from chalicelib.domain.leader_notionals import LeaderNotionals
from chalicelib.domain.ledger import Entry
from chalicelib.domain.ledger_check import LedgerCheck, LedgerPass
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.market_sync import DigestPage, SyncState
from chalicelib.domain.performance import LeaderCounts
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.reconciliation import RECENT, Reconciliation
from chalicelib.domain.registry import (
    AuditRow,
    CatchUp,
    ChainCursor,
    Check,
    Cursor,
    ExchangeContract,
    Heartbeat,
    HoldingsCheck,
    HoldingsSheet,
    KeptSheet,
    Leader,
    MarkSheet,
    PortfolioRef,
    RawPayload,
    SettingsRow,
    SignOut,
    TapeRequest,
    TokenPointer,
    WalletOwner,
)
from chalicelib.domain.rules import Config
from chalicelib.domain.snapshot import Snapshot, minute_of
from chalicelib.domain.stress import StressDue
from chalicelib.domain.tape_text import TapeSegment
from chalicelib.domain.trade import Trade
from chalicelib.domain.witness import Arrival, BookSnapshot, Witness

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
_SHEET_DAYS = 35
_LOOK_BACK_DAYS = 30
_JOB_DAYS = 7

Record = (
    Trade
    | Fill
    | Correction
    | Group
    | Head
    | Breakers
    | Work
    | Entry
    | Position
    | Attempt
    | Consumed
    | StressDue
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
    | Config
    | LeaderNotionals
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
    | SetChange
    | SetDecision
    | LedgerCheck
    | LedgerPass
    | Reconciliation
    | KeptSheet
    | Snapshot
    | LeaderCounts
    | LookBack
    | Hindsight
    | SignOut
    | Arrival
    | BookSnapshot
    | LaneInput
    | Witness
    | AuditRow
    | ConfigJob
)


class Key(NamedTuple):
    """The address of one record."""

    table: Table
    pk: str
    sk: str


class Place(NamedTuple):
    """A record's address, its place in the feed index, and when it expires (epoch seconds)."""

    key: Key
    feed: tuple[str, str] | None = None
    ttl: int | None = None


def day(ts_ms: int) -> str:
    """The UTC day of a time in milliseconds, as YYYY-MM-DD."""
    return _day_name(ts_ms // _DAY_MS)


@lru_cache(maxsize=256)
def _day_name(days: int) -> str:
    return datetime.fromtimestamp(days * _DAY_MS // 1000, UTC).strftime("%Y-%m-%d")


def month(ts_ms: int) -> str:
    """The UTC month of a time in milliseconds, as YYYY-MM."""
    return day(ts_ms)[:7]


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


def breakers_key(portfolio_id: str, epoch: int) -> Key:
    """The circuit breakers of a portfolio's epoch."""
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), "breakers")


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


def stress_due_key(portfolio_id: str, epoch: int, ts_due: int, attempt_id: str) -> Key:
    """An attempt whose preview is looked at again, by the time of that."""
    sk = f"stress#{ts_due:013d}#{attempt_id}"
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


def config_key(digest: str) -> Key:
    """The configuration that a digest names."""
    return Key("registry", f"config#{digest}", ONLY)


def leader_notionals_key(leader: str) -> Key:
    """How large a leader's last groups were."""
    return Key("registry", f"notionals#{leader}", ONLY)


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


def reconciliation_key(scope: str, ts_from: int) -> Key:
    """The verdict on the last minutes, which is one row, or on a leader's day."""
    if scope == RECENT:
        return Key("registry", "reconciliation", ONLY)
    return Key("activity", f"reconciliations#{scope}", f"{ts_from:013d}")


RECONCILED_DAYS_FEED = "reconciliations"


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


def arrivals_pk(leader: str, day: str) -> str:
    """The partition of the evidence about a leader that was ingested on a UTC day."""
    return f"arrivals#{leader}#{day}"


def snapshots_pk(token_id: str) -> str:
    """The partition of the books that were asked for of a token."""
    return f"snapshots#{token_id}"


def witness_key(digest: str) -> Key:
    """A fact that decisions looked at, by its digest."""
    return Key("activity", f"witness#{digest}", ONLY)


def config_jobs_pk(account_id: str) -> str:
    """The partition of an account's tests of configurations."""
    return f"config_jobs#{account_id}"


def config_job_key(account_id: str, ts_asked: int, job_id: str) -> Key:
    """One test of a configuration; sort keys order by when it was asked for."""
    return Key("activity", config_jobs_pk(account_id), f"{ts_asked:013d}#{job_id}")


SIGN_OUTS_PK = "sign_outs"


def sign_out_key(expires_s: int, session_id: str) -> Key:
    """A session that was ended; sort keys order by when it would have ended anyway."""
    return Key("activity", SIGN_OUTS_PK, f"{expires_s:011d}#{session_id}")


def mark_sheet_key(scope: str) -> Key:
    """The latest marks of one scope of portfolios."""
    return Key("registry", "marks", scope)


def audit_pk(account_id: str, month: str) -> str:
    """The partition of one account's changes in one month (YYYY-MM)."""
    return f"audit#{account_id}#{month}"


def audit_key(account_id: str, ts: int, row_id: str) -> Key:
    """One audited change; sort keys order by time."""
    return Key("audit", audit_pk(account_id, month(ts)), f"{ts:013d}#{row_id}")


def set_change_key(change_id: str) -> Key:
    """What a leader did with complete sets."""
    return Key("activity", f"set_change#{change_id}", ONLY)


def set_decision_key(portfolio_id: str, epoch: int, ts_decided: int, change_id: str) -> Key:
    """What a portfolio decided about a set change; sort keys order by decision time."""
    sk = f"set#{ts_decided:013d}#{change_id}"
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), sk)


def ledger_check_key(portfolio_id: str, epoch: int) -> Key:
    """The last verdict on a ledger."""
    return Key("registry", "ledger_checks", portfolio_pk(portfolio_id, epoch))


def ledger_pass_key(portfolio_id: str, epoch: int) -> Key:
    """How far a ledger was read by a pass under way."""
    return Key("registry", "ledger_passes", portfolio_pk(portfolio_id, epoch))


def open_positions_feed(portfolio_id: str, epoch: int) -> str:
    """The listing of an epoch's positions that are not closed."""
    return f"open#{portfolio_pk(portfolio_id, epoch)}"


MARKS_KEY = mark_sheet_key("latest")
SHADOW_MARKS_KEY = mark_sheet_key("shadows")


def kept_sheets_pk(scope: str) -> str:
    """The partition of one scope's marks by time."""
    return f"marks#{scope}"


def kept_sheet_key(scope: str, ts: int) -> Key:
    """The marks kept of a minute; sort keys order by minute."""
    return Key("activity", kept_sheets_pk(scope), f"{minute_of(ts):013d}")


def snapshot_key(portfolio_id: str, epoch: int, grain: str, ts: int) -> Key:
    """A snapshot of one series; sort keys order by minute."""
    sk = f"snapshot#{grain}#{ts:013d}"
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), sk)


def leader_counts_key(portfolio_id: str, epoch: int, leader: str, ts_hour: int) -> Key:
    """One leader's counters in a portfolio as of an hour; sort keys order by hour."""
    sk = f"counts#{leader}#{ts_hour:013d}"
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), sk)


def hindsight_key(portfolio_id: str, epoch: int, leader: str) -> Key:
    """What was learned later about one leader's attempts in a portfolio."""
    return Key("portfolio", portfolio_pk(portfolio_id, epoch), f"hindsight#{leader}")


def look_backs_pk(account_id: str, settlement: bool) -> str:
    """The partition of an account's attempts to be looked at again, by time or by their market."""
    return f"look_backs#{account_id}#{'settlement' if settlement else 'marks'}"


def look_back_key(row: LookBack) -> Key:
    """An attempt to be looked at again, in the order in which they become due."""
    pk = look_backs_pk(row.account_id, row.horizon == "settlement")
    return Key("activity", pk, f"{row.ts_due:013d}#{row.attempt_id}")


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


def _reconciliation(r: Reconciliation) -> Place:
    key = reconciliation_key(r.scope, r.ts_from)
    if r.scope == RECENT:
        return Place(key)
    feed = (RECONCILED_DAYS_FEED, f"{r.ts_from:013d}#{r.scope}")
    return Place(key, feed, _expires(r.ts_from, _TRADE_DAYS))


def _position(r: Position) -> Place:
    """Closed positions leave the listing, so that it stays as short as what is held."""
    key = position_key(r.portfolio_id, r.epoch, r.token_id, r.leader)
    if not (r.shares or r.exit_debt or r.reserved):
        return Place(key)
    listed = (open_positions_feed(r.portfolio_id, r.epoch), f"{r.token_id}#{r.leader}")
    return Place(key, listed)


def _set_decision(r: SetDecision) -> Place:
    account = r.portfolio_id.split("/", 1)[0]
    return Place(
        set_decision_key(r.portfolio_id, r.epoch, r.ts_decided, r.change_id),
        (
            f"sets#{account}#{day(r.ts_decided)}",
            f"{r.ts_decided:013d}#{r.change_id}#{r.portfolio_id}",
        ),
    )


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
    Breakers: lambda r: Place(breakers_key(r.portfolio_id, r.epoch)),
    Work: lambda r: Place(work_key(r)),
    Entry: lambda r: Place(
        entry_key(r.portfolio_id, r.epoch, r.ts_effective, r.order, r.reference, r.kind)
    ),
    Position: _position,
    Consumed: lambda r: Place(consumed_key(r.portfolio_id, r.epoch, r.token_id)),
    StressDue: lambda r: Place(stress_due_key(r.portfolio_id, r.epoch, r.ts_due, r.attempt_id)),
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
    Config: lambda r: Place(config_key(r.digest)),
    LeaderNotionals: lambda r: Place(leader_notionals_key(r.leader)),
    MarkSheet: lambda r: Place(mark_sheet_key(r.scope)),
    CatchUp: lambda r: Place(catch_up_key(r.leader, r.ts_from)),
    Check: lambda r: Place(
        check_key(r.ts_due, r.trade_id, r.reason), None, _expires(r.ts_due, _CHECK_DAYS)
    ),
    ExchangeContract: lambda r: Place(exchange_key(r.address)),
    ChainCursor: lambda r: Place(chain_cursor_key(r.exchange)),
    HourTally: _hour,
    Reconciliation: _reconciliation,
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
    Arrival: lambda r: Place(
        Key(
            "activity",
            arrivals_pk(r.leader, day(r.ts)),
            f"{r.ts:013d}#{r.number:06d}#{r.trade_id}",
        ),
        None,
        _expires(r.ts, _RAW_DAYS),
    ),
    BookSnapshot: lambda r: Place(
        Key(
            "activity",
            snapshots_pk(r.segment.token_id),
            f"{r.segment.ts_start:013d}#{r.segment.digest[:16]}",
        ),
        None,
        _expires(r.segment.ts_start, _RAW_DAYS),
    ),
    Witness: lambda r: Place(witness_key(r.digest)),
    LaneInput: lambda r: Place(
        Key(
            "portfolio",
            portfolio_pk(r.work.portfolio_id, r.work.epoch),
            f"input#{r.work.ts_decided:013d}#{r.work.kind}#{r.work.ref}",
        )
    ),
    SetChange: lambda r: Place(
        set_change_key(r.change_id), None, _expires(r.ts_block, _TRADE_DAYS)
    ),
    SetDecision: _set_decision,
    LedgerCheck: lambda r: Place(ledger_check_key(r.portfolio_id, r.epoch)),
    LedgerPass: lambda r: Place(ledger_pass_key(r.portfolio_id, r.epoch)),
    TapeSegment: lambda r: Place(
        tape_key(r.token_id, r.ts_start, r.watcher), None, _expires(r.ts_start, _TAPE_DAYS)
    ),
    SignOut: lambda r: Place(sign_out_key(r.expires_s, r.session_id), None, r.expires_s),
    ConfigJob: lambda r: Place(
        config_job_key(r.account_id, r.ts_asked, r.job_id), None, _expires(r.ts_asked, _JOB_DAYS)
    ),
    AuditRow: lambda r: Place(audit_key(r.account_id, r.ts, r.id)),
    KeptSheet: lambda r: Place(kept_sheet_key(r.scope, r.ts), None, _expires(r.ts, _SHEET_DAYS)),
    Snapshot: lambda r: Place(snapshot_key(r.portfolio_id, r.epoch, r.grain, r.ts)),
    LeaderCounts: lambda r: Place(leader_counts_key(r.portfolio_id, r.epoch, r.leader, r.ts_hour)),
    LookBack: lambda r: Place(look_back_key(r), None, _expires(r.ts_due, _LOOK_BACK_DAYS)),
    Hindsight: lambda r: Place(hindsight_key(r.portfolio_id, r.epoch, r.leader)),
}


def place_of(record: Record) -> Place:
    """Address, listing and life time of a record."""
    return _PLACES[type(record)](record)


def key_of(record: Record) -> Key:
    """Address of a record."""
    return place_of(record).key
