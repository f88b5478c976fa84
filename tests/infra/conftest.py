from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local.engine import AwsEngine

STAND_IN = Path(__file__).parent / "stand_in"

# 60 s of visibility become 1.5 s and a one-minute schedule also; workflow waits shrink alike.
# Less, and a busy machine overruns the visibility: a second delivery that is nobody's mistake.
TIME_SCALE = 0.025


def stand_in_engine(**options: Any) -> AwsEngine:
    return AwsEngine(project=STAND_IN, **{"time_scale": TIME_SCALE, "schedules": False, **options})


@pytest.fixture(scope="session")
def new_engine() -> Callable[..., AwsEngine]:
    """Makes an engine, not started, that runs the stand-in application."""
    return stand_in_engine


@pytest.fixture(scope="module")
def engine() -> Iterator[AwsEngine]:
    with stand_in_engine() as running:
        yield running
