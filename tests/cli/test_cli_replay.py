"""`replay` and `record` as commands: the same bytes every time, one line for what is unusable."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
WORLD = "simulator:7:60"


def run(*arguments: str, seed: str = "0") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "chalicelib", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": seed},
        capture_output=True,
        check=False,
    )


def summary(*arguments: str) -> dict[str, Any]:
    done = run("replay", *arguments)
    assert done.stderr == b"", done.stderr.decode()[-2000:]
    told: dict[str, Any] = json.loads(done.stdout)
    return told


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated period as a file."""
    file = tmp_path_factory.mktemp("saved") / "world.jsonl"
    assert run("replay", WORLD, "--save", str(file)).returncode == 0
    return file


def test_two_processes_print_and_write_the_same_bytes(tmp_path: Path) -> None:
    outputs = []
    for seed in ("1", "4242"):
        out = tmp_path / seed
        file = tmp_path / f"{seed}.jsonl.gz"
        done = run("replay", WORLD, "--out", str(out), "--save", str(file), seed=seed)
        assert (done.returncode, done.stderr) == (0, b"")
        parts = {path.name: path.read_bytes() for path in sorted(out.iterdir())}
        outputs.append((done.stdout, parts, file.read_bytes()))
    assert outputs[0] == outputs[1]
    assert set(outputs[0][1]) == {"ledger.jsonl", "attempts.jsonl", "decisions.jsonl"}
    assert all(outputs[0][1].values())


def test_what_is_printed_adds_up(tmp_path: Path) -> None:
    told = summary(WORLD, "--out", str(tmp_path))
    assert told["arrivals"] == told["fills"] == 60
    assert sum(told["verdicts"].values()) == told["attempts"] == 2 * told["groups"]
    assert told["verdicts"]["EXECUTE"] > 10
    assert told["refused"] == told["differences"] == 0
    attempts = (tmp_path / "attempts.jsonl").read_text().splitlines()
    assert len(attempts) == told["attempts"]
    entries = [json.loads(line) for line in (tmp_path / "ledger.jsonl").read_text().splitlines()]
    fees = -sum(
        e["cash"] for e in entries if e["kind"] == "FEE" and e["portfolio_id"] == "main/global"
    )
    assert told["portfolios"]["main/global"]["fees_micros"] == fees > 0
    cash = sum(e["cash"] for e in entries if e["portfolio_id"] == "main/global")
    assert told["portfolios"]["main/global"]["cash_micros"] == cash


def test_a_saved_world_is_the_same_world_packed_or_not(saved: Path, tmp_path: Path) -> None:
    told = summary(str(saved))
    assert told == summary(WORLD)
    packed = tmp_path / "world.gz"
    packed.write_bytes(gzip.compress(saved.read_bytes()))
    assert summary(str(packed)) == told
    assert summary("simulator:8:60")["digest"] != told["digest"]


def test_other_settings_make_other_decisions(saved: Path, tmp_path: Path) -> None:
    leader = json.loads(saved.read_text().splitlines()[1])["body"]
    assert leader
    config = tmp_path / "config.json"
    config.write_text('{"global": {"buy_spread_max": "0.2", "leader_notional_min": 0}}')
    wide, usual = summary(str(saved), "--config", str(config)), summary(str(saved))
    assert wide["verdicts"]["EXECUTE"] > usual["verdicts"]["EXECUTE"]
    assert "SPREAD_TOO_WIDE" in usual["reasons"]
    assert "SPREAD_TOO_WIDE" not in wide["reasons"]
    config.write_text("{}")
    assert summary(str(saved), "--config", str(config))["digest"] == usual["digest"]


def test_a_ledger_that_is_not_reproduced_is_an_exit_code(saved: Path, tmp_path: Path) -> None:
    lines = saved.read_text().splitlines()
    header = json.loads(lines[0])
    told = summary(str(saved))
    ledger = {"portfolio_id": "main/global", "entries": 1, "digest": told["digests"]["main/global"]}
    header["closing"] = [ledger]
    file = tmp_path / "wrong.jsonl"
    file.write_text("\n".join([json.dumps(header), *lines[1:]]))
    done = run("replay", str(file))
    assert done.returncode == 3
    (mismatch,) = json.loads(done.stdout)["mismatches"]
    assert (mismatch["subject"], mismatch["field"]) == ("main/global", "entries")


Break = Callable[[list[str]], bytes]


def _text(lines: list[str]) -> bytes:
    return "\n".join(lines).encode()


def _changed(lines: list[str], kind: str, change: Callable[[dict[str, Any]], None]) -> bytes:
    found = next(n for n, line in enumerate(lines) if line.startswith(f'{{"kind":"{kind}"'))
    record = json.loads(lines[found])
    change(record["body"])
    return _text([*lines[:found], json.dumps(record), *lines[found + 1 :]])


BROKEN: dict[str, tuple[Break, str]] = {
    "empty": (lambda _: b"", "is empty"),
    "not JSON": (lambda _: b"hello", "line 1"),
    "another format": (lambda _: b'{"format": "x"}', "format"),
    "a newer version": (
        lambda lines: _text([lines[0].replace('"v":1', '"v":99')]),
        "version 99; this reads 1",
    ),
    "a header of texts": (
        lambda lines: _text([lines[0].replace('"ts_from":', '"ts_from":"x","was":')]),
        "line 1",
    ),
    "ends before it begins": (
        lambda lines: _text([lines[0].replace('"ts_until":1', '"ts_until":0,"x":1')]),
        "ts_until",
    ),
    "an unknown kind": (
        lambda lines: _text([lines[0], '{"kind":"Secret","body":{}}']),
        "line 2: the kind 'Secret'",
    ),
    "no object": (lambda lines: _text([lines[0], "[1,2]"]), "line 2"),
    "cut in a line": (lambda lines: _text(lines)[:-200], "line"),
    "nested too deeply": (lambda lines: _text([lines[0], "[" * 100_000]), "line 2"),
    "not UTF-8": (lambda lines: lines[0].encode() + b"\n\xff\xfe", "line 2"),
    "a packed file that ends early": (
        lambda lines: gzip.compress(_text(lines))[:-90],
        "cannot read",
    ),
    "a wrong amount": (
        lambda lines: _changed(lines, "Arrival", lambda a: a.update(ts="soon")),
        "ts",
    ),
    "a fee that takes for ever": (
        lambda lines: _changed(lines, "Market", lambda m: m["fee"].update(exponent=10**9)),
        "fee: a rate up to 1",
    ),
    "an unknown leader": (
        lambda lines: _changed(lines, "Arrival", lambda a: a.update(leader_fact="nobody")),
        "leader_fact",
    ),
    "no portfolios": (
        lambda lines: _text([x for x in lines if not x.startswith('{"kind":"PortfolioRef"')]),
        "portfolio",
    ),
    "twice the same": (
        lambda lines: _text([*lines[:2], lines[1], *lines[2:]]),
        "twice",
    ),
    "a line without end": (lambda lines: _text([lines[0], "x" * 3_000_000]), "line 2: too long"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_cannot_be_read_is_one_sentence(name: str, saved: Path, tmp_path: Path) -> None:
    broken, words = BROKEN[name]
    file = tmp_path / "broken"
    file.write_bytes(broken(saved.read_text().splitlines()))
    done = run("replay", str(file))
    said = done.stderr.decode()
    assert done.returncode == 2, (done.stdout[:500], said[-1500:])
    assert done.stdout == b""
    assert "Traceback" not in said
    (line,) = said.splitlines()
    assert line.startswith("replay: ")
    assert words in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["replay", "/nowhere/at/all"], "cannot read"),
        (["replay", "simulator:7"], "simulator:SEED:FILLS"),
        (["replay", "simulator:7:0"], "fills were expected"),
        (["replay", "simulator:x:10"], "simulator:SEED:FILLS"),
        (["replay", WORLD, "--config", "/nowhere"], "cannot read"),
        (["replay", WORLD, "--out", "/proc/nothing"], "cannot write"),
        (["replay", WORLD, "--save", "/proc/nothing"], "cannot write"),
        (["record", "--data", "/nowhere", "--out", "/tmp/never"], "is no file"),
        (["record", "--data", "/etc/hostname", "--out", "/tmp/never"], "not a database"),
        (["record", "--data", "/etc", "--from", "yesterday", "--out", "/tmp/never"], "ISO 8601"),
        (["record", "--stage", "Not A Stage", "--out", "/tmp/never"], "PAPERCOPY_STAGE"),
        (["record", "--out", "/tmp/never"], "required"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    said = done.stderr.decode()
    assert done.returncode == 2, said[-1500:]
    assert "Traceback" not in said
    assert words in said.splitlines()[-1]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "not JSON"),
        ("[]", "not a JSON object"),
        ('{"global": 5}', "an object of settings"),
        ('{"global": {"copy_fraction": 7}}', "copy_fraction"),
        ('{"global": {"no_such_setting": 7}}', "no_such_setting"),
    ],
)
def test_settings_that_cannot_be_are_one_sentence(
    text: str, words: str, saved: Path, tmp_path: Path
) -> None:
    config = tmp_path / "config.json"
    config.write_text(text)
    done = run("replay", str(saved), "--config", str(config))
    said = done.stderr.decode()
    assert (done.returncode, "Traceback" in said) == (2, False)
    assert words in said
