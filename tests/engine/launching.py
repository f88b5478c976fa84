"""`python -m infra.local` as a real process, as a person at a terminal has it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

ROOT = Path(__file__).resolve().parents[2]
UP_S_MAX = 40
NOWHERE = "127.0.0.1:9"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def surroundings(**changes: str) -> dict[str, str]:
    """The environment of a process: nothing of ours, and no address outside this machine."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    urls = {f"{name}_API_URL": f"http://{NOWHERE}" for name in ("DATA", "GAMMA", "CLOB")}
    return {**kept, **urls, "CLOB_WS_URL": f"ws://{NOWHERE}", **changes}


def refused(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What a start that must fail says: one line, code 2, no trace, and nothing was announced."""
    done = subprocess.run(
        [sys.executable, "-m", "infra.local", *arguments],
        cwd=ROOT,
        env=dict(env or surroundings()),
        capture_output=True,
        text=True,
        timeout=UP_S_MAX,
        check=False,
    )
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr + done.stdout
    (line,) = done.stderr.strip().splitlines()
    assert line.startswith("papercopy: ")
    assert "is up" not in done.stdout
    return line


def children(pid: int) -> list[int]:
    """Processes started by `pid`, as the kernel tells."""
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for each in lists for child in each.read_text().split()]


def alive(pid: int) -> bool:
    """Whether a process exists and is more than an exit code nobody asked for."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(condition: Callable[[], Any], seconds_max: float) -> Any:
    """The first true answer; fails the test when there is none."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        found = condition()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds_max} s")


@dataclass
class Run:
    """A papercopy that was started."""

    process: subprocess.Popen[str]
    url: str = ""
    cookie: str = ""
    said: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def get(self, path: str) -> Any:
        """A JSON answer of the API."""
        request = urllib.request.Request(self.url + path, headers={"Cookie": self.cookie})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read())

    def sign_in(self, link: str) -> None:
        """Redeem a link as the dashboard does."""
        token = link.split("token=")[1].strip()
        request = urllib.request.Request(
            self.url + "/api/auth/local",
            json.dumps({"token": token}).encode(),
            {"Content-Type": "application/json", "Origin": self.url},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            self.cookie = answer.headers["Set-Cookie"].partition(";")[0]

    def listing(self, path: str) -> list[dict[str, Any]]:
        """Every row of a listing."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(100):
            page = self.get(f"{path}?limit=200{cursor}")
            rows += page["items"]
            if page["next_cursor"] is None:
                break
            cursor = "&cursor=" + quote(page["next_cursor"])
        return rows

    def children(self) -> list[int]:
        return children(self.process.pid)

    def end(self, number: signal.Signals, seconds_max: float = 12) -> int:
        """The exit code after a signal; fails when it takes longer or leaves a process behind."""
        started = self.children()
        self.process.send_signal(number)
        code = self.process.wait(seconds_max)
        until(lambda: not any(alive(child) for child in started), 5)
        return code

    def clean(self) -> bool:
        return "Traceback" not in "".join(self.said + self.complaints)


def _collect(stream: Any, lines: list[str]) -> threading.Thread:
    # `extend` takes each line as it comes.
    thread = threading.Thread(target=lambda: lines.extend(stream), daemon=True)
    thread.start()
    return thread


@contextmanager
def running(data: Path, *arguments: str, env: Mapping[str, str] | None = None) -> Iterator[Run]:
    """A papercopy that is up; killed at the end if it still runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "infra.local", "run", "--data", str(data), *arguments],
        cwd=ROOT,
        env=dict(env or surroundings()),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # Its own group, so that a test can press Ctrl-C for all of it.
        start_new_session=True,
    )
    run = Run(process)
    readers = [_collect(process.stdout, run.said), _collect(process.stderr, run.complaints)]
    try:
        until(lambda: process.poll() is not None or "Ctrl-C" in "".join(run.said), UP_S_MAX)
        assert process.poll() is None, (run.said, run.complaints)
        (line,) = [line for line in run.said if "is up: " in line]
        run.url = line.split("is up: ")[1].strip().rstrip("/")
        (link,) = [line for line in run.said if "sign-in?token=" in line]
        run.sign_in(link)
        yield run
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        for reader in readers:
            reader.join(5)
