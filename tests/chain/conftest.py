"""The tests of this folder need a node; where there must be one, its absence is a failure."""

from __future__ import annotations

import os

import pytest

from tests.chain.anvil import missing

if os.environ.get("REQUIRE_EVM") and missing():
    raise RuntimeError(f"the tests at a node must run here, but there is {missing()}")


@pytest.fixture(autouse=True, scope="session")
def _a_node() -> None:
    reason = missing()
    if reason:
        pytest.skip(reason)
