"""Settings by scope: layered, audited, refused where they contradict, and nobody is overwritten."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.stored_rules import change_settings, stored_layer
from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.ports import Clock, Write
from chalicelib.replay.last import replayed_job
from chalicelib.services.config_tests import OPEN_MAX, RUN_MS_MAX, Layers
from tests.api.calling import trading
from tests.api.office import Office
from tests.workflow.harness import LEADER, OTHER, T0, System


@pytest.fixture
def api() -> Office:
    system = System()
    system.follow()
    return Office(system)


def test_a_setting_is_stored_shown_and_audited(api: Office) -> None:
    before = api.get("/api/config/global").body
    assert (before["version"], before["overrides"]) == (0, {})
    changes = {"copy_fraction": 0.02, "buy_cash_min": "7.5", "copying": True}
    answer = api.post("/api/config/global", {"version": 0, "changes": changes})
    assert answer.status == 200
    assert answer.body["version"] == 1
    assert answer.body["values"]["copy_fraction"] == "0.02"
    assert answer.body["origins"]["buy_cash_min"] == "global"
    assert api.system.services.rules.rules_for("").buy_cash_min == 7_500_000
    (row,) = api.audited("settings.change")
    assert (row["actor"], row["subject"], row["before"]) == ("local:owner", "global", "")
    assert json.loads(row["after"])["copy_fraction"] == "0.02"


def test_who_saw_an_older_version_changes_nothing(api: Office) -> None:
    first = {"version": 0, "changes": {"copy_fraction": "0.02"}}
    assert api.post("/api/config/global", first).status == 200
    second = {"version": 0, "changes": {"buy_cash_min": "9"}}
    refused = api.post("/api/config/global", second)
    assert refused.status == 409
    assert api.get("/api/config/global").body["overrides"] == {"copy_fraction": "0.02"}
    assert api.post("/api/config/global", {**second, "version": 1}).status == 200
    assert len(api.audited("settings.change")) == 2


class Racing(MemoryStore):
    """Somebody else stores a setting right before a commit."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._raced = False

    def commit(self, writes: Sequence[Write]) -> None:
        if not self._raced:
            self._raced = True
            change_settings(self, self._clock, "global", {"dust_shares": "0.5"})
        super().commit(writes)


def test_a_change_that_was_made_meanwhile_is_not_lost() -> None:
    clock = ManualClock(T0)
    store = Racing(clock)
    with pytest.raises(Conflict):
        change_settings(store, clock, "global", {"copy_fraction": "0.02"})
    assert stored_layer(store, "global") == {"dust_shares": "0.5"}


def test_a_users_settings_lie_on_top_of_the_global_ones(api: Office) -> None:
    api.post("/api/config/global", {"version": 0, "changes": {"copy_fraction": "0.02"}})
    own = f"/api/config/user/{LEADER}"
    body = api.post(own, {"version": 0, "changes": {"buy_cash_min": "9"}}).body
    assert body["origins"]["buy_cash_min"] == "user"
    assert body["origins"]["copy_fraction"] == "global"
    assert body["origins"]["dust_shares"] == "default"
    assert body["values"]["copy_fraction"] == "0.02"
    removed = api.post(own, {"version": 1, "changes": {"buy_cash_min": None}}).body
    assert (removed["overrides"], removed["origins"]["buy_cash_min"]) == ({}, "default")


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"copy_fraction": 2}, "copy_fraction"),
        ({"copy_fraction": "much"}, "copy_fraction"),
        ({"no_such_setting": 1}, "no_such_setting"),
        ({"copy_fraction": [1]}, "changes"),
        ({}, "changes"),
    ],
)
def test_a_wrong_setting_is_named_and_not_stored(
    api: Office, changes: dict[str, object], named: str
) -> None:
    answer = api.post("/api/config/global", {"version": 0, "changes": changes})
    assert answer.status == 400
    assert named in answer.body["detail"].partition(":")[0]
    assert api.get("/api/config/global").body["version"] == 0
    assert api.audited("settings.change") == []


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 0, "changes": {"copy_fraction": NaN}}',
        b'{"version": true, "changes": {"copy_fraction": 0.01}}',
        b'{"version": 0, "changes": {"copy_fraction": 0.01}, "more": 1}',
        b'{"version": 0, "changes": {"\\ud800": 1}}',
        b"[" * 100_000,
        b'{"version": 0, "changes": {"copy_fraction": ' + b"9" * 5_000 + b"}}",
        b" " * 70_000,
    ],
)
def test_a_body_that_is_none_is_refused(api: Office, raw: bytes) -> None:
    assert api.call("POST", "/api/config/global", raw=raw).status == 400
    assert api.get("/api/config/global").body["version"] == 0


def test_settings_of_strangers_are_not_found(api: Office) -> None:
    assert api.get(f"/api/config/user/{OTHER}").status == 404
    asked = {"version": 0, "changes": {"copying": False}}
    assert api.post(f"/api/config/user/{OTHER}", asked).status == 404
    assert api.get("/api/config/user/nobody").status == 400


def test_the_trigger_mode_is_stored_with_the_system_settings(api: Office) -> None:
    assert api.get("/api/trigger-mode").body["source"] == "default"
    told = api.post("/api/trigger-mode", {"mode": "api", "version": 0}).body
    assert (told["effective"], told["source"], told["version"]) == ("api", "setting", 1)
    assert api.get("/api/config/system").body["overrides"] == {"trigger_mode": "api"}
    assert api.post("/api/trigger-mode", {"mode": "both", "version": 0}).status == 409
    default = api.post("/api/trigger-mode", {"mode": None, "version": 1}).body
    assert (default["effective"], default["stored"]) == ("both", None)


class Replays:
    """Counts replays; fails as a test wants."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.layers: list[Layers] = []

    def __call__(self, layers: Layers, hours: int) -> dict[str, object]:
        self.layers.append(layers)
        if self.error:
            raise self.error
        return {"ts_from": 1, "ts_until": 2, "groups": 0, "cut": False, "portfolios": []}


def test_a_test_replays_what_was_copied_under_other_settings() -> None:
    """The same trades, but a share nobody would notice: what was executed is skipped then."""
    api = Office(trading(days=1, trades_per_day=6))
    store, clock = api.system.store, api.system.clock
    changes = {"changes": {"leader_notional_min": "1000000"}}
    asked = api.post("/api/config/test", changes)
    assert (asked.status, asked.body["state"], asked.body["result"]) == (202, "queued", None)
    path = f"/api/config/test/{asked.body['job']}"
    assert api.asked == [asked.body["job"]]
    assert api.get(path).body["state"] == "queued"
    assert api.tests.run(api.asked[0], replayed_job(store, clock))
    done = api.get(path).body
    assert done["state"] == "done", done["error"]
    together = {row["portfolio_id"]: row for row in done["result"]["portfolios"]}
    assert together["main/global"]["before"]["executed"] > 0
    assert together["main/global"]["after"]["executed"] == 0
    # Nothing of it is in force.
    assert api.get("/api/config/global").body["version"] == 0


def test_the_layers_of_a_test_are_those_in_force_with_the_change(api: Office) -> None:
    api.post("/api/config/global", {"version": 0, "changes": {"copy_fraction": "0.02"}})
    own = {"version": 0, "changes": {"buy_cash_min": "9"}}
    api.post(f"/api/config/user/{LEADER}", own)
    api.post("/api/config/test", {"scope": LEADER, "changes": {"buy_cash_min": None}})
    replay = Replays()
    api.tests.run(api.asked[0], replay)
    assert replay.layers == [{"global": {"copy_fraction": "0.02"}, LEADER: {}}]


def test_a_test_runs_once_however_often_it_is_asked_for(api: Office) -> None:
    api.post("/api/config/test", {"changes": {"copying": False}})
    replay = Replays()
    assert api.tests.run(api.asked[0], replay)
    assert not api.tests.run(api.asked[0], replay)
    assert len(replay.layers) == 1


@pytest.mark.parametrize("error", [Retryable("the store is busy"), ZeroDivisionError("x")])
def test_a_test_that_fails_says_so(api: Office, error: Exception) -> None:
    ref = api.post("/api/config/test", {"changes": {"copying": False}}).body["job"]
    assert api.tests.run(ref, Replays(error))
    found = api.get(f"/api/config/test/{ref}").body
    assert (found["state"], found["result"]) == ("failed", None)
    assert found["error"]


def test_a_runner_that_died_leaves_a_test_that_failed(api: Office) -> None:
    class Died(BaseException):
        pass

    ref = api.post("/api/config/test", {"changes": {"copying": False}}).body["job"]
    with pytest.raises(Died):
        api.tests.run(ref, Replays(Died()))  # type: ignore[arg-type]
    assert api.get(f"/api/config/test/{ref}").body["state"] == "running"
    assert not api.tests.run(ref, Replays())
    api.system.clock.advance(RUN_MS_MAX + 1)
    assert api.get(f"/api/config/test/{ref}").body["state"] == "failed"


def test_few_tests_wait_at_a_time(api: Office) -> None:
    for _ in range(OPEN_MAX):
        assert api.post("/api/config/test", {"changes": {"copying": False}}).status == 202
        api.system.clock.advance(1)
    assert api.post("/api/config/test", {"changes": {"copying": False}}).status == 409
    api.system.clock.advance(RUN_MS_MAX + 1)
    assert api.post("/api/config/test", {"changes": {"copying": False}}).status == 202


def test_a_test_that_nobody_can_run_is_over(api: Office) -> None:
    api.cannot_start = True
    for _ in range(OPEN_MAX + 1):
        assert api.post("/api/config/test", {"changes": {"copying": False}}).status == 503
        api.system.clock.advance(1)


@pytest.mark.parametrize(
    "body",
    [
        {"changes": {"copy_fraction": 7}},
        {"scope": "system", "changes": {"strict_both": True}},
        {"scope": OTHER, "changes": {"copying": False}},
        {"changes": {"copying": False}, "hours": 0},
        {"changes": {"copying": False}, "hours": 169},
    ],
)
def test_a_test_of_what_could_not_be_stored_is_refused(
    api: Office, body: dict[str, object]
) -> None:
    assert api.post("/api/config/test", body).status == 400
    assert api.asked == []
