"""The fast replay is the services' replay, field by field, or it declines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from chalicelib.adapters.stored_rules import GLOBAL, store_settings
from chalicelib.domain.portfolio import Position
from chalicelib.replay import fast_ingest, fast_lane
from chalicelib.replay.fast import FastPlayer, played_of
from chalicelib.replay.fast_lane import FastDecide, FastExecute
from chalicelib.replay.fast_state import Declined, Lane
from chalicelib.replay.played import Played
from chalicelib.replay.player import Player
from chalicelib.replay.report import digests_of, summary
from chalicelib.replay.simulated import simulated
from chalicelib.services.recordings import Recording
from tests.workflow import test_exit_debt, test_pauses, test_set_changes, test_settlement
from tests.workflow.harness import LEADER, OPPOSITE, OTHER, TOKEN, M
from tests.workflow.taped import TapedSystem
from tests.workflow.test_recording import STEPS, Restless, act, recorded

Layers = Mapping[str, Mapping[str, object]]

LARGE: Layers = {
    "global": {
        "buy_spread_max": "0.1",
        "buy_depth_multiple": "0",
        "buy_mid_guard": "0.1",
        "copy_fraction": "1",
        "buy_equity_fraction_max": "0.5",
        "buy_cash_max": 5_000,
        "order_cash_max": 5_000,
        "daily_cash_max": 100_000,
        "exposure_fraction_max": "1",
        "market_fraction_max": "0.3",
        "event_fraction_max": "1",
        "category_fraction_max": "1",
        "leader_fraction_max": "0.5",
        "drawdown_max": "0",
    }
}
"""Orders that use levels up, rest, and meet limits of risk and breakers."""
EAGER: Layers = {
    "global": {"leader_notional_min": "0", "resting_fill": "touch", "sell_sizing": "notional"},
    LEADER: {"copy_fraction": "0.05"},
}


def everything(recording: Recording, played: Played) -> dict[str, Any]:
    """All that a replay tells: its summary, and every field of what it left."""
    told: dict[str, Any] = {"summary": summary(recording, played), "end": played.ts_end}
    for ref in played.refs:
        name = ref.portfolio_id
        told[f"{name} ledger"] = played.left.ledger(ref)
        told[f"{name} attempts"] = played.left.attempts(ref)
        if ref.kind != "shadow":
            held = [replace(position, version=0) for position in played.left.positions(ref)]
            told[f"{name} positions"] = sorted(held, key=repr)
            head = played.left.head(ref)
            # Commits that only require the head bump it as well.
            told[f"{name} head"] = head and replace(head, version=0)
    told["digests"] = digests_of(played)
    return told


def differences(recording: Recording, layers: Layers | None = None) -> list[str]:
    """What the fast replay tells otherwise. Raises Declined."""
    quick = everything(recording, FastPlayer(recording, layers).play())
    plain = everything(recording, Player(recording, layers).play())
    assert quick.keys() == plain.keys()
    return [name for name in plain if quick[name] != plain[name]]


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_any_period_is_the_same_either_way(
    steps: Sequence[tuple[str, str, str, int, int]],
) -> None:
    system = Restless()
    act(system, [step for step in steps if step[0] not in ("remove", "api")])
    recording = recorded(system)
    for layers in (None, EAGER):
        assert differences(recording, layers) == []


@settings(max_examples=25, deadline=None)
@given(STEPS)
def test_whatever_is_declined_is_the_same_all_the_more(
    steps: Sequence[tuple[str, str, str, int, int]],
) -> None:
    system = Restless()
    act(system, steps)
    recording = recorded(system)
    for layers in (None, EAGER):
        either = everything(recording, played_of(recording, layers))
        assert either == everything(recording, Player(recording, layers).play())


@pytest.mark.parametrize("layers", [None, LARGE, EAGER], ids=["usual", "large", "eager"])
@pytest.mark.parametrize("world", ["simulator:7:250", "simulator:21:120"])
def test_a_simulated_world_is_the_same_either_way(world: str, layers: Layers | None) -> None:
    recording = simulated(world)
    assert differences(recording, layers) == []


def test_large_orders_meet_every_kind_of_end() -> None:
    recording = simulated("simulator:7:250")
    told = summary(recording, FastPlayer(recording, LARGE).play())
    assert {"FILLED", "CANCELLED", "SKIPPED"} <= told["statuses"].keys()
    met = {"RISK_CAP_MARKET", "REMAINDER_CANCELLED", "BREAKER_DAILY_LOSS", "NO_POSITION"}
    assert met <= {reason.value for reason in told["reasons"]}


def resting() -> Recording:
    system = TapedSystem()
    system.record([(50, 1_000), (49, 5_000)], [(52, 30), (56, 800)], [(20_000, "ask", 52, 900)])
    system.expect_tape()
    layer = {"buy_spread_max": "0.1", "buy_depth_multiple": "0", "buy_mid_guard": "0.1"}
    store_settings(system.store, system.clock, GLOBAL, layer)
    system.buys(shares=10_000, price=520_000)
    system.run_workflows()
    system.clock.advance(60_000)
    system.services.sweep(0)
    return recorded(system)


def test_resting_orders_are_followed_the_same_way() -> None:
    recording = resting()
    assert any(len(a.outcome.slices) > 1 for a in recording.attempts if a.outcome)
    assert differences(recording) == []


def test_a_period_from_the_middle_is_the_same_either_way() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000), ("buy", OTHER, TOKEN, 2_000, 2_000)])
    system.clock.advance(3_600_000)
    since = system.clock.now_ms()
    system.clock.advance(10_000)
    later = [("sell", LEADER, TOKEN, 1_000, 2_000), ("buy", LEADER, OPPOSITE, 900, 2_000)]
    act(system, later, first=11)
    recording = recorded(system, since)
    assert len(recording.arrivals) == 2
    assert differences(recording) == []


def _forgetful(self: FastExecute, head: object, row: object) -> tuple[()]:
    return ()


def _penniless(lane: Lane, prices: object, token_id: str, leader: str) -> tuple[int, object]:
    equity, exposure = STANDING(lane, prices, token_id, leader)  # type: ignore[arg-type]
    return equity - 1, exposure


STANDING = Lane.standing
MUTATIONS: dict[str, tuple[object, str, object]] = {
    "levels that were taken are there again": (FastExecute, "_taken", _forgetful),
    "equity is a micro less": (Lane, "standing", _penniless),
    "nothing is held": (FastDecide, "_position", lambda _, h, r: Position("", 1, "", "")),
    "what a leader held is not known": (fast_ingest, "held_before", lambda *_: 0),
    "no trade is ranked": (fast_lane, "is_ranked", lambda _: False),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_another_rule_would_be_noticed(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    recording = simulated("simulator:7:250")
    place, rule, other = MUTATIONS[name]
    monkeypatch.setattr(place, rule, other)
    assert differences(recording, LARGE)


def exits() -> Recording:
    system = test_exit_debt.indebted()
    assert test_exit_debt.cycle(system)
    system.clock.advance(120_000)
    return recorded(system)


def pauses() -> Recording:
    system = test_pauses.resting()
    test_pauses.play(system, sweeps_ms=(20_000,))
    system.clock.advance(120_000)
    system.services.sweep(0)
    return recorded(system)


def settlements() -> Recording:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000)])
    test_settlement.decide(system, test_settlement.WON, system.clock.now_ms())
    test_settlement.cycle(system)
    return recorded(system)


def set_changes() -> Recording:
    system = test_set_changes.made()
    test_set_changes.tell(system, "SPLIT", 2_000 * M)
    test_set_changes.work_off(system)
    return recorded(system)


def removals() -> Recording:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000), ("remove", LEADER, TOKEN, 500, 3_000)])
    return recorded(system)


@pytest.mark.parametrize("made", [exits, pauses, settlements, set_changes, removals])
def test_what_it_has_no_place_for_is_left_to_the_services(made: Callable[[], Recording]) -> None:
    recording = made()
    with pytest.raises(Declined):
        FastPlayer(recording).play()
    either = everything(recording, played_of(recording))
    assert either == everything(recording, Player(recording).play())


def test_usual_recordings_are_not_declined(tmp_path: Path) -> None:
    system = Restless()
    steps = [("buy", LEADER, TOKEN, 3_000, 2_000), ("again", OTHER, TOKEN, 2_000, 100)]
    act(system, [*steps, ("sell", LEADER, TOKEN, 900, 2_000), ("book", LEADER, TOKEN, 70, 500)])
    recording = recorded(system, tmp_path=tmp_path)
    assert len(recording.attempts) == 6
    assert differences(recording) == []
