"""Quarantines of the embedded engine: a file of JSON lines, and a list for tests."""

from __future__ import annotations

import json
import os
from collections import deque
from pathlib import Path
from threading import Lock

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.refused import PAYLOAD_BYTES_MAX, cut, refused_line
from chalicelib.domain.errors import Retryable
from chalicelib.ports import Clock

FILE_BYTES_MAX = 20_000_000
KEPT_MAX = 1_000


class FileQuarantine:
    """Appends one JSON line per refusal, with `ts` in milliseconds.

    A file that would exceed `bytes_max` is renamed to `<name>.1`, replacing the one before it, so
    two files of at most `bytes_max` each remain.
    """

    def __init__(
        self, path: str | Path, *, bytes_max: int = FILE_BYTES_MAX, clock: Clock | None = None
    ) -> None:
        self._path = Path(path)
        self._bytes_max = bytes_max
        self._clock = clock or SystemClock()
        self._lock = Lock()

    def keep(self, source: str, payload: str, error: str) -> None:
        """Store one refused payload. Raises Retryable when the file cannot be written."""
        refused = {"ts": self._clock.now_ms(), **json.loads(refused_line(source, payload, error))}
        line = json.dumps(refused, ensure_ascii=False).encode() + b"\n"
        try:
            with self._lock:
                self._rotate(len(line))
                with self._path.open("ab") as file:
                    file.write(line)
        except OSError as failure:
            raise Retryable(f"quarantine {self._path}: {failure}") from failure

    def _rotate(self, more_bytes: int) -> None:
        held_bytes = self._path.stat().st_size if self._path.exists() else 0
        if held_bytes and held_bytes + more_bytes > self._bytes_max:
            os.replace(self._path, self._path.with_name(f"{self._path.name}.1"))


class MemoryQuarantine:
    """The latest KEPT_MAX refusals as (source, payload, error)."""

    def __init__(self) -> None:
        self._kept: deque[tuple[str, str, str]] = deque(maxlen=KEPT_MAX)
        self._lock = Lock()

    def keep(self, source: str, payload: str, error: str) -> None:
        """Store one refused payload."""
        with self._lock:
            self._kept.append((source, cut(payload, PAYLOAD_BYTES_MAX), error))

    @property
    def kept(self) -> list[tuple[str, str, str]]:
        """What was refused, oldest first."""
        with self._lock:
            return list(self._kept)
