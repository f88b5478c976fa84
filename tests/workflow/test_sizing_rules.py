"""Sizing and caps through the services: ranks, stored configurations, layers, refused orders."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from chalicelib.adapters.stored_rules import (
    GLOBAL,
    REFRESH_MS,
    change_settings,
    store_settings,
    stored_layer,
)
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.group import Group
from chalicelib.domain.lane import Attempt
from chalicelib.domain.leader_notionals import NOTIONALS_MIN, LeaderNotionals
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import SettingsRow
from chalicelib.domain.rules import Config, CopyRules, digest_of
from chalicelib.domain.safety_caps import HARD_CAPS
from chalicelib.keyspace import (
    config_key,
    group_key,
    key_of,
    leader_notionals_key,
    settings_key,
)
from chalicelib.ports import Put
from tests.workflow.harness import LEADER, OTHER, TOKEN, M, System, chain, leg
from tests.workflow.test_copying import assert_books_balance
from tests.workflow.test_exactly_once import DyingStore


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    return made


def trade(system: System, number: int, shares: int, side: str = "BUY", role: str = "taker") -> None:
    ts = system.clock.now_ms()
    part = leg(shares, 510_000, ts_block=ts, index=number, role=role)
    system.services.ingest(chain([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]


def step(system: System) -> None:
    for _ in range(4):
        system.clock.advance(5_000)
        system.services.sweep(0)


def notionals(system: System, leader: str = LEADER) -> LeaderNotionals | None:
    return system.store.get(LeaderNotionals, leader_notionals_key(leader))


def group_of(system: System, number: int, side: str = "BUY") -> Group:
    found = system.store.get(Group, group_key(LEADER, TOKEN, side, number))
    assert found is not None
    return found


def latest(system: System) -> Attempt:
    return [a for a in system.attempts() if a.portfolio_id == "main/global"][-1]


# --- the record of a leader's notionals


def test_a_group_is_ranked_once_when_it_is_closed(system: System) -> None:
    for number in range(NOTIONALS_MIN):
        trade(system, number, (number + 1) * 100 * M)
        step(system)
    known = notionals(system)
    assert known is not None
    assert known.cash == tuple((n + 1) * 51 * M for n in range(NOTIONALS_MIN))
    assert {group_of(system, n).rank for n in range(NOTIONALS_MIN)} == {None}
    trade(system, 50, 1_500 * M)
    step(system)
    assert group_of(system, NOTIONALS_MIN).rank == 750_000
    assert latest(system).decision.leader_rank == 750_000
    trade(system, 51, 300 * M, side="SELL")
    step(system)
    known = notionals(system)
    assert known is not None
    assert len(known.cash) == NOTIONALS_MIN + 1, "both lanes closed it once, and no sell counts"


def test_only_his_larger_trades_are_copied_and_the_others_counted(system: System) -> None:
    store_settings(system.store, system.clock, LEADER, {"leader_percentile_min": "0.9"})
    for number in range(NOTIONALS_MIN):
        trade(system, number, 1_000 * M)
        step(system)
    trade(system, 50, 999 * M)
    step(system)
    assert latest(system).reasons == (Reason.LEADER_TRADE_BELOW_PERCENTILE,)
    trade(system, 51, 1_000 * M)
    step(system)
    assert latest(system).decision.verdict == "EXECUTE"
    known = notionals(system)
    assert known is not None
    assert len(known.cash) == NOTIONALS_MIN + 2


def test_dying_at_any_commit_ranks_every_group_once() -> None:
    def run(dies_at: int, after: bool) -> tuple[System, int]:
        store = DyingStore(dies_at, after)
        system = System(store=store)
        system.follow()
        system.clock.advance(10_000)
        for number in range(NOTIONALS_MIN):
            known = notionals(system) or LeaderNotionals(LEADER)
            times, cash = (*known.times, number), (*known.cash, number * 51 * M)
            store.commit([Put(replace(known, times=times, cash=cash))])
        store.armed = True
        for number in (1, 2):
            for _ in range(4):
                try:
                    trade(system, number, number * 1_000 * M)
                except Retryable:
                    continue
                break
            for _ in range(4):
                system.clock.advance(5_000)
                try:
                    system.services.sweep(0)
                except Retryable:
                    continue
        return system, store.commits

    undisturbed, commits = run(0, after=False)
    expected = notionals(undisturbed)
    assert expected is not None
    assert len(expected.cash) == NOTIONALS_MIN + 2
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = run(dies_at, after)
            known = notionals(system)
            assert known is not None
            assert sorted(known.cash) == sorted(expected.cash), (dies_at, after)
            assert {group_of(system, n).rank for n in (0, 1)} == {
                group_of(undisturbed, n).rank for n in (0, 1)
            }
            assert_books_balance(system)


# --- configurations by digest


def test_a_decisions_digest_leads_to_its_whole_configuration(system: System) -> None:
    trade(system, 1, 2_000 * M)
    step(system)
    first = latest(system).decision.rules_digest
    change_settings(system.store, system.clock, LEADER, {"buy_cash_min": "20"})
    system.clock.advance(REFRESH_MS)
    trade(system, 2, 2_000 * M)
    step(system)
    second = latest(system).decision.rules_digest
    assert first != second
    for digest, least in ((first, 5 * M), (second, 20 * M)):
        kept = system.store.get(Config, config_key(digest))
        assert kept is not None
        assert digest_of(kept.text) == digest
        assert CopyRules(**json.loads(kept.text)).buy_cash_min == least
        assert kept.version == 1, "written once"


def test_a_configuration_somebody_else_stored_first_stands_in_nobodys_way(system: System) -> None:
    rules = system.services.rules.rules_for(LEADER)
    system.store.commit([Put(Config(rules.digest, "as the other wrote it"))])
    trade(system, 1, 2_000 * M)
    step(system)
    assert latest(system).status == "FILLED"
    kept = system.store.get(Config, config_key(rules.digest))
    assert kept == Config(rules.digest, "as the other wrote it", 1)


def test_refused_settings_leave_no_configuration(system: System) -> None:
    system.store.commit([Put(SettingsRow(GLOBAL, "nonsense"))])
    system.clock.advance(REFRESH_MS)
    trade(system, 1, 2_000 * M)
    step(system)
    assert latest(system).reasons == (Reason.SETTINGS_REFUSED,)
    assert system.store.get(Config, config_key("")) is None


# --- layers


def test_a_change_holds_within_seconds_and_a_leaders_own_comes_last(system: System) -> None:
    rules = system.services.rules
    assert rules.rules_for(LEADER).copying
    store_settings(system.store, system.clock, GLOBAL, {"copying": False, "buy_cash_min": 7})
    store_settings(system.store, system.clock, OTHER, {"copying": True})
    system.clock.advance(REFRESH_MS)
    assert not rules.rules_for(LEADER).copying
    assert rules.rules_for(OTHER).copying
    assert rules.rules_for(OTHER).buy_cash_min == 7 * M
    trade(system, 1, 2_000 * M)
    step(system)
    assert latest(system).reasons == (Reason.LEADER_DENIED,)


def test_a_leaders_settings_are_judged_on_top_of_the_global_ones(system: System) -> None:
    store, clock = system.store, system.clock
    store_settings(store, clock, GLOBAL, {"price_band_min": "0.30"})
    with pytest.raises(InvalidInput, match="price_band_min must not be above"):
        store_settings(store, clock, LEADER, {"price_band_max": "0.20"})
    assert stored_layer(store, LEADER) == {}
    store_settings(store, clock, LEADER, {"price_band_min": "0.01", "price_band_max": "0.20"})
    rules = system.services.rules
    assert (rules.rules_for(LEADER).price_band_min, rules.rules_for(LEADER).price_band_max) == (
        10_000,
        200_000,
    )


def test_what_is_well_on_top_of_the_global_settings_is_not_refused(system: System) -> None:
    """By itself the leader's row would contradict the defaults."""
    store_settings(system.store, system.clock, GLOBAL, {"catch_up_age_ms_max": 900_000})
    store_settings(system.store, system.clock, GLOBAL, {"price_band_max": "0.99"})
    store_settings(system.store, system.clock, LEADER, {"price_band_min": "0.985"})
    system.clock.advance(REFRESH_MS)
    assert system.services.rules.rules_for(LEADER).refused == ""


def test_global_settings_are_judged_below_those_of_every_leader(system: System) -> None:
    store, clock = system.store, system.clock
    store_settings(store, clock, LEADER, {"price_band_max": "0.20"})
    with pytest.raises(InvalidInput, match=f"with those of {LEADER}"):
        store_settings(store, clock, GLOBAL, {"price_band_min": "0.30"})
    assert stored_layer(store, GLOBAL) == {}
    known = store.get(SettingsRow, settings_key(LEADER))
    assert known is not None
    store.commit([Put(replace(known, text="broken"))])
    store_settings(store, clock, GLOBAL, {"price_band_min": "0.30"})


def test_layers_that_contradict_each_other_stop_their_own_leader_only(system: System) -> None:
    rows = {GLOBAL: {"price_band_min": "0.30"}, LEADER: {"price_band_max": "0.20"}}
    for scope, layer in rows.items():
        system.store.commit([Put(SettingsRow(scope, json.dumps(layer)))])
    system.clock.advance(REFRESH_MS)
    refused = system.services.rules.rules_for(LEADER).refused
    assert refused.startswith(f"settings {LEADER}: ")
    assert "price_band_min must not be above" in refused
    assert system.services.rules.rules_for(OTHER).refused == ""
    ((source, payload, _),) = system.quarantine.kept
    assert (source, payload) == ("settings", json.dumps(rows[LEADER]))


# --- caps where orders are placed


def submitted(system: System) -> Attempt:
    """A decided BUY of the global portfolio whose time of placement has not come."""
    trade(system, 1, 2_000 * M)
    system.clock.advance(2_751)
    system.services.advance("main/global")
    return system.attempt()


def test_an_order_beyond_a_hard_cap_is_never_placed(system: System) -> None:
    attempt = submitted(system)
    assert attempt.order is not None
    assert attempt.order.cash <= attempt.order.caps.order_cash < HARD_CAPS.order_cash
    huge = replace(attempt.order, shares=20_000 * M)
    system.store.commit([Put(replace(attempt, order=huge))])
    asked = system.venue.book_calls
    system.clock.advance(5_000)
    system.services.advance("main/global")
    ended = system.attempt()
    assert (ended.status, ended.reasons) == ("FAILED", (Reason.SAFETY_CAP,))
    assert system.venue.book_calls == asked, "the venue never saw it"
    assert system.head().reserved == 0
    assert [entry.kind for entry in system.entries("main/global")] == ["OPENING"]
    assert_books_balance(system)


def test_the_settings_cap_counts_where_it_is_lower(system: System) -> None:
    attempt = submitted(system)
    order = attempt.order
    assert order is not None
    caps = replace(order.caps, order_cash=order.cash - 1)
    system.store.commit([Put(replace(attempt, order=replace(order, caps=caps)))])
    system.clock.advance(5_000)
    system.services.advance("main/global")
    assert system.attempt().reasons == (Reason.SAFETY_CAP,)


def test_fills_between_decision_and_placement_count(system: System) -> None:
    attempt = submitted(system)
    assert attempt.order is not None
    head, ts = system.head(), attempt.order.ts_placed
    system.store.commit([Put(replace(head, spending=head.spending.filled(ts, 200)))])
    system.clock.advance(5_000)
    system.services.advance("main/global")
    assert system.attempt().reasons == (Reason.SAFETY_CAP,)


def test_an_attempt_of_before_the_caps_is_placed_under_the_hard_ones(system: System) -> None:
    from chalicelib.adapters import codec

    attempt = submitted(system)
    body = codec.to_plain(attempt)
    del body["order"]["caps"], body["order"]["spent"]
    old = codec.from_plain(Attempt, body)
    assert old.order is not None
    assert old.order.caps == HARD_CAPS
    system.store.commit([Put(old)])
    system.clock.advance(5_000)
    system.services.advance("main/global")
    assert system.store.get(Attempt, key_of(attempt)) is not None
    assert system.attempt().status == "FILLED"
