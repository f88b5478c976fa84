"""The embedded quarantines."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.embedded.quarantine import FileQuarantine, MemoryQuarantine
from chalicelib.domain.errors import Retryable


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_refusal_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    FileQuarantine(path, clock=ManualClock(77)).keep("ingest", "line\nbreak é \ud800", "v: why")
    FileQuarantine(path, clock=ManualClock(78)).keep("poll", "", "empty")
    first, second = lines(path)
    assert first == {
        "ts": 77,
        "v": 1,
        "source": "ingest",
        "error": "v: why",
        "payload": "line\nbreak é ?",
        "payload_bytes": 15,
    }
    assert (second["ts"], second["source"]) == (78, "poll")


def test_a_long_payload_is_cut_at_a_character(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    FileQuarantine(path).keep("s", "a" + "é" * 60_000, "e" * 9_000)
    (kept,) = lines(path)
    assert kept["payload"] == "a" + "é" * 49_999
    assert kept["payload_bytes"] == 120_001
    assert len(str(kept["error"])) == 2_000


def test_the_file_rotates_once_and_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    quarantine = FileQuarantine(path, bytes_max=1_000)
    for n in range(50):
        quarantine.keep("s", f"payload {n}", "e")
    older = path.with_name("refused.jsonl.1")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["refused.jsonl", "refused.jsonl.1"]
    assert path.stat().st_size <= 1_000
    assert older.stat().st_size <= 1_000
    kept = [line["payload"] for line in lines(older) + lines(path)]
    assert kept == [f"payload {n}" for n in range(50 - len(kept), 50)]
    assert len(kept) > 5


def test_threads_do_not_mix_their_lines(tmp_path: Path) -> None:
    path = tmp_path / "refused.jsonl"
    quarantine = FileQuarantine(path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: quarantine.keep("s", "x" * 2_000 + str(n), "e"), range(200)))
    assert len({line["payload"] for line in lines(path)}) == 200


def test_a_file_that_cannot_be_written_is_retryable(tmp_path: Path) -> None:
    with pytest.raises(Retryable, match="nowhere"):
        FileQuarantine(tmp_path / "nowhere" / "refused.jsonl").keep("s", "p", "e")


def test_the_memory_quarantine_keeps_the_latest() -> None:
    quarantine = MemoryQuarantine()
    for n in range(1_001):
        quarantine.keep("s", str(n), "e")
    assert len(quarantine.kept) == 1_000
    assert quarantine.kept[0] == ("s", "1", "e")
    quarantine.keep("s", "x" * 200_000, "e")
    assert len(quarantine.kept[-1][1]) == 100_000
