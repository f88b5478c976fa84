"""No metric is counted under a name that the list does not know, and none is listed in vain."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from chalicelib.metric_names import COUNTERS, FAMILIES, SERIES, is_listed
from chalicelib.observability import VALUES_MAX, EmfMetrics

ROOT = Path(__file__).resolve().parents[2]


def _calls() -> Iterator[tuple[str, ast.expr]]:
    """First arguments of everything that counts: metrics, the books' counts, `Counted`."""
    for path in [*(ROOT / "chalicelib").rglob("*.py"), *(ROOT / "infra").rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = ast.unparse(node.func)
            name = called.rsplit(".", 1)[-1]
            counts = name in ("count", "observe") and any(
                called.split(".")[-2:-1] == [word] or called.split(".")[-2:-1] == [f"_{word}"]
                for word in ("metrics", "store")
            )
            if counts or called in ("Counted", "count"):
                yield str(path.relative_to(ROOT)), node.args[0]


def _names(argument: ast.expr) -> Iterator[str]:
    """Names an argument can be; parts that are computed stand as `x`."""
    if isinstance(argument, ast.Constant):
        yield str(argument.value)
    elif isinstance(argument, ast.IfExp):
        yield from _names(argument.body)
        yield from _names(argument.orelse)
    elif isinstance(argument, ast.JoinedStr):
        yield "".join(
            str(part.value) if isinstance(part, ast.Constant) else "\0" for part in argument.values
        )


def _possible(name: str) -> bool:
    """Whether a name, or one that its computed parts can make it, is listed."""
    if "\0" not in name:
        return is_listed(name)
    before, after = name.split("\0", 1)[0], name.rsplit("\0", 1)[1]
    listed = {*COUNTERS, *SERIES}
    return (
        name == "\0_\0"
        or is_listed(name.replace("\0", "x"))
        or any(one.startswith(before) and one.endswith(after) for one in listed)
    )


def test_every_name_that_is_counted_is_listed() -> None:
    found = [(path, name) for path, argument in _calls() for name in _names(argument)]
    assert len(found) > 100, "the search finds what it should"
    assert [one for one in found if not _possible(one[1])] == []


def test_every_listed_name_is_counted_somewhere() -> None:
    names = {name for _, argument in _calls() for name in _names(argument)}
    parts = [name.split("\0") for name in names if "\0" in name and name != "\0_\0"]
    template = (ROOT / "infra" / "app.yaml").read_text()
    unused = {
        name
        for name in {*COUNTERS, *SERIES} - names
        if not any(name.startswith(first) and name.endswith(last) for first, *_, last in parts)
        and f"MetricName: {name}" not in template
    }
    assert unused == set()


def test_series_and_counters_are_apart() -> None:
    assert not COUNTERS & SERIES.keys()
    assert len(SERIES) <= 10, "each costs money for as long as it is written to"
    assert all(not name.startswith(tuple("0123456789")) for name in FAMILIES)


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> tuple[EmfMetrics, list[str]]:
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "papercopy-test")
    monkeypatch.delenv("POWERTOOLS_METRICS_DISABLED", raising=False)
    written: list[str] = []
    return EmfMetrics(written.append), written


def test_only_series_become_metrics_and_they_have_no_dimensions(
    lines: tuple[EmfMetrics, list[str]],
) -> None:
    metrics, written = lines
    metrics.count("fills_missed", 2)
    metrics.count("evidence_repeated", 7)
    metrics.count("polls_failed", 0)
    metrics.flush()
    metrics.flush()
    (line,) = written
    told = json.loads(line)
    (block,) = told["_aws"]["CloudWatchMetrics"]
    assert (block["Namespace"], block["Dimensions"]) == ("papercopy-test", [[]])
    assert block["Metrics"] == [{"Name": "fills_missed", "Unit": "Count"}]
    assert (told["fills_missed"], told["evidence_repeated"]) == (2, 7)
    assert "polls_failed" not in told


def test_a_distribution_keeps_every_value_in_as_many_lines_as_it_takes(
    lines: tuple[EmfMetrics, list[str]],
) -> None:
    metrics, written = lines
    for lag in range(VALUES_MAX + 3):
        metrics.observe("detection_lag_ms", lag)
    metrics.count("trades_new", 5)
    metrics.flush()
    told = [json.loads(line) for line in written]
    assert [len(one["detection_lag_ms"]) for one in told] == [VALUES_MAX, 3]
    lags = [lag for one in told for lag in one["detection_lag_ms"]]
    assert lags == list(range(VALUES_MAX + 3))
    assert [one.get("trades_new") for one in told] == [5, None], "counted once"
    units = {m["Unit"] for one in told for m in one["_aws"]["CloudWatchMetrics"][0]["Metrics"]}
    assert units == {"Milliseconds"}


def test_switched_off_it_keeps_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
    written: list[str] = []
    metrics = EmfMetrics(written.append)
    metrics.count("fills_missed")
    metrics.observe("detection_lag_ms", 1)
    metrics.flush()
    assert written == []
