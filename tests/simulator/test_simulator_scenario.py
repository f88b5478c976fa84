"""Timetables of faults: files, random ones, what they did, and what they refuse."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.scenario import CHAOS_DEFAULT, CHAOS_KINDS, ScenarioError, ScenarioStep, chaos
from simulator.scenario import load_scenario as load

ROOT = Path(__file__).parents[2]


def written(folder: Path, document: object) -> str:
    path = folder / "scenario.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_steps_come_and_go_with_venue_time(serve, tmp_path):
    steps = load(written(tmp_path, [
        {"at_s": 60, "faults": {"reorg": 3}},
        {"at_s": 30, "faults": {"http_error_rate": 0.5, "slow_ms": 0}, "for_s": 10},
        {"at_s": 35, "faults": {"duplicate_logs": True}},
        {"at_s": 61, "faults": {"reorg_drop": 64}},
        {"at_s": 600, "faults": {"disconnect": True}},
    ]))  # fmt: skip

    async def scenario(session):
        assert (await session.get("/control/scenario"))["next"]["at_s"] == 30
        session.move(15_000)
        assert (await session.get("/control/faults"))["http_error_rate"] == 0.5
        session.move(6_000)
        faults = await session.get("/control/faults")
        assert faults["http_error_rate"] == 0 and faults["duplicate_logs"] is True
        session.move(30_000)
        report = await session.get("/control/scenario")
        assert [entry["at_s"] for entry in report["applied"]] == [30, 35, 60, 61]
        first, _, reorg, failed = report["applied"]
        genesis = session.venue.world.genesis_ms
        assert genesis + 30_000 <= first["ts"] < genesis + 31_000
        assert first["until"] == genesis + 40_000 <= first["restored_ts"]
        assert reorg["done"] == {"reorg": 3}
        assert "fewer blocks" in failed["error"]
        assert report["next"] == {"at_s": 600, "faults": {"disconnect": True}}
        counters = await session.get("/control/counters")
        assert counters["fault reorg"] == 1

    serve(scenario, blocks=14, steps=steps)


def test_what_was_over_before_the_start_is_skipped(serve):
    steps = [
        ScenarioStep(1_000, {"reorg": 2}),
        ScenarioStep(2_000, {"slow_ms": 1}, 5_000),
        ScenarioStep(3_000, {"late_rows_ms": 700}),
        ScenarioStep(4_000, {"duplicate_logs": True}, 60_000),
    ]

    async def scenario(session):
        faults = await session.get("/control/faults")
        assert faults["slow_ms"] == 0
        assert faults["late_rows_ms"] == 700 and faults["duplicate_logs"] is True
        assert (await session.get("/control/scenario"))["skipped"] == 2

    serve(scenario, blocks=10, steps=steps)


def test_a_switch_changed_by_hand_is_not_set_back(serve):
    steps = [ScenarioStep(20_000, {"late_rows_ms": 500}, 5_000)]

    async def scenario(session):
        session.move(6_000)
        assert (await session.get("/control/faults"))["late_rows_ms"] == 500
        await session.post("/control/faults", {"late_rows_ms": 900})
        session.move(6_000)
        assert (await session.get("/control/faults"))["late_rows_ms"] == 900

    serve(scenario, blocks=10, steps=steps)


def test_the_same_scenario_gives_the_same_history(serve):
    histories = []

    async def scenario(session):
        session.move(120_000)
        histories.append((await session.truth(), (await session.get("/control/scenario"))))

    for _ in range(2):
        kinds = ("reorg", "reorg_silent", "reorg_drop", "duplicate_logs")
        serve(scenario, blocks=50, steps=chaos(5, 12, kinds), fills_per_minute=90)
    assert histories[0] == histories[1]
    assert {next(iter(e["faults"])) for e in histories[0][1]["applied"]} >= {"reorg", "reorg_drop"}


def test_chaos_is_a_function_of_its_seed_and_keeps_its_rate():
    first, again, other = (
        list(itertools.islice(chaos(seed, 6, CHAOS_DEFAULT), 400)) for seed in (1, 1, 2)
    )
    assert first == again != other
    assert {name for step in first for name in step.faults} == set(CHAOS_DEFAULT)
    minutes = first[-1].at_ms / 60_000
    assert 4 < len(first) / minutes < 7
    on_until: dict[str, int] = {}
    for step in first:
        (name,) = step.faults
        assert on_until.get(name, 0) <= step.at_ms
        on_until[name] = step.at_ms + (step.for_ms or 0)


def test_chaos_faults_are_all_valid(serve):
    async def scenario(session):
        for _ in range(80):
            session.move(15_000)
        report = await session.get("/control/scenario")
        assert len(report["applied"]) > 80
        assert not [entry for entry in report["applied"] if "error" in entry]

    serve(scenario, blocks=80, steps=chaos(3, 8, CHAOS_KINDS), fills_per_minute=30)


@pytest.mark.parametrize(
    ("document", "word"),
    [
        ("{", "not JSON"),
        ({"stages": []}, "list"),
        ([{"faults": {}}], "step 1"),
        ([{"at_s": 1, "faults": {"earthquake": 1}}], "earthquake"),
        ([{"at_s": -1, "faults": {}}], "at_s"),
        ([{"at_s": 1, "faults": {}}, {"at_s": 1, "faults": {}, "for_s": "x"}], "step 2"),
        ([{"at_s": 1, "faults": {}, "until": 3}], "until"),
    ],
)
def test_a_bad_file_says_what_is_wrong(tmp_path, document, word):
    with pytest.raises(ScenarioError, match=word):
        load(written(tmp_path, document))


@pytest.mark.parametrize(
    "arguments",
    [
        ["--scenario", "no-such-file.json"],
        ["--resolutions", "5:no-such-market:1"],
        ["--resolutions", "soon"],
    ],
)
def test_a_refused_start_is_one_line_and_exit_2(arguments):
    run = subprocess.run(
        [sys.executable, "-m", "simulator", "--port", "0", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1 and run.stdout == ""


def test_bad_options_name_themselves():
    for option, value in (("--chaos-kinds", "moon"), ("--combos-per-minute", "-1")):
        run = subprocess.run(
            [sys.executable, "-m", "simulator", option, value],
            cwd=ROOT, capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert run.returncode == 2 and option in run.stderr
