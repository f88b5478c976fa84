"""Activity that is not a trade reaches the shadow once, or is kept, and never stops anything."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from chalicelib.domain.errors import InvalidInput, Permanent, Retryable
from chalicelib.domain.evidence import ActivityEvidence
from chalicelib.domain.identifiers import event_id
from chalicelib.domain.leader_event import LeaderEvent, WaitingEvent
from chalicelib.domain.registry import RawPayload
from chalicelib.keyspace import day, event_key
from chalicelib.ports import Put
from chalicelib.services.holdings_checks import holdings_check
from chalicelib.services.raw_payloads import raw_texts
from tests.workflow.harness import (
    LEADER,
    OPPOSITE,
    T0,
    TOKEN,
    System,
    chain,
    leg,
    market,
    tx,
)
from tests.workflow.holdings_world import (
    SHADOW,
    M,
    Truth,
    assert_folds,
    event,
    shadow,
    told,
    tried,
)
from tests.workflow.test_exactly_once import DyingStore

TS = T0 + 60_000
MINUTE = 60_000
COMBO = "1478180995445884194963783500106018329313736528433258596285541062936163778560"


@pytest.fixture
def truth() -> Truth:
    return Truth([(T0 - 86_400_000, TOKEN, 100 * M), (T0 - 86_400_000, OPPOSITE, 40 * M)])


@pytest.fixture
def system(truth: Truth) -> System:
    made = System()
    truth.serve(made)
    made.follow()
    made.services.tend_leaders()
    made.clock.advance(2 * MINUTE)
    return made


def kept(system: System, evidence: ActivityEvidence) -> LeaderEvent:
    named = (evidence.tx_hash, evidence.kind, evidence.condition_id, evidence.token_id)
    found = system.store.get(LeaderEvent, event_key(event_id(LEADER, *named)))
    assert found is not None
    return found


def waiting(system: System) -> list[WaitingEvent]:
    return system.store.query(WaitingEvent, "activity", "waiting_events")


def effects(system: System, kind: str) -> list[tuple[str, int, int]]:
    return sorted((e.token_id, e.shares, e.cash) for e in system.entries(SHADOW) if e.kind == kind)


def test_a_split_buys_every_outcome_for_half_the_cash(system: System) -> None:
    split = event("SPLIT", 10 * M + 1, ts_block=TS)
    system.services.ingest(told(split))
    assert effects(system, "SPLIT") == [
        (TOKEN, 10 * M + 1, -(5 * M + 1)),
        (OPPOSITE, 10 * M + 1, -5 * M),
    ]
    assert shadow(system) == {TOKEN: 110 * M + 1, OPPOSITE: 50 * M + 1}
    assert system.head(SHADOW).cash == -(10 * M + 1)
    assert kept(system, split).state == "applied"
    assert waiting(system) == []
    assert_folds(system)


def test_a_merge_gives_both_back(system: System) -> None:
    system.services.ingest(told(event("MERGE", 40 * M, ts_block=TS)))
    assert shadow(system) == {TOKEN: 60 * M}
    assert system.head(SHADOW).cash == 40 * M
    assert_folds(system)


def test_a_split_comes_before_a_sell_of_its_second(system: System) -> None:
    system.services.ingest(told(event("SPLIT", 100 * M, ts_block=TS)))
    system.services.ingest(chain([leg(50 * M, 500_000, ts_block=TS, index=7)], side="SELL"))
    (sold,) = [e for e in system.entries(SHADOW) if e.kind == "TRADE_FILL"]
    assert sold.pre_sell == 200 * M


@pytest.mark.parametrize(
    ("changes", "winner"),
    [
        ({"outcome": 1}, OPPOSITE),
        ({"token": OPPOSITE}, OPPOSITE),
        ({}, TOKEN),
        ({"shares": 40 * M}, OPPOSITE),
        ({"shares": 3 * M, "cash": 3 * M}, TOKEN),
    ],
)
def test_a_redemption_ends_every_outcome_and_pays_for_one(
    system: System, changes: dict[str, object], winner: str
) -> None:
    fields: dict[str, object] = {"shares": 100 * M, "ts_block": TS} | changes
    redeemed = event("REDEEM", **fields)  # type: ignore[arg-type]
    system.services.ingest(told(redeemed))
    assert shadow(system) == {}
    loser = OPPOSITE if winner == TOKEN else TOKEN
    held = {TOKEN: 100 * M, OPPOSITE: 40 * M}
    assert effects(system, "REDEEM") == sorted(
        [(winner, -held[winner], redeemed.cash), (loser, -held[loser], 0)]
    )
    assert_folds(system)


def test_two_rows_of_one_redemption_pay_once_each(system: System) -> None:
    win = event("REDEEM", 100 * M, ts_block=TS)
    lose = event("REDEEM", 0, ts_block=TS)
    system.services.ingest(told(lose, win))
    assert shadow(system) == {}
    assert system.head(SHADOW).cash == 100 * M
    assert_folds(system)


def test_a_redemption_takes_what_was_held_then_and_not_what_came_later(system: System) -> None:
    system.services.ingest(chain([leg(9 * M, 500_000, ts_block=TS + 5_000)]))
    system.services.ingest(told(event("REDEEM", 100 * M, ts_block=TS)))
    assert shadow(system) == {TOKEN: 9 * M}


def test_a_redemption_waits_until_it_is_known_what_was_held(truth: Truth) -> None:
    system = System()
    truth.serve(system)
    system.follow()
    truth.changes += [(T0 + 2_000, TOKEN, -100 * M), (T0 + 2_000, OPPOSITE, -40 * M)]
    system.services.ingest(told(event("REDEEM", 100 * M, ts_block=T0 + 2_000)))
    assert len(waiting(system)) == 1
    system.clock.advance(5_000)
    system.services.holdings()
    assert shadow(system) == {TOKEN: 100 * M, OPPOSITE: 40 * M}
    system.clock.advance(2 * MINUTE)
    system.services.tend_leaders()
    assert shadow(system) == {}
    assert waiting(system) == []


@pytest.mark.parametrize("kind", ["MAKER_REBATE", "TAKER_REBATE"])
def test_rebates_are_negative_fees(system: System, kind: str) -> None:
    system.services.ingest(told(event(kind, 12 * M, ts_block=TS, condition="")))
    head = system.head(SHADOW)
    assert (head.cash, head.fees, head.realized) == (12 * M, -12 * M, 0)
    assert_folds(system)


@pytest.mark.parametrize("kind", ["REWARD", "YIELD", "TIP", "DEPOSIT", "WITHDRAWAL", "MIGRATION"])
def test_what_is_no_trading_is_recorded_only(system: System, kind: str) -> None:
    before = system.entries(SHADOW)
    evidence = event(kind, 12 * M, ts_block=TS, condition="")
    system.services.ingest(told(evidence))
    assert kept(system, evidence).state == "recorded"
    assert system.entries(SHADOW) == before


def test_an_unknown_kind_is_kept_raw_and_counted_and_its_neighbours_go_on(system: System) -> None:
    odd = event("TELEPORT", 5 * M, ts_block=TS)
    system.services.ingest(told(odd, event("SPLIT", M, ts_block=TS)))
    found = kept(system, odd)
    assert found.state == "unknown"
    assert system.metrics.snapshot()["events_unknown"] == 1
    (raw,) = system.store.query(RawPayload, "activity", f"raw#{found.event_id}")
    assert raw_texts(raw) == ['{"a":1}']
    assert shadow(system)[OPPOSITE] == 41 * M
    feed = system.store.feed(LeaderEvent, "activity", f"events#{day(TS)}", before=None, limit=10)
    assert {e.kind for _, e in feed} == {"TELEPORT", "SPLIT"}


def test_the_highest_count_wins_and_every_one_counts_once(system: System) -> None:
    for count in (1, 3, 2, 3, 1):
        system.services.ingest(told(event("SPLIT", M, ts_block=TS, count=count)))
    assert shadow(system)[TOKEN] == 103 * M
    assert [row.applied for row in kept(system, event("SPLIT", M, ts_block=TS)).rows] == [3]
    assert_folds(system)


def test_rows_of_one_transaction_with_other_amounts_are_others(system: System) -> None:
    two = (event("SPLIT", M, ts_block=TS), event("SPLIT", 5 * M, ts_block=TS))
    for _ in range(2):
        system.services.ingest(told(*two))
    assert shadow(system)[TOKEN] == 106 * M


def test_what_the_holdings_contain_moves_nothing(system: System) -> None:
    old = [
        event("SPLIT", M, ts_block=T0 - 10_000),
        event("MAKER_REBATE", M, ts_block=T0 - 20_000, condition=""),
        event("CONVERSION", M, ts_block=T0 - 20_000),
    ]
    system.services.ingest(told(*old, ts_seen=T0))
    assert shadow(system) == {TOKEN: 100 * M, OPPOSITE: 40 * M}
    assert system.head(SHADOW).cash == 0
    assert {kept(system, e).state for e in old} == {"recorded"}
    assert holdings_check(system.store, LEADER).ts_conversion == 0


def test_an_unknown_market_is_asked_for_and_waited_for(truth: Truth) -> None:
    system = System()
    truth.serve(system)
    system.venue.market = None
    system.follow()
    system.services.tend_leaders()
    split = event("SPLIT", 10 * M, ts_block=TS)
    system.services.ingest(told(split))
    assert kept(system, split).state == "waiting"
    assert len(waiting(system)) == 1
    for _ in range(6):
        system.clock.advance(20 * MINUTE)
        system.services.ingest_activity.retry_waiting(5)
    assert kept(system, split).tries > 3
    system.venue.market = market()
    system.clock.advance(60 * MINUTE)
    assert system.services.ingest_activity.retry_waiting(5) == 1
    assert shadow(system)[OPPOSITE] == 50 * M
    assert waiting(system) == []


def test_a_venue_that_does_not_answer_delays_only_the_event(system: System) -> None:
    other = event("SPLIT", 10 * M, ts_block=TS, condition="0x" + "d" * 64)
    system.venue.down = True
    system.services.ingest(told(other, event("SPLIT", M, ts_block=TS)))
    assert shadow(system)[TOKEN] == 101 * M
    assert kept(system, other).state == "waiting"


def test_retries_are_bounded_and_go_by_due_time(truth: Truth) -> None:
    system = System()
    truth.serve(system)
    system.venue.market = None
    system.follow()
    for number in range(5):
        system.services.ingest(told(event("SPLIT", M, ts_block=TS, number=number)))
    assert system.services.ingest_activity.retry_waiting(2) == 0
    system.venue.market = market()
    system.clock.advance(2 * 60 * MINUTE)
    assert system.services.ingest_activity.retry_waiting(2) == 2
    assert len(waiting(system)) == 3


def test_a_combos_redemption_ends_its_one_token(system: System) -> None:
    condition = "0x03" + "a" * 60
    system.services.ingest(chain([leg(7 * M, 500_000, ts_block=TS - 1_000)], token=COMBO))
    split = event("SPLIT", M, ts_block=TS, condition=condition, number=3)
    redeemed = event("REDEEM", 0, cash=9 * M, ts_block=TS, condition=condition, token=COMBO)
    system.services.ingest(told(split, redeemed))
    assert kept(system, split).state == "recorded"
    assert COMBO not in shadow(system)


def test_a_conversion_lets_holdings_be_read_and_books_the_difference(
    system: System, truth: Truth
) -> None:
    system.venue.market = market(neg_risk=True)
    system.services.sync_markets()
    truth.changes += [(TS, TOKEN, 5 * M), (TS, OPPOSITE, -5 * M)]
    converted = event("CONVERSION", 5 * M, ts_block=TS)
    system.services.ingest(told(converted))
    assert kept(system, converted).state == "applied"
    before = shadow(system)
    for readings in range(1, 5):
        system.clock.advance(30_000)
        system.services.tend_leaders()
        # The first sees it, the second is too close to it, the third is 60 s later.
        booked = truth.holds(system.clock.now_ms())
        assert shadow(system) == (booked if readings >= 3 else before), readings
    kinds = {e.kind for e in system.entries(SHADOW) if e.reference.startswith("conversion/")}
    assert kinds == {"CONVERSION"}
    assert "holdings_drift" not in system.metrics.snapshot()
    assert_folds(system)
    system.clock.advance(15 * MINUTE)
    system.services.tend_leaders()
    assert holdings_check(system.store, LEADER).ts_conversion == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": ""},
        {"kind": "K" * 65},
        {"condition": "0x12"},
        {"token": "0x12"},
        {"shares": -1},
        {"cash": 10**18 + 1},
        {"ts_block": 0},
        {"count": 0},
        {"count": 201},
    ],
)
def test_what_no_event_can_be_is_refused_before_anything_is_written(
    system: System, changes: dict[str, object]
) -> None:
    fields: dict[str, object] = {"kind": "SPLIT", "shares": M, "ts_block": TS} | changes
    good = event("SPLIT", M, ts_block=TS, number=5)
    before = shadow(system)
    with pytest.raises(InvalidInput):
        system.services.ingest(told(good, event(**fields)))  # type: ignore[arg-type]
    assert shadow(system) == before


def test_an_event_with_too_many_rows_loses_no_other(system: System) -> None:
    many = [event("SPLIT", n + 1, ts_block=TS, condition="0x" + "d" * 64) for n in range(51)]
    system.services.ingest(told(*many[:50]))
    with pytest.raises(InvalidInput, match="distinct rows"):
        system.services.ingest(told(many[50], event("SPLIT", 10 * M, ts_block=TS, number=2)))
    assert shadow(system)[OPPOSITE] == 50 * M


def test_events_that_fail_wait_longer_and_let_others_through(system: System) -> None:
    system.venue.market = None
    condition = "0x" + "d" * 64
    broken = [event("SPLIT", M, ts_block=TS, number=n, condition=condition) for n in range(3)]
    system.services.ingest(told(*broken))
    system.clock.advance(MINUTE)
    system.services.ingest(told(event("SPLIT", M, ts_block=TS, number=9, condition=condition)))
    system.clock.advance(MINUTE)
    system.venue.market = market(condition_id=condition)
    applied = system.services.ingest_activity._apply

    def failing(waits: LeaderEvent, tokens: tuple[str, ...]) -> object:
        if waits.tx_hash != tx(9):
            raise Permanent("this one never works")
        return applied(waits, tokens)

    system.services.ingest_activity._apply = failing  # type: ignore[method-assign, assignment]
    with pytest.raises(Permanent):
        system.services.ingest_activity.retry_waiting(3)
    assert system.services.ingest_activity.retry_waiting(3) == 1
    assert len(waiting(system)) == 3


def test_a_row_without_its_event_goes(system: System) -> None:
    system.store.commit([Put(WaitingEvent("nobody", LEADER, T0 - 1))])
    system.services.ingest_activity.retry_waiting(5)
    assert waiting(system) == []


def scenario(system: System, truth: Truth, steps: Sequence[ActivityEvidence]) -> None:
    tried(system.services.tend_leaders)
    for evidence in steps:
        tried(system.services.ingest, told(evidence))
        tried(system.services.ingest, told(evidence))
    system.venue.market = market()
    system.clock.advance(2 * 60 * MINUTE)
    tried(system.services.tend_leaders)


@pytest.mark.parametrize("market_known", [True, False])
def test_dying_at_any_commit_changes_nothing(market_known: bool) -> None:
    steps = [
        event("SPLIT", 20 * M, ts_block=TS, number=1),
        event("SPLIT", 20 * M, ts_block=TS, number=1, count=2),
        event("MAKER_REBATE", 3 * M, ts_block=TS, number=2, condition=""),
        event("MERGE", 60 * M, ts_block=TS + 1_000, number=3),
        event("REDEEM", 80 * M, ts_block=TS + 2_000, number=4),
        event("CONVERSION", M, ts_block=TS + 3_000, number=5),
    ]

    def run(dies_at: int, after: bool) -> tuple[System, int]:
        store = DyingStore(dies_at, after)
        system = System(store=store)
        truth = Truth([(T0 - 1, TOKEN, 100 * M), (T0 - 1, OPPOSITE, 40 * M)])
        truth.changes = [(T0 - 86_400_000, token, shares) for _, token, shares in truth.changes]
        # What the events below do, as the venue sees it.
        truth.changes += [(TS + 2_000, TOKEN, -100 * M), (TS + 2_000, OPPOSITE, -40 * M)]
        truth.serve(system)
        system.follow()
        if not market_known:
            system.venue.market = None
        store.armed = True
        scenario(system, truth, steps)
        return system, store.commits

    undisturbed, commits = run(0, after=False)
    expected = undisturbed.digests()
    assert shadow(undisturbed) == {}
    assert undisturbed.head(SHADOW).cash == -40 * M + 3 * M + 60 * M + 80 * M
    assert commits > 12
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert system.head(SHADOW).cash == undisturbed.head(SHADOW).cash, where
            assert shadow(system) == {}, where
            assert waiting(system) == [], where
            if market_known:
                assert system.digests() == expected, where
            assert_folds(system)


def test_lasting_contention_is_delivered_again(system: System) -> None:
    class Contended(DyingStore):
        def commit(self, writes):  # type: ignore[no-untyped-def]
            from chalicelib.domain.errors import Conflict

            raise Conflict("somebody else")

    contended = Contended(0, after=False)
    contended.__dict__.update({k: v for k, v in vars(system.store).items() if k != "armed"})
    with pytest.raises(Retryable, match="contended"):
        system.wire(contended).ingest_activity(
            system.services.follow([LEADER]), told(event("SPLIT", M, ts_block=TS))
        )
