"""The summary at the end of every run: what ran, folder by folder, and what was skipped and why."""

from __future__ import annotations

from collections import Counter, defaultdict

import pytest


def _folder(nodeid: str) -> str:
    parts = nodeid.split("/")
    return parts[1] if len(parts) > 2 else parts[0]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    reasons: Counter[tuple[str, str]] = Counter()
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in terminalreporter.stats.get(outcome, []):
            folder = _folder(report.nodeid)
            counts[folder][outcome] += 1
            if outcome == "skipped" and isinstance(report.longrepr, tuple):
                reasons[(folder, report.longrepr[2].removeprefix("Skipped: "))] += 1
    terminalreporter.section("what ran")
    for folder, found in sorted(counts.items()):
        line = ", ".join(f"{count} {outcome}" for outcome, count in found.items())
        terminalreporter.write_line(f"{folder:<12} {line}")
    for (folder, reason), count in sorted(reasons.items()):
        terminalreporter.write_line(f"skipped      {count} in {folder}: {reason}")
    if not reasons:
        terminalreporter.write_line("skipped      nothing")
