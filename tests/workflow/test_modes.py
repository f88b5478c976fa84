"""Trigger modes: which is in force and why, what the health of sources stops, who changes it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.stored_rules import (
    REFRESH_MS,
    SYSTEM,
    StoredRules,
    change_settings,
    store_settings,
    stored_layer,
)
from chalicelib.bootstrap import announce_mode
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Heartbeat, SettingsRow
from chalicelib.domain.rules import SystemRules, TriggerMode
from chalicelib.keyspace import Key, Table
from chalicelib.ports import Put, R
from chalicelib.services.heartbeats import beat, heartbeats
from chalicelib.services.manage_leaders import FollowLeader
from chalicelib.services.source_health import (
    API_SILENT_MS,
    CHAIN_SILENT_MS,
    SourceHealth,
    assess,
)
from chalicelib.settings import Environment, SystemSettings, environment, evaluate_system
from infra import settings as command
from tests.workflow.harness import LEADER, T0, System
from tests.workflow.test_copying import buys, sells

NOW = T0
UP = {"watcher": Heartbeat("watcher", NOW, True), "data_api": Heartbeat("data_api", NOW, True)}


def rules_on(system: System, **variables: str) -> StoredRules:
    return StoredRules(
        system.store, system.quarantine, system.clock, system.metrics, environment(variables)
    )


def stored(system: System, **settings: object) -> None:
    store_settings(system.store, system.clock, SYSTEM, settings)
    system.clock.advance(REFRESH_MS)


# --- which mode is in force, and why


@pytest.mark.parametrize(
    ("setting", "variable", "mode", "origin", "overridden"),
    [
        (None, "", "both", "default", ""),
        ("api", "", "api", "setting", ""),
        (None, "polygon", "polygon", "environment", ""),
        ("api", "polygon", "polygon", "environment", "api"),
        ("api", "api", "api", "environment", ""),
    ],
)
def test_the_mode_says_where_it_came_from(
    setting: str | None, variable: str, mode: str, origin: str, overridden: str
) -> None:
    system = System()
    if setting:
        stored(system, trigger_mode=setting)
    rules = rules_on(system, TRIGGER_MODE=variable).system()
    assert (rules.trigger_mode, rules.mode_origin, rules.mode_stored) == (mode, origin, overridden)


@pytest.mark.parametrize(
    ("setting", "variable", "warned"),
    [(None, "", False), ("both", "both", False), ("both", "api", True)],
)
def test_a_start_tells_the_mode_and_warns_of_an_override(
    setting: str | None, variable: str, warned: bool
) -> None:
    system = System()
    if setting:
        stored(system, trigger_mode=setting)
    told: list[str] = []
    warnings: list[str] = []
    announce_mode(rules_on(system, TRIGGER_MODE=variable), told.append, warnings.append)
    assert told == [
        f"trigger mode {variable or 'both'}, from {'environment' if variable else 'default'}"
    ]
    assert bool(warnings) is warned
    if warned:
        assert "TRIGGER_MODE=api" in warnings[0]
        assert "trigger_mode=both" in warnings[0]


@pytest.mark.parametrize(
    ("settings", "variables", "seconds"),
    [
        ({}, {}, 30),
        ({"trigger_mode": "api"}, {}, 10),
        ({}, {"TRIGGER_MODE": "api"}, 10),
        ({"trigger_mode": "api", "poll_interval_s": 45}, {}, 45),
        ({"poll_interval_s": 45}, {"POLL_INTERVAL_S": "7", "TRIGGER_MODE": "api"}, 7),
    ],
)
def test_without_the_chain_polls_are_closer_together_unless_somebody_set_them(
    settings: dict[str, object], variables: dict[str, str], seconds: int
) -> None:
    system = System()
    stored(system, **settings)
    assert rules_on(system, **variables).system().poll_interval_s == seconds


def test_every_system_rule_can_be_stored() -> None:
    names = {field.name for field in fields(SystemRules)} - {"mode_origin", "mode_stored"}
    assert set(SystemSettings.model_fields) == names
    given = {
        "trigger_mode": "api",
        "poll_interval_s": 5,
        "start_mode": "warm",
        "warm_start_seconds": 60,
        "simulate_api_lag_ms": 60_000,
        "gap_fill": "sweep",
        "gap_fill_blocks_max": 10_000,
        "strict_both": True,
        "book_mode": "rest",
        "books_most_liquid": 500,
    }
    rules = evaluate_system(given).rules(Environment())
    assert {name: getattr(rules, name) for name in names} == given
    assert evaluate_system({}).rules(Environment()) == SystemRules()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("trigger_mode", "sometimes"),
        ("poll_interval_s", 4),
        ("poll_interval_s", 61),
        ("simulate_api_lag_ms", 60_001),
        ("gap_fill_blocks_max", 0),
        ("gap_fill_blocks_max", 10_001),
        ("strict_both", "perhaps"),
        ("tigger_mode", "api"),
    ],
)
def test_a_bad_system_setting_is_refused_by_name(name: str, value: object) -> None:
    system = System()
    with pytest.raises(InvalidInput, match=name):
        store_settings(system.store, system.clock, SYSTEM, {name: value})
    assert stored_layer(system.store, SYSTEM) == {}


@pytest.mark.parametrize("value", ["0", "101", "many"])
def test_budget_shares_are_checked_at_the_start(value: str) -> None:
    with pytest.raises(InvalidInput, match="VENUE_BUDGET_SHARES"):
        environment({"VENUE_BUDGET_SHARES": value})
    assert environment({"VENUE_BUDGET_SHARES": "100"}).venue_budget_shares == 100


def test_a_changed_mode_is_seen_without_a_restart() -> None:
    system = System()
    rules = rules_on(system)
    assert rules.system().trigger_mode == "both"
    store_settings(system.store, system.clock, SYSTEM, {"trigger_mode": "api"})
    system.clock.advance(REFRESH_MS)
    assert rules.system().trigger_mode == "api"


def test_an_unusable_row_is_reported_once_and_the_rest_decides() -> None:
    system = System()
    system.store.commit([Put(SettingsRow(SYSTEM, '{"trigger_mode": "psychic"}'))])
    rules = rules_on(system, TRIGGER_MODE="polygon")
    for _ in range(3):
        assert rules.system() == SystemRules("polygon", "environment")
        system.clock.advance(REFRESH_MS)
    ((source, text, error),) = system.quarantine.kept
    assert (source, text) == ("settings", '{"trigger_mode": "psychic"}')
    assert error.startswith("settings system: trigger_mode:")
    assert not heartbeats(system.store)["settings"].up
    store_settings(system.store, system.clock, SYSTEM, {"trigger_mode": "api"})
    assert heartbeats(system.store)["settings"].up


def test_nobody_to_report_to_does_not_stop_detection() -> None:
    system = System()

    def full(source: str, payload: str, error: str) -> None:
        raise Retryable("the queue does not answer")

    system.store.commit([Put(SettingsRow(SYSTEM, "[]"))])
    keep, system.quarantine.keep = system.quarantine.keep, full  # type: ignore[method-assign]
    rules = rules_on(system)
    assert rules.system() == SystemRules()
    system.quarantine.keep = keep  # type: ignore[method-assign]
    system.clock.advance(REFRESH_MS)
    assert rules.system() == SystemRules()
    assert len(system.quarantine.kept) == 1


class SilentStore(MemoryStore):
    silent = False

    def get(self, kind: type[R], key: Key) -> R | None:
        if self.silent:
            raise Retryable("the store does not answer")
        return super().get(kind, key)

    def query(self, kind: type[R], table: Table, pk: str, **span: Any) -> list[R]:
        if self.silent:
            raise Retryable("the store does not answer")
        return super().query(kind, table, pk, **span)


def test_what_was_last_known_holds_while_the_store_is_silent() -> None:
    store = SilentStore()
    system = System(store=store)
    stored(system, trigger_mode="api")
    store.silent = True
    fresh = rules_on(system)
    with pytest.raises(Retryable):
        fresh.system()
    warnings: list[str] = []
    announce_mode(fresh, warnings.append, warnings.append)
    assert len(warnings) == 1
    store.silent = False
    assert fresh.system().trigger_mode == "api"
    store.silent = True
    system.clock.advance(REFRESH_MS)
    assert fresh.system().trigger_mode == "api"


# --- health


def health(
    mode: TriggerMode,
    *,
    strict: bool = False,
    chain: Heartbeat | None = UP["watcher"],
    api: Heartbeat | None = UP["data_api"],
    just_began: bool = False,
) -> SourceHealth:
    beats = {row.source: row for row in (chain, api) if row}
    return assess(SystemRules(mode, strict_both=strict), beats, NOW, just_began)


def down(source: str) -> list[Heartbeat | None]:
    silent_ms = CHAIN_SILENT_MS if source == "watcher" else API_SILENT_MS
    return [
        None,
        Heartbeat(source, NOW, False, "the socket is closed"),
        Heartbeat(source, NOW - silent_ms - 1, True),
    ]


@pytest.mark.parametrize("mode", ["api", "polygon", "both"])
@pytest.mark.parametrize("strict", [False, True])
def test_all_is_well(mode: TriggerMode, strict: bool) -> None:
    well = health(mode, strict=strict)
    assert (well.degraded, well.blocks, well.detail) == (False, False, "")
    assert well.chain == ("off" if mode == "api" else "up")
    assert well.api == ("off" if mode == "polygon" else "up")


@pytest.mark.parametrize("chain", down("watcher"))
def test_a_chain_that_is_down(chain: Heartbeat | None) -> None:
    assert health("api", chain=chain) == health("api")
    gated = health("polygon", chain=chain)
    assert (gated.chain, gated.degraded) == ("down", True)
    assert gated.blocking == (Reason.POLYGON_UNHEALTHY,)
    relaxed = health("both", chain=chain)
    assert (relaxed.chain, relaxed.degraded, relaxed.blocks) == ("down", True, False)
    assert "the Data API alone" in relaxed.detail
    strict = health("both", strict=True, chain=chain)
    assert strict.blocking == (Reason.POLYGON_UNHEALTHY,)
    assert "No positions are opened" in strict.detail


@pytest.mark.parametrize("api", down("data_api"))
def test_an_api_that_is_down(api: Heartbeat | None) -> None:
    assert health("polygon", api=api) == health("polygon")
    alone = health("api", api=api, strict=True)
    assert (alone.api, alone.degraded, alone.blocks) == ("down", True, False)
    relaxed = health("both", api=api)
    assert (relaxed.degraded, relaxed.blocks) == (True, False)
    assert "the chain alone" in relaxed.detail
    assert health("both", strict=True, api=api).blocking == (Reason.API_UNHEALTHY,)


def test_both_down() -> None:
    relaxed = health("both", chain=None, api=None)
    assert (relaxed.degraded, relaxed.blocks) == (True, False)
    assert "No trades are detected" in relaxed.detail
    strict = health("both", strict=True, chain=None, api=None)
    assert strict.blocking == (Reason.POLYGON_UNHEALTHY, Reason.API_UNHEALTHY)


def test_silence_counts_from_its_last_millisecond() -> None:
    edge = Heartbeat("watcher", NOW - CHAIN_SILENT_MS, True)
    assert health("polygon", chain=edge).chain == "up"
    assert health("both", api=Heartbeat("data_api", NOW - API_SILENT_MS, True)).api == "up"


def test_a_start_has_time_for_the_first_signs_of_life() -> None:
    began = health("both", strict=True, chain=None, api=None, just_began=True)
    assert (began.chain, began.api) == ("starting", "starting")
    assert (began.degraded, began.blocks) == (False, False)


# --- what health does to copies


def said(system: System, source: str, up: bool) -> None:
    beat(system.store, Heartbeat(source, system.clock.now_ms(), up, "" if up else "closed"))


def test_an_unhealthy_chain_stops_purchases_and_never_sales() -> None:
    system = System()
    stored(system, trigger_mode="polygon")
    system.follow()
    system.clock.advance(10_000)
    said(system, "watcher", up=True)
    buys(system)
    system.run_workflows()
    assert system.position().shares > 0
    said(system, "watcher", up=False)
    buys(system, number=3)
    system.run_workflows()
    blocked = system.attempts()[-1]
    assert (blocked.status, blocked.reasons) == ("SKIPPED", (Reason.POLYGON_UNHEALTHY,))
    assert blocked.decision.health is not None
    assert blocked.decision.health.chain_detail == "closed"
    sells(system, 20_000)
    system.run_workflows()
    assert system.position().shares == 0


@pytest.mark.parametrize(
    ("settings", "up", "reasons"),
    [
        ({}, (False, True), ()),
        ({}, (True, False), ()),
        ({"strict_both": True}, (True, True), ()),
        ({"strict_both": True}, (False, True), (Reason.POLYGON_UNHEALTHY,)),
        ({"strict_both": True}, (True, False), (Reason.API_UNHEALTHY,)),
        ({"trigger_mode": "api"}, (False, True), ()),
        ({"trigger_mode": "api", "strict_both": True}, (False, False), ()),
        ({"trigger_mode": "polygon"}, (True, False), ()),
    ],
)
def test_what_blocks_depends_on_the_mode(
    settings: dict[str, object], up: tuple[bool, bool], reasons: tuple[Reason, ...]
) -> None:
    system = System()
    stored(system, **settings)
    system.follow()
    system.clock.advance(10_000)
    said(system, "watcher", up=up[0])
    said(system, "data_api", up=up[1])
    buys(system)
    system.run_workflows()
    assert system.attempt().reasons == reasons


# --- the command


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    store = SqliteStore(tmp_path / "papercopy.sqlite3")
    system = System(store=store)
    FollowLeader(store, system.clock, 10**10)([LEADER], "ada")

    def asked(*words: str) -> tuple[int, str, str]:
        code = command.main(["--data", str(tmp_path), *words])
        said_ = capsys.readouterr()
        return code, said_.out, said_.err

    return asked


def test_settings_are_changed_shown_and_removed(run: Callable[..., tuple[int, str, str]]) -> None:
    assert run("show") == (0, "nothing is overridden\n", "")
    assert run("set", "system", "trigger_mode=api", "strict_both=true")[0] == 0
    assert run("set", "global", "copy_fraction=0.02")[0] == 0
    assert run("set", LEADER.upper().replace("X", "x"), "sell_always_attempt=false")[0] == 0
    _, out, _ = run("show")
    assert out.splitlines() == [
        "system: strict_both = True",
        "system: trigger_mode = api",
        "global: copy_fraction = 0.02",
        f"{LEADER}: sell_always_attempt = False",
    ]
    assert run("set", "system", "strict_both=") == (0, "system: trigger_mode = api\n", "")


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("set", "system", "trigger_mode=never"), "trigger_mode"),
        (("set", "system", "copy_fraction=0.1"), "copy_fraction"),
        (("set", "global", "copy_fraction=2"), "copy_fraction"),
        (("set", "global", "copy_fraction"), "key=value"),
        (("set", "0x" + "9" * 40, "dust_shares=1"), "never followed"),
        (("set", "everything", "dust_shares=1"), "scope"),
    ],
)
def test_bad_input_is_named_and_changes_nothing(
    run: Callable[..., tuple[int, str, str]], words: tuple[str, ...], named: str
) -> None:
    code, out, err = run(*words)
    assert (code, out) == (2, "")
    assert named in err
    assert err.startswith("settings: ")
    assert run("show")[1] == "nothing is overridden\n"


def test_a_folder_without_an_engine_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.main(["--data", str(tmp_path / "none"), "show"]) == 2
    assert "--data" in capsys.readouterr().err


def test_a_broken_row_can_be_mended_setting_by_setting() -> None:
    system = System()
    system.store.commit([Put(SettingsRow(SYSTEM, '{"retired": 1, "trigger_mode": "api"}'))])
    with pytest.raises(InvalidInput, match="retired"):
        change_settings(system.store, system.clock, SYSTEM, {"strict_both": True})
    kept = change_settings(system.store, system.clock, SYSTEM, {"retired": None})
    assert kept == {"trigger_mode": "api"}
    system.clock.advance(REFRESH_MS)
    assert rules_on(system).system().trigger_mode == "api"
