"""Splits and merges of a leader: copied by the portfolios that follow, or skipped with a word."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.adapters.stored_rules import store_settings
from chalicelib.domain.complete_set import SetDecision
from chalicelib.domain.ledger import Entry
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Leader
from chalicelib.keyspace import day, key_of
from chalicelib.ports import Put
from tests.workflow.harness import LEADER, OPPOSITE, TOKEN, System, chain, leg
from tests.workflow.holdings_world import M, Truth, assert_folds, event, leader_of, told, tried
from tests.workflow.test_copying import assert_books_balance, buys, waiting
from tests.workflow.test_exactly_once import DyingStore
from tests.workflow.test_settlement import assert_ledgers_hold

GLOBAL = "main/global"
HELD = 10_000


def made(store: DyingStore | None = None) -> System:
    """A leader who holds 10,000 of each outcome, read and followed."""
    system = System(store=store) if store else System()
    long_ago = system.clock.now_ms() - 86_400_000
    Truth([(long_ago, TOKEN, HELD * M), (long_ago, OPPOSITE, HELD * M)]).serve(system)
    system.follow()
    system.services.tend_leaders()
    system.clock.advance(120_000)
    return system


@pytest.fixture
def system() -> System:
    return made()


def now(system: System) -> int:
    return system.clock.now_ms() // 1_000 * 1_000


def tell(system: System, kind: str, shares: int, number: int = 77, **how: object) -> None:
    ts = now(system)
    system.services.ingest(told(event(kind, shares, number=number, ts_block=ts, **how)))  # type: ignore[arg-type]


def work_off(system: System) -> None:
    system.clock.advance(10_000)
    for _ in range(6):
        system.services.sweep(0)


def decisions(system: System, portfolio: str = GLOBAL) -> list[SetDecision]:
    feed = f"sets#main#{day(system.clock.now_ms())}"
    rows = system.store.feed(SetDecision, "portfolio", feed, before=None, limit=100)
    return [row for _, row in reversed(rows) if row.portfolio_id == portfolio]


def held(system: System, portfolio: str = GLOBAL) -> dict[str, int]:
    found: dict[str, int] = {}
    for entry in system.entries(portfolio):
        if entry.token_id:
            found[entry.token_id] = found.get(entry.token_id, 0) + entry.shares
    return {token: shares for token, shares in found.items() if shares}


def changes(system: System, kind: str, portfolio: str = GLOBAL) -> list[Entry]:
    return [entry for entry in system.entries(portfolio) if entry.kind == kind]


def test_a_split_is_sized_like_a_buy_and_costs_one_per_set(system: System) -> None:
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    for portfolio in (GLOBAL, f"main/leader/{LEADER}"):
        assert held(system, portfolio) == {TOKEN: 20 * M, OPPOSITE: 20 * M}, "1 % of 2,000"
        assert system.head(portfolio).cash == 9_980 * M
        (decision,) = decisions(system, portfolio)
        assert (decision.verdict, decision.shares, decision.reasons) == ("EXECUTE", 20 * M, ())
        assert decision.leader_shares == decision.kept == 2_000 * M
    assert {e.ts_effective for e in changes(system, "SPLIT")} == {decisions(system)[0].ts_decided}
    assert waiting(system) == []
    assert_books_balance(system)
    assert_ledgers_hold(system)


def test_a_merge_takes_the_same_part_of_ours(system: System) -> None:
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    # He holds 12,000 of each and merges a quarter.
    tell(system, "MERGE", 3_000 * M, number=78)
    work_off(system)
    assert held(system) == {TOKEN: 15 * M, OPPOSITE: 15 * M}
    assert system.head().cash == 9_985 * M
    assert system.head().realized == 0, "a set is worth one whatever happens"
    assert decisions(system)[-1].before == (12_000 * M, 12_000 * M)
    assert system.position().exit_debt == 0
    assert_ledgers_hold(system)


def test_what_the_scarcer_outcome_forbids_stays_owed(system: System) -> None:
    buys(system)
    system.run_workflows()
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    mine = held(system)
    assert mine[TOKEN] > mine[OPPOSITE] == 20 * M
    # 22,000 of one and 12,000 of the other: he merges all of the scarcer.
    tell(system, "MERGE", 12_000 * M, number=78)
    work_off(system)
    left = held(system)
    part = mine[TOKEN] * 12_000 // 22_000
    assert left == {TOKEN: mine[TOKEN] - 20 * M}
    assert system.position().exit_debt == part - 20 * M
    assert_ledgers_hold(system)


def test_a_merge_without_both_outcomes_is_skipped_and_owed(system: System) -> None:
    buys(system)
    system.run_workflows()
    mine = held(system)[TOKEN]
    tell(system, "MERGE", 10_000 * M, number=78)
    work_off(system)
    (decision,) = decisions(system)
    assert (decision.verdict, decision.reasons) == ("SKIP", (Reason.MERGE_NO_POSITION,))
    assert changes(system, "MERGE") == []
    assert system.position().exit_debt == mine // 2, "half of his 20,000 went"


def test_a_split_without_cash_is_skipped(system: System) -> None:
    head = system.head()
    system.store.commit([Put(replace(head, reserved=head.cash - 19 * M))])
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    (decision,) = decisions(system)
    assert (decision.verdict, decision.reasons) == ("SKIP", (Reason.SPLIT_NO_CASH,))
    assert held(system) == {}


def test_a_split_that_was_sold_before_it_was_known_is_copied_for_what_is_left(
    system: System,
) -> None:
    """The chain shows a sale at once, the feed a split half a minute later."""
    ts = now(system)
    sold = leg(11_000 * M, 500_000, ts_block=ts + 1_000)
    system.services.ingest(chain([sold], side="SELL", ts_seen=ts + 2_000))
    split = event("SPLIT", 2_000 * M, ts_block=ts)
    system.services.ingest(told(split, ts_seen=ts + 30_000))
    system.clock.advance(60_000)
    work_off(system)
    assert decisions(system)[0].kept == 1_000 * M
    assert held(system) == {TOKEN: 10 * M, OPPOSITE: 10 * M}
    rest = leg(1_000 * M, 500_000, ts_block=ts + 200_000, index=5)
    system.clock.advance(200_000)
    system.services.ingest(chain([rest], number=3, side="SELL", ts_seen=ts + 202_000))
    late = event("SPLIT", 500 * M, number=79, ts_block=ts + 100_000)
    system.services.ingest(told(replace(late), ts_seen=ts + 130_000))
    work_off(system)
    assert decisions(system)[-1].kept == 500 * M


def test_a_conversion_is_named_and_skipped_once(system: System) -> None:
    for _ in range(2):
        tell(system, "CONVERSION", 5 * M)
    work_off(system)
    (decision,) = decisions(system)
    assert decision.reasons == (Reason.CONVERSION_UNSUPPORTED,)
    assert held(system) == {}


def test_history_and_strangers_make_no_work(system: System) -> None:
    leader = leader_of(system)
    assert leader.holdings_as_of
    before = event("SPLIT", 9 * M, ts_block=leader.holdings_as_of)
    system.services.ingest(told(before, ts_seen=system.clock.now_ms()))
    assert waiting(system) == []
    system.services.unfollow(LEADER)
    tell(system, "SPLIT", 900 * M, number=79)
    work_off(system)
    assert decisions(system) == []


def test_a_leader_who_is_only_sold_is_not_split_after(system: System) -> None:
    buys(system)
    system.run_workflows()
    system.services.unfollow(LEADER)
    found = system.store.get(Leader, key_of(leader_of(system)))
    assert found
    assert found.state == "sell_only"
    tell(system, "SPLIT", 900 * M, number=79)
    work_off(system)
    assert decisions(system)[0].reasons == (Reason.LEADER_SELL_ONLY,)


def test_settings_decide_on_splits_as_on_buys(system: System) -> None:
    store_settings(system.store, system.clock, "global", {"leader_notional_min": 5_000})
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    assert decisions(system)[0].reasons == (Reason.LEADER_TRADE_TOO_SMALL,)
    store_settings(system.store, system.clock, "global", {"market_fraction_max": 0.001})
    system.clock.advance(60_000)
    tell(system, "SPLIT", 3_000 * M, number=80)
    work_off(system)
    assert decisions(system)[-1].reasons == (Reason.RISK_CAP_MARKET,)


def test_an_old_split_is_not_opened_and_an_old_merge_is_followed(system: System) -> None:
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    ts = now(system)
    system.clock.advance(400_000)
    late = ts + 390_000
    system.services.ingest(told(event("SPLIT", 700 * M, number=81, ts_block=ts), ts_seen=late))
    system.services.ingest(told(event("MERGE", 700 * M, number=82, ts_block=ts), ts_seen=late))
    work_off(system)
    assert [d.reasons for d in decisions(system)[1:]] == [(Reason.TOO_OLD,), ()]


def test_a_merge_waits_for_a_buy_on_its_way(system: System) -> None:
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    buys(system)
    (work, *_) = waiting(system)
    system.clock.advance(work.ts_due + 750 - system.clock.now_ms())
    system.services.advance(GLOBAL)
    assert system.attempt().status == "SUBMITTED"
    tell(system, "MERGE", 22_000 * M, number=78, cash=22_000 * M)
    work_off(system)
    bought = system.attempt().outcome
    assert bought
    assert bought.shares
    decision = decisions(system)[-1]
    assert decision.held == (20 * M + bought.shares, 20 * M), "what the order brought counts"


def test_a_merge_waits_for_a_buy_of_before_that_is_not_decided(system: System) -> None:
    """One poll shows what he bought and that he merged it: the merge overtakes nothing."""
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    buys(system)
    seen = waiting(system)[0].ts_due - 2_000
    merge = event("MERGE", 22_000 * M, number=78, ts_block=now(system), cash=22_000 * M)
    system.services.ingest(told(merge, ts_seen=seen))
    assert waiting(system)[0].kind == "set_change"
    work_off(system)
    bought = system.attempt().outcome
    assert bought
    assert bought.shares
    decision = decisions(system)[-1]
    assert decision.held == (20 * M + bought.shares, 20 * M), "what he bought before it counts"
    assert waiting(system) == []
    assert_ledgers_hold(system)


def test_a_buy_of_after_a_merge_is_not_waited_for(system: System) -> None:
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    ts = now(system)
    merge = event("MERGE", 3_000 * M, number=78, ts_block=ts - 60_000)
    buys(system)
    system.services.ingest(told(merge, ts_seen=ts))
    system.services.advance(GLOBAL)
    assert decisions(system)[-1].held == (20 * M, 20 * M)


def test_a_merge_takes_its_part_of_what_is_not_owed_already(system: System) -> None:
    """Owed shares should be gone: he merges half of the others, and nothing twice."""
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    position = system.position()
    system.store.commit([Put(replace(position, exit_debt=8 * M))])
    tell(system, "MERGE", 6_000 * M, number=78)
    work_off(system)
    # 20 held, 8 owed, half of the other 12: 14 of one should go, 10 of the other.
    decision = decisions(system)[-1]
    assert (decision.shares, decision.unmerged) == (10 * M, (4 * M, 0))
    assert held(system) == {TOKEN: 10 * M, OPPOSITE: 10 * M}
    assert system.position().exit_debt == 4 * M, "6 stay, as half of what was not owed"
    assert_ledgers_hold(system)


def test_a_paused_merge_adds_to_what_is_owed_what_it_would_have_taken(system: System) -> None:
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    position = system.position()
    system.store.commit([Put(replace(position, exit_debt=8 * M))])
    system.services.control.pause("ada")
    tell(system, "MERGE", 6_000 * M, number=78)
    work_off(system)
    assert decisions(system)[-1].reasons == (Reason.PAUSED,)
    assert system.position().exit_debt == 14 * M


def test_a_split_opens_a_position_in_every_outcome(system: System) -> None:
    store_settings(system.store, system.clock, "global", {"open_positions_max": 1})
    tell(system, "SPLIT", 2_000 * M)
    work_off(system)
    assert decisions(system)[-1].reasons == (Reason.RISK_CAP_POSITIONS,)
    assert held(system) == {}
    store_settings(system.store, system.clock, "global", {"open_positions_max": 2})
    system.clock.advance(60_000)
    tell(system, "SPLIT", 2_000 * M, number=80)
    work_off(system)
    assert decisions(system)[-1].verdict == "EXECUTE"
    tell(system, "SPLIT", 2_000 * M, number=81)
    work_off(system)
    assert decisions(system)[-1].verdict == "EXECUTE", "both are open already"


def test_nothing_to_merge_or_split_is_never_executed(system: System) -> None:
    settings = {"dust_shares": 0, "buy_cash_min": 0, "copy_fraction": "0.000001"}
    store_settings(system.store, system.clock, "global", settings)
    tell(system, "MERGE", 2_000 * M)
    tell(system, "SPLIT", 2_000 * M, number=80)
    work_off(system)
    assert {d.kind: (d.verdict, d.reasons) for d in decisions(system)} == {
        "MERGE": ("SKIP", (Reason.MERGE_NO_POSITION,)),
        "SPLIT": ("SKIP", (Reason.BELOW_MINIMUM,)),
    }


@pytest.mark.parametrize("kind", ["SPLIT", "MERGE", "CONVERSION"])
def test_what_a_reset_overtakes_is_skipped_with_its_reason(system: System, kind: str) -> None:
    tell(system, kind, 2_000 * M)
    system.services.reset_paper({GLOBAL: 1}, who="ada")
    work_off(system)
    (decision,) = decisions(system)
    assert (decision.epoch, decision.verdict) == (1, "SKIP")
    assert decision.reasons == (Reason.PORTFOLIO_RESET,)
    assert changes(system, kind) == []
    (own,) = decisions(system, f"main/leader/{LEADER}")
    assert own.reasons != decision.reasons


def scenario(system: System) -> None:
    ts = now(system)
    split = told(event("SPLIT", 2_000 * M, ts_block=ts), ts_seen=ts + 5_000)
    merge = told(event("MERGE", 3_000 * M, number=78, ts_block=ts + 20_000), ts_seen=ts + 25_000)
    converted = event("CONVERSION", M, number=79, ts_block=ts + 21_000)
    for message in (split, merge, told(converted, ts_seen=ts + 26_000), split, merge):
        tried(system.services.ingest, message)
    for _ in range(6):
        system.clock.advance(30_000)
        tried(system.services.ingest_activity.retry_waiting, 10)
        tried(system.services.sweep, 0)


def test_dying_at_any_commit_changes_nothing() -> None:
    def run(dies_at: int, after: bool) -> tuple[System, int]:
        store = DyingStore(dies_at, after)
        system = made(store)
        store.armed = True
        scenario(system)
        return system, store.commits

    undisturbed, commits = run(0, after=False)
    assert len(decisions(undisturbed)) == 3
    expected = undisturbed.digests()
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert system.digests() == expected, where
            assert len(decisions(system)) == 3, where
            assert waiting(system) == [], where
            assert_folds(system)
