"""The process: its command line, its ready line, its end; and the control interface."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from web3 import HTTPProvider, Web3

ROOT = Path(__file__).parents[2]


def launch(*arguments):
    command = [sys.executable, "-m", "simulator", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True)  # fmt: skip


@pytest.fixture(scope="module")
def running():
    """A live simulator ten minutes into its history, four times as fast as the wall."""
    genesis = (int(time.time()) - 150) * 1_000
    process = launch("--port", "0", "--genesis", str(genesis), "--time-scale", "4",
                     "--exit-with-parent")  # fmt: skip
    ready = json.loads(process.stdout.readline())
    yield ready
    process.stdin.close()
    assert process.wait(5) == 0


def fetch(url):
    with urllib.request.urlopen(url, timeout=5) as answer:
        return json.load(answer)


def test_ready_line_names_every_endpoint(running):
    assert running["ready"] is True and running["seed"] == 7
    health = fetch(running["control"] + "/health")
    assert health["ok"] and health["genesis"] == running["genesis"]
    leaders = fetch(running["control"] + "/leaders")
    assert [leader["wallet"] for leader in leaders] == running["leaders"]
    assert [leader["style"] for leader in leaders] == ["taker", "maker", "mixed", "small"]
    assert fetch(running["clob_api"] + "/time") >= running["genesis"] // 1_000 + 600


def test_a_standard_client_reads_the_chain(running):
    w3 = Web3(HTTPProvider(running["polygon_http"]))
    assert w3.eth.chain_id == 137
    head = w3.eth.get_block("latest")
    assert w3.eth.get_block(head["parentHash"])["number"] == head["number"] - 1
    assert w3.eth.get_block("finalized")["number"] < head["number"]
    fills = fetch(running["control"] + "/truth?limit=20")["fills"]
    receipt = w3.eth.get_transaction_receipt(fills[-1]["tx_hash"])
    assert fills[-1]["log_index"] in [log["logIndex"] for log in receipt["logs"]]
    logs = w3.eth.get_logs({"blockHash": fills[0]["block_hash"]})
    assert fills[0]["log_index"] in [log["logIndex"] for log in logs]
    transaction = w3.eth.get_transaction(fills[0]["tx_hash"])
    assert transaction["to"].lower() == fills[0]["exchange"]


def test_the_world_moves_on_its_own(running):
    before = fetch(running["control"] + "/health")["block_number"]
    deadline = time.monotonic() + 30
    while fetch(running["control"] + "/health")["block_number"] < before + 2:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_restart_continues_the_same_history(running):
    process = launch("--port", "0", "--genesis", str(running["genesis"]), "--time-scale", "4",
                     "--exit-with-parent")  # fmt: skip
    again = json.loads(process.stdout.readline())
    first, second = (fetch(r["control"] + "/truth?limit=150") for r in (running, again))
    assert first["fills"] == second["fills"] and len(first["fills"]) == 150
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0
    assert process.stderr.read() == ""


def test_a_taken_port_is_one_line_and_exit_2(running):
    process = launch("--port", str(running["port"]))
    _, errors = process.communicate(timeout=10)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1 and str(running["port"]) in errors


def test_control_refuses_nonsense(serve):
    async def scenario(session):
        for body, word in (
            ({"earthquake": True}, "earthquake"),
            ({"http_429_rate": 2}, "http_429_rate"),
            ({"ws_stall": 1}, "ws_stall"),
            ({"slow_ms": -1}, "slow_ms"),
            ({"http_scope": "moon"}, "http_scope"),
            ({"reorg": True}, "reorg"),
            ([], "object"),
        ):
            answer = await session.post("/control/faults", body, status=400)
            assert word in answer["error"]
        await session.get("/control/truth", status=400, after="x")
        await session.get("/control/truth", status=400, limit=0)
        faults = await session.get("/control/faults")
        assert not any(faults.values())

    serve(scenario, blocks=5)


def test_http_faults_spare_the_control_interface(serve):
    async def scenario(session):
        await session.post("/control/faults", {"http_429_rate": 1})
        answers = [await session.client.get("/clob/time") for _ in range(20)]
        assert {answer.status for answer in answers} == {429}
        assert len({answer.headers.get("Retry-After") for answer in answers}) == 2
        await session.post("/control/faults", {"http_429_rate": 0, "http_error_rate": 1})
        assert (await session.client.get("/clob/time")).status == 500
        counters = await session.get("/control/counters")
        assert counters["429"] == 20 and counters["500"] == 1
        assert counters["GET /clob/time"] == 21
        await session.post("/control/faults", {"http_scope": "data"})
        assert (await session.client.get("/clob/time")).status == 200
        assert (await session.client.get("/data/v2/status")).status == 500

    serve(scenario, blocks=5)


def test_truth_pages_and_stopped_leaders(serve):
    async def scenario(session):
        whole = await session.get("/control/truth", limit=10_000)
        paged, after = [], 0
        while page := (await session.get("/control/truth", after=after, limit=7))["fills"]:
            paged += page
            after = page[-1]["n"]
        assert paged == whole["fills"] and whole["total"] == len(paged)
        assert whole["done"] is False
        await session.post("/control/stop_leaders", {})
        session.move(20_000)
        stopped = await session.get("/control/truth", limit=10_000)
        assert stopped["done"] is True
        session.move(30_000)
        assert (await session.get("/control/truth", limit=10_000))["total"] == stopped["total"]
        assert session.venue.head.number > stopped["fills"][-1]["block_number"] + 10

    serve(scenario, blocks=100)


def test_every_option_starts_and_the_scenario_runs(tmp_path):
    timetable = tmp_path / "faults.json"
    timetable.write_text(json.dumps([{"at_s": 0, "faults": {"late_rows_ms": 900}}]))
    process = launch(
        "--port", "0", "--genesis", str((int(time.time()) - 60) * 1_000), "--holdings",
        "--other-activity-per-minute", "60", "--combos-per-minute", "10",
        "--oddities-per-minute", "10",
        "--resolutions", "30:hoops-cap-riv:0,40:harbour-mayor-alder:1",
        "--scenario", str(timetable), "--chaos", "5", "--chaos-rate", "2",
        "--chaos-kinds", "reorg,reorg_drop", "--exit-with-parent",
    )  # fmt: skip
    ready = json.loads(process.stdout.readline())
    report = fetch(ready["control"] + "/scenario")
    assert report["applied"][0]["faults"] == {"late_rows_ms": 900} and report["next"]
    assert fetch(ready["control"] + "/activity")["total"] > 20
    assert len(fetch(ready["control"] + "/leaders")[0]["wallets"]) == 2
    process.stdin.close()
    assert process.wait(5) == 0
    assert process.stderr.read() == ""
