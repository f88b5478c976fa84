"""Runs the commands: as a process of its own, and quickly inside the test's process."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chalicelib.__main__ import main

ROOT = Path(__file__).parents[2]
EVENTS = ROOT / "tests" / "events"


@dataclass(frozen=True)
class Result:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


def as_process(*argv: str, stdin: bytes = b"") -> Result:
    """Run in a fresh interpreter, as an operator does."""
    done = subprocess.run(
        [sys.executable, "-m", "chalicelib", *argv],
        cwd=ROOT, input=stdin, capture_output=True, check=False, timeout=30,
    )  # fmt: skip
    return Result(done.returncode, done.stdout.decode(), done.stderr.decode())


def run(*argv: str, stdin: bytes | str = b"") -> Result:
    """Run inside this process with the given standard input."""
    out, err, before = io.StringIO(), io.StringIO(), sys.stdin
    content = stdin.encode() if isinstance(stdin, str) else stdin
    sys.stdin = io.TextIOWrapper(io.BytesIO(content))
    try:
        with redirect_stdout(out), redirect_stderr(err):
            try:
                code = main(argv)
            except SystemExit as leaving:
                code = int(str(leaving.code))
    finally:
        sys.stdin = before
    return Result(code, out.getvalue(), err.getvalue())


def assert_refused(result: Result, *words: str) -> None:
    """Exit code 2, nothing on stdout, one line on stderr that names what is wrong."""
    assert (result.code, result.out) == (2, "")
    assert result.err.endswith("\n")
    assert len(result.err.splitlines()) == 1, result.err
    assert len(result.err) < 600
    assert "Traceback" not in result.err
    for word in words:
        assert word in result.err, result.err


def assert_clean(result: Result) -> None:
    """Either a full answer or a refusal, never anything between."""
    if result.code == 0:
        assert result.err == ""
        assert isinstance(result.lines, list)
    else:
        assert_refused(result)
