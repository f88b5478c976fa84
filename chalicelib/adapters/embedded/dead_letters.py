"""Dead letters of the embedded engine: the fill messages in its quarantine file."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock

from chalicelib.adapters import codec
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.evidence import FillMessage
from chalicelib.ports import Quarantine, Redriven

REQUEST_FILE = "redrive.request"
"""In the data folder: whoever is not the engine asks it by this to redrive."""


class FileDeadLetters:
    """Port DeadLetters on the quarantine's file; messages are ingested again at once.

    The file is moved aside first. What is not ingested goes back into the quarantine, and a run
    that was cut off is gone through again by the next: counting twice is not possible.
    """

    def __init__(
        self,
        path: Path,
        ingest: Callable[[FillMessage], object],
        quarantine: Quarantine,
        forget: Callable[[], object] = lambda: None,
    ) -> None:
        """`forget` is called when nothing of the queue's own dead letters is left to do."""
        self._path = path
        self._aside = path.with_name("redriving.jsonl")
        self._ingest = ingest
        self._quarantine = quarantine
        self._forget = forget
        self._lock = Lock()

    def count(self, queue: str) -> int:
        """Fill messages that could be ingested again; nothing else is kept."""
        return waiting(self._path) + waiting(self._aside) if queue != "polls" else 0

    def redrive(self, queue: str, limit: int) -> Redriven:
        """Ingest at most `limit` messages again, oldest first."""
        if queue == "polls":
            return Redriven(0, 0, 0)
        with self._lock:
            moved = kept = 0
            if self._take_aside():
                for line in self._aside.read_text("utf-8").splitlines():
                    message = _message(line) if moved < limit else None
                    if message is not None and self._went_well(message):
                        moved += 1
                    else:
                        kept += self._put_back(line)
                self._aside.unlink()
            if moved and not self.count(queue):
                self._forget()
            return Redriven(moved, kept, self.count(queue))

    def _take_aside(self) -> bool:
        if not self._aside.exists() and self._path.exists():
            os.replace(self._path, self._aside)
        return self._aside.exists()

    def _went_well(self, message: FillMessage) -> bool:
        try:
            self._ingest(message)
        except PapercopyError:
            return False
        return True

    def _put_back(self, line: str) -> int:
        try:
            told = json.loads(line)
            self._quarantine.keep(told["source"], told["payload"], told["error"])
        except (ValueError, KeyError, TypeError):
            self._quarantine.keep("quarantine", line, "a line that could not be read")
        return 1


def waiting(path: Path) -> int:
    """How many fill messages lie in a quarantine's file."""
    if not path.exists():
        return 0
    return sum(_message(line) is not None for line in path.read_text("utf-8").splitlines())


def _message(line: str) -> FillMessage | None:
    """The whole fill message of a line, None for everything else."""
    try:
        told = json.loads(line)
        whole = told["payload_bytes"] == len(told["payload"].encode())
        if told["source"] not in ("fills", "ingest") or not whole:
            return None
        return codec.from_text(FillMessage, told["payload"])
    except (InvalidInput, ValueError, TypeError, KeyError, AttributeError):
        return None
