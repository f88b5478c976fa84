"""Keys are frozen: stored records must stay where they are."""

from __future__ import annotations

from dataclasses import replace
from typing import get_args

from hypothesis import given
from hypothesis import strategies as st

from chalicelib import keyspace as k
from chalicelib.domain.breakers import Breakers
from chalicelib.domain.complete_set import SetChange, SetDecision
from chalicelib.domain.completeness import HourTally
from chalicelib.domain.config_job import ConfigJob
from chalicelib.domain.consumption import Consumed
from chalicelib.domain.decision import decide
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.group import Correction, Fill
from chalicelib.domain.hindsight import Hindsight, LookBack
from chalicelib.domain.lane import Attempt, LaneInput, Work
from chalicelib.domain.leader_event import LeaderEvent, WaitingEvent
from chalicelib.domain.leader_notionals import LeaderNotionals
from chalicelib.domain.ledger import Entry
from chalicelib.domain.ledger_check import LedgerCheck, LedgerPass
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.market_sync import DigestPage, SyncState
from chalicelib.domain.performance import LeaderCounts
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.reconciliation import Reconciliation
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
from chalicelib.domain.snapshot import Snapshot
from chalicelib.domain.stress import StressDue
from chalicelib.domain.tape_text import TapeSegment
from chalicelib.domain.trade import new_trade
from chalicelib.domain.witness import Arrival, BookSnapshot, Witness
from tests.unit.test_domain_decision import BUY, group
from tests.unit.wire import CONDITION, LEADER, NOW_MS, YES, hash_of, market

TRADE = new_trade(
    LEADER, LEADER, hash_of("tx"), YES, "BUY", source="api", backfill=False, ts_listed=NOW_MS
)
WORK = Work("main/global", 2, NOW_MS, "group", "g1", LEADER, YES, "BUY", 7, NOW_MS, NOW_MS, 3)
ATTEMPT = Attempt(
    attempt_id="a1",
    group_id="g",
    portfolio_id="main/global",
    epoch=2,
    leader=LEADER,
    token_id=YES,
    side="BUY",
    ts_opened=NOW_MS,
    decision=decide(BUY)[0],
    status="SUBMITTED",
    reasons=(),
    order=None,
    fee_schedule=FeeSchedule(),
    reserved=0,
    outcome=None,
    ran_at=NOW_MS,
    late_by_ms=0,
)
FILL = Fill("t:3", "t", 3, LEADER, YES, "BUY", 5, 2, None, 7, NOW_MS, NOW_MS)
ENTRY = Entry("main/global", 2, 1, "FEE", "a1", YES, LEADER, 0, -1, NOW_MS, order=12)
EVENT = LeaderEvent(
    event_id="e1",
    leader=LEADER,
    wallet=LEADER,
    kind="SPLIT",
    tx_hash=hash_of("tx"),
    condition_id=CONDITION,
    token_id="",
    outcome_index=None,
    rows=(),
    ts_block=NOW_MS,
    ts_seen=NOW_MS,
    state="waiting",
)

HEAD = Head("main/global", "global", "", 2, 1, 1)
SET_DECISION = SetDecision(
    portfolio_id="main/global",
    epoch=2,
    change_id="e1/5/5/0",
    leader=LEADER,
    kind="SPLIT",
    condition_id=CONDITION,
    tokens=(YES,),
    verdict="SKIP",
    reasons=(),
    shares=0,
    unmerged=(0,),
    leader_shares=5,
    kept=5,
    before=(0,),
    held=(0,),
    free_cash=0,
    equity=0,
    rules_digest="d",
    ts_block=NOW_MS,
    ts_decided=NOW_MS,
)

# 1_795_000_000_000 ms is 2026-11-18.
PLACES = [
    (TRADE, "activity", f"trade#{TRADE.trade_id}", "-"),
    (FILL, "activity", "trade#t", "fill#000003"),
    (group(), "activity", f"line#{LEADER}#{YES}#BUY", "group#000000001"),
    (Head("main/global", "global", "", 2, 1, 1), "portfolio", "main/global#2", "head"),
    (Breakers("main/global", 2), "portfolio", "main/global#2", "breakers"),
    (
        WORK,
        "portfolio",
        "main/global#2",
        "work#1795000000000#1795000000000#1795000000000#00000003#g1",
    ),
    (ENTRY, "portfolio", "main/global#2", "entry#1795000000000#00000012#a1#FEE"),
    (
        Position("main/global", 2, YES, LEADER),
        "portfolio",
        "main/global#2",
        f"position#{YES}#{LEADER}",
    ),
    (ATTEMPT, "portfolio", "main/global#2", "attempt#1795000000000#a1"),
    (Consumed("main/global", 2, YES), "portfolio", "main/global#2", f"consumed#{YES}"),
    (
        StressDue("main/global", 2, "a1", NOW_MS - 1, NOW_MS),
        "portfolio",
        "main/global#2",
        "stress#1795000000000#a1",
    ),
    (Leader(LEADER, "n", (LEADER,), "on", 0), "registry", "leaders", LEADER),
    (
        PortfolioRef("main/global", "main", "global", "", 2),
        "registry",
        "portfolios",
        "main/global",
    ),
    (market(), "registry", f"market#{CONDITION}", "-"),
    (TokenPointer(YES, CONDITION), "registry", f"token#{YES}", "-"),
    (Cursor(LEADER, hash_of(1), 5), "registry", f"cursor#{LEADER}", hash_of(1)),
    (Heartbeat("polygon", 1, True), "registry", "heartbeats", "polygon"),
    (Config("00ff", "{}"), "registry", "config#00ff", "-"),
    (LeaderNotionals(LEADER), "registry", f"notionals#{LEADER}", "-"),
    (SettingsRow("global", "{}"), "registry", "settings", "global"),
    (MarkSheet("", 1), "registry", "marks", "latest"),
    (MarkSheet("", 1, "shadows"), "registry", "marks", "shadows"),
    (MarketLists("main"), "registry", "market_lists", "main"),
    (SyncState(), "registry", "market_sync", "-"),
    (DigestPage(2, 7, ""), "registry", "market_digests", "000002#0007"),
    (WalletOwner(LEADER, LEADER), "registry", f"wallet#{LEADER}", "-"),
    (
        HoldingsSheet(LEADER, 2, NOW_MS, 3, 4, ()),
        "activity",
        f"holdings#{LEADER}",
        "000002#1795000000000#003",
    ),
    (HoldingsCheck(LEADER), "registry", "holdings_checks", LEADER),
    (EVENT, "activity", "event#e1", "-"),
    (WaitingEvent("e1", LEADER, NOW_MS), "activity", "waiting_events", "1795000000000#e1"),
    (
        HourTally(LEADER, NOW_MS, NOW_MS, NOW_MS),
        "activity",
        f"hours#{LEADER}",
        "1795000000000",
    ),
    (Correction("t", 4, -5, NOW_MS), "activity", "trade#t", "correction#000004"),
    (
        Check("t", LEADER, LEADER, hash_of("tx"), YES, "BUY", "removed", 1, 2, NOW_MS),
        "activity",
        "checks",
        "1795000000000#t#removed",
    ),
    (
        RawPayload("t", 2, "api", NOW_MS, ""),
        "activity",
        "raw#t",
        "000002#api",
    ),
    (
        CatchUp(LEADER, NOW_MS, NOW_MS + 1, "start"),
        "registry",
        "catch_ups",
        f"{LEADER}#1795000000000",
    ),
    (ExchangeContract(LEADER, "v3", True), "registry", "exchanges", LEADER),
    (ChainCursor(LEADER, 5), "registry", "chain_cursors", LEADER),
    (
        TapeRequest(YES, NOW_MS - 1, NOW_MS),
        "activity",
        "tape_requests",
        f"1795000000000#{YES}#1794999999999",
    ),
    (
        SetChange("e1/5/5/0", LEADER, LEADER, "SPLIT", CONDITION, (YES,), 5, 5, 5, (0,), NOW_MS, 1),
        "activity",
        "set_change#e1/5/5/0",
        "-",
    ),
    (SET_DECISION, "portfolio", "main/global#2", "set#1795000000000#e1/5/5/0"),
    (LedgerCheck("main/global", 2, 1, 1, 1), "registry", "ledger_checks", "main/global#2"),
    (Reconciliation("recent", 1, 2, 3), "registry", "reconciliation", "-"),
    (
        Reconciliation(LEADER, 1, NOW_MS, 3),
        "activity",
        f"reconciliations#{LEADER}",
        "1795000000000",
    ),
    (LedgerPass("main/global", 2, 1, "", HEAD, ""), "registry", "ledger_passes", "main/global#2"),
    (
        TapeSegment(YES, "w1", NOW_MS, NOW_MS + 1, True, False, "d", ""),
        "activity",
        f"tape#{YES}",
        "1795000000000#w1",
    ),
    (
        KeptSheet("", NOW_MS + 30_000, "latest"),
        "activity",
        "marks#latest",
        "1795000020000",
    ),
    (
        Snapshot("main/global", 2, "5m", NOW_MS, NOW_MS, 1, 1, 0, 0, 0, 0, 0, 0, 0),
        "portfolio",
        "main/global#2",
        "snapshot#5m#1795000000000",
    ),
    (
        LeaderCounts("main/global", 2, LEADER, NOW_MS),
        "portfolio",
        "main/global#2",
        f"counts#{LEADER}#1795000000000",
    ),
    (Hindsight("main/global", 2, LEADER), "portfolio", "main/global#2", f"hindsight#{LEADER}"),
    (
        LookBack("main", "main/global", 2, "a1", LEADER, YES, NOW_MS, NOW_MS + 1),
        "activity",
        "look_backs#main#marks",
        "1795000000001#a1",
    ),
    (
        ConfigJob("j1", "main", "ada", NOW_MS, 24, "{}"),
        "activity",
        "config_jobs#main",
        "1795000000000#j1",
    ),
    (
        Arrival(LEADER, NOW_MS, 7, "t1"),
        "activity",
        f"arrivals#{LEADER}#2026-11-18",
        "1795000000000#000007#t1",
    ),
    (Witness("d1"), "activity", "witness#d1", "-"),
    (
        BookSnapshot(TapeSegment(YES, "rest", NOW_MS, NOW_MS, True, False, "ab" * 32, "")),
        "activity",
        f"snapshots#{YES}",
        f"1795000000000#{'ab' * 8}",
    ),
    (
        LaneInput(
            Work("main/global", 1, NOW_MS, "exit", "x1", LEADER, YES, "SELL", 0, NOW_MS, NOW_MS, 0),
            NOW_MS + 9,
        ),
        "portfolio",
        "main/global#1",
        "input#1795000000000#exit#x1",
    ),
    (SignOut("s1", 1_795_000_000), "activity", "sign_outs", "01795000000#s1"),
    (
        AuditRow(NOW_MS, "ada", "settings.change", "global", "", "{}", "a1"),
        "audit",
        "audit#main#2026-11",
        "1795000000000#a1",
    ),
]


def test_every_record_has_its_frozen_place() -> None:
    for record, table, pk, sk in PLACES:
        assert k.key_of(record) == k.Key(table, pk, sk)  # type: ignore[arg-type]
        assert table in k.TABLES


def test_no_kind_of_record_is_missing_here() -> None:
    assert {type(record) for record, *_ in PLACES} == set(get_args(k.Record))


def test_listings_and_life_times() -> None:
    assert k.place_of(TRADE).feed == ("trades#2026-11-18", f"1795000000000#{TRADE.trade_id}")
    assert k.place_of(TRADE).ttl == NOW_MS // 1000 + 400 * 86_400
    assert k.place_of(ATTEMPT).feed == ("attempts#main#2026-11-18", "1795000000000#a1")
    assert k.place_of(EVENT).feed == ("events#2026-11-18", "1795000000000#e1")
    listed = "1795000000000#e1/5/5/0#main/global"
    assert k.place_of(SET_DECISION).feed == ("sets#main#2026-11-18", listed)
    position = Position("main/global", 2, YES, LEADER)
    assert k.place_of(position).feed is None
    for field in ("shares", "exit_debt", "reserved"):
        place = k.place_of(replace(position, **{field: 1}))
        assert place.feed == ("open#main/global#2", f"{YES}#{LEADER}")
    assert k.place_of(FILL).ttl == NOW_MS // 1000 + 90 * 86_400
    for record, table, *_ in PLACES:
        place = k.place_of(record)
        if table in ("portfolio", "registry"):
            assert place.ttl is None, "money and registry never expire"
        if place.feed is not None:
            assert table in k.FEED_TABLES


TIMES = st.integers(0, 9_999_999_999_999)


WORKS = st.builds(
    lambda due, decided, block, order, ref: replace(
        WORK, ts_due=due, ts_decided=decided, ts_block=block, order=order, ref=ref
    ),
    TIMES,
    TIMES,
    TIMES,
    st.integers(0, 99_999_999),
    st.text("0123456789abcdef", min_size=4, max_size=4),
)


@given(st.lists(WORKS))
def test_work_rows_sort_by_due_and_decision_time_then_the_leaders_order(rows: list[Work]) -> None:
    by_key = sorted(rows, key=lambda row: k.work_key(row).sk)
    assert by_key == sorted(
        rows, key=lambda r: (r.ts_due, r.ts_decided, r.ts_block, r.order, r.ref)
    )


@given(st.lists(st.tuples(TIMES, st.integers(0, 99_999_999))))
def test_entries_sort_by_effective_time_then_order(rows: list[tuple[int, int]]) -> None:
    by_key = sorted(rows, key=lambda row: k.entry_key("p", 1, *row, "r", "FEE").sk)
    assert by_key == sorted(rows)


@given(TIMES, st.text("0123456789abcdef", min_size=1))
def test_work_due_by_a_moment_is_a_key_range(ts: int, ref: str) -> None:
    key = k.work_key(replace(WORK, ts_due=ts, ref=ref)).sk
    assert "work#" < key < f"work#{ts + 1:013d}" or ts == 9_999_999_999_999


def test_days_are_utc() -> None:
    assert k.day(1_777_334_399_999) == "2026-04-27"
    assert k.day(1_777_334_400_000) == "2026-04-28"
