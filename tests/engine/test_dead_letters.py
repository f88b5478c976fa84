"""What the embedded engine refused is handed in again from its file, also after a crash."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.codec import to_text
from chalicelib.adapters.embedded.dead_letters import REQUEST_FILE, FileDeadLetters, waiting
from chalicelib.adapters.embedded.quarantine import FileQuarantine
from chalicelib.cli import redrive
from chalicelib.cli.terminal import Unusable
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import FillMessage
from tests.workflow.harness import T0, M, chain, leg


class Folder:
    """A data folder whose ingestion refuses what it is told to."""

    def __init__(self, path: Path) -> None:
        self.path = path / "quarantine.jsonl"
        self.quarantine = FileQuarantine(self.path, clock=ManualClock(T0))
        self.ingested: list[str] = []
        self.refused: set[str] = set()
        self.forgotten = 0
        self.dies_at = 0
        self.letters = FileDeadLetters(self.path, self._ingest, self.quarantine, self._forget)

    def _ingest(self, message: FillMessage) -> None:
        tx = message.chain[0].tx_hash
        if len(self.ingested) + 1 == self.dies_at:
            raise RuntimeError("killed")
        if tx in self.refused:
            raise InvalidInput("tx", "still refused")
        self.ingested.append(tx)

    def _forget(self) -> None:
        self.forgotten += 1

    def bury(self, number: int) -> str:
        message = chain([leg(10 * M, 510_000)], number=number)
        self.quarantine.keep("fills", to_text(message), "RuntimeError")
        return message.chain[0].tx_hash


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_fills_are_ingested_in_order_and_the_rest_stays(folder: Folder) -> None:
    first, second = folder.bury(1), folder.bury(2)
    folder.quarantine.keep("gamma", "{}", "no market")
    done = folder.letters.redrive("fills", 10)
    assert (done.moved, done.kept, done.left) == (2, 1, 0)
    assert folder.ingested == [first, second]
    assert folder.forgotten == 1
    (line,) = folder.path.read_text().splitlines()
    assert json.loads(line)["source"] == "gamma"
    assert folder.letters.redrive("fills", 10).moved == 0


def test_what_is_still_refused_and_what_is_beyond_the_limit_stays(folder: Folder) -> None:
    folder.refused.add(folder.bury(1))
    second, third = folder.bury(2), folder.bury(3)
    done = folder.letters.redrive("fills", 1)
    assert (done.moved, done.left, folder.ingested) == (1, 2, [second])
    folder.refused.clear()
    assert folder.letters.redrive("fills", 10).left == 0
    assert set(folder.ingested[1:]) >= {third}
    assert len(folder.ingested) == 3


@pytest.mark.parametrize("dies_at", [1, 2, 3])
def test_dying_in_the_middle_loses_nothing(folder: Folder, dies_at: int) -> None:
    wanted = {folder.bury(number) for number in (1, 2, 3)}
    folder.dies_at = dies_at
    with pytest.raises(RuntimeError, match="killed"):
        folder.letters.redrive("fills", 10)
    folder.dies_at = 0
    assert folder.letters.count("fills") == 3
    folder.letters.redrive("fills", 10)
    assert set(folder.ingested) == wanted
    assert folder.letters.count("fills") == 0


def test_a_part_of_a_payload_and_a_torn_line_are_never_ingested(folder: Folder) -> None:
    folder.bury(1)
    told = json.loads(folder.path.read_text())
    folder.path.write_text(json.dumps({**told, "payload_bytes": 10**6}) + '\n{"torn": \n')
    done = folder.letters.redrive("fills", 10)
    assert (done.moved, done.kept, folder.ingested) == (0, 2, [])
    assert len(folder.path.read_text().splitlines()) == 2


def test_the_command_asks_the_engine_of_a_folder(
    folder: Folder, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(Unusable, match="no data folder"):
        redrive.run(["--data", str(tmp_path)])
    (tmp_path / "papercopy.sqlite3").touch()
    folder.bury(1)
    assert redrive.run(["--data", str(tmp_path), "--dry-run"]) == 0
    assert json.loads(capsys.readouterr().out)["left"] == waiting(folder.path) == 1
    assert not (tmp_path / REQUEST_FILE).exists()
    assert redrive.run(["--data", str(tmp_path)]) == 0
    assert (tmp_path / REQUEST_FILE).exists()
    with pytest.raises(Unusable, match="knows neither"):
        redrive.run(["--data", str(tmp_path), "--discard"])
