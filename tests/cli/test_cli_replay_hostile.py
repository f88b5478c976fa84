"""Whatever one value of a recording says, `replay` answers or refuses in one sentence."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.cli.running import Result, run

VALUES = (
    None,
    -1,
    0,
    1,
    10**30,
    2**63,
    1.5,
    "",
    "x",
    "1e9",
    [],
    {},
    [[]],
    True,
    "0x",
    "BUY",
    "é\u2028",
)


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """A small simulated period."""
    file = tmp_path_factory.mktemp("saved") / "world.jsonl"
    assert run("replay", "simulator:5:12", "--save", str(file)).code == 0
    return file.read_text().splitlines()


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (container, key) inside a JSON value."""
    if isinstance(value, dict | list):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from places(value[key])


def assert_orderly(result: Result) -> None:
    assert result.code in (0, 2, 3), result.err
    assert "Traceback" not in result.err
    if result.code == 2:
        assert result.out == ""
        assert len(result.err.splitlines()) == 1, result.err
        assert len(result.err) < 600
    else:
        assert result.err == ""
        assert len(result.lines) == 1


@settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.integers(0, 2**32), st.sampled_from(["value", "key", "cut", "swap"]))
def test_one_wrong_value_is_answered_or_refused(
    lines: list[str], tmp_path: Path, seed: int, how: str
) -> None:
    rng = random.Random(seed)
    kinds = sorted({line[:20] for line in lines})
    chosen = rng.choice(kinds)
    number = rng.choice([n for n, line in enumerate(lines) if line.startswith(chosen)])
    record = json.loads(lines[number])
    container, key = rng.choice(list(places(record)))
    if how == "value":
        container[key] = rng.choice(VALUES)
    elif how == "key" and isinstance(container, dict):
        container[f"{key}x"] = container.pop(key)
    elif how == "cut":
        del container[key]
    else:
        other = json.loads(rng.choice(lines))
        where, name = rng.choice(list(places(other)))
        container[key] = where[name]
    file = tmp_path / "wrong.jsonl"
    file.write_text("\n".join([*lines[:number], json.dumps(record), *lines[number + 1 :]]))
    assert_orderly(run("replay", str(file)))
