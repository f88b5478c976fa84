"""A malformed setting or variable is refused by name, kept with its text, and blocks nobody."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from chalicelib.adapters.stored_rules import store_settings
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import SettingsRow
from chalicelib.keyspace import settings_key
from chalicelib.services.heartbeats import heartbeats
from infra.local.stack import EngineName, open_stack
from tests.e2e.engines import PATIENT, Engine, store_setting
from tests.e2e.ledgers import attempts_of, entries_of, follow_since, work_of
from tests.workflow.harness import M, System, chain, leg

ROWS = {
    "a value of the wrong kind": ('{"buy_cash_max": "lots"}', "buy_cash_max"),
    "a value out of range": ('{"copy_fraction": 2}', "copy_fraction"),
    "a name of another release": ('{"buy_cash_most": 5}', "buy_cash_most"),
    "half a text": ('{"copy_fraction": ', "text"),
    "a list": ("[1]", "text"),
}


def bought(leader: str, ts: int, number: int = 1) -> FillMessage:
    part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=number)
    return chain([part], number=number, ts_seen=ts, leader=leader)


def assert_refused(engine: Engine, leader: str) -> None:
    """Detected in full, and copied by nobody."""
    shadow = [e.shares for e in entries_of(engine.store, f"shadow/{leader}")]
    assert shadow == [0, 10_000 * M]
    (attempt,) = attempts_of(engine.store, f"main/leader/{leader}")
    assert (attempt.status, attempt.reasons) == ("SKIPPED", (Reason.SETTINGS_REFUSED,))


@pytest.mark.parametrize("case", ROWS)
def test_a_malformed_stored_setting_stops_its_own_leader_only(
    engine: Engine, leader: str, past: int, case: str
) -> None:
    text, field = ROWS[case]
    neighbour = leader.replace("0x0", "0xe")
    follow_since(engine.store, past - 600_000, [neighbour])
    store_setting(engine.store, leader, text)
    failed = engine.counted("messages_failed")
    engine.send(bought(leader, past), bought(neighbour, past))
    engine.settle()
    assert_refused(engine, leader)
    (copied,) = attempts_of(engine.store, f"main/leader/{neighbour}")
    assert copied.status == "FILLED"
    (kept,) = engine.refused()
    assert (kept["source"], kept["payload"]) == ("settings", text)
    assert kept["error"].startswith(f"settings {leader}: {field}:")
    told = heartbeats(engine.store)["settings"]
    assert (told.up, told.detail) == (False, kept["error"])
    assert work_of(engine.store) == []
    assert engine.buried() == []
    assert engine.counted("messages_failed") == failed


def test_a_malformed_global_setting_stops_copying_and_not_detection(
    engine: Engine, leader: str, past: int
) -> None:
    store_setting(engine.store, "global", '{"time_to_live_ms": "for ever"}')
    try:
        engine.send(bought(leader, past))
        engine.settle()
        assert_refused(engine, leader)
        (kept,) = engine.refused()
        assert kept["error"].startswith("settings global: time_to_live_ms:")
    finally:
        store_setting(engine.store, "global", PATIENT)
    mended = "0x" + "9e" * 19 + f"{len(engine.name):02x}"
    follow_since(engine.store, past - 600_000, [mended])
    engine.send(bought(mended, past))
    engine.settle()
    assert attempts_of(engine.store, f"main/leader/{mended}")[0].status == "FILLED"


def test_a_malformed_setting_is_not_stored(engine: Engine, leader: str) -> None:
    with pytest.raises(InvalidInput, match="copy_fraction"):
        store_settings(
            engine.store, System().clock, leader, {"copy_fraction": Decimal(2), "dust_shares": 1}
        )
    assert engine.store.get(SettingsRow, settings_key(leader)) is None


def test_a_refused_setting_is_counted() -> None:
    system = System()
    system.follow()
    store_setting(system.store, "global", "[]")
    system.services.ingest(chain([leg(M, 500_000)]))
    assert system.metrics.snapshot().get("settings_refused") == 1


# --- environment variables

VARIABLES = {
    "POLL_INTERVAL_S": "soon",
    "TRIGGER_MODE": "sometimes",
    "STARTING_CASH": "-1",
    "VENUE": "elsewhere",
    "PAPERCOPY_STAGE": "Not A Stage",
}


@pytest.mark.parametrize("name", VARIABLES)
@pytest.mark.parametrize("kind", ["embedded", "aws"])
def test_a_malformed_variable_is_refused_before_anything_starts(
    kind: EngineName, name: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInput) as refusal:
        open_stack(kind, {"TRIGGER_MODE": "api", name: VARIABLES[name]}, tmp_path)
    assert refusal.value.field == name
    assert list(tmp_path.iterdir()) == []
