"""Many executions of one portfolio on DynamoDB end like one after the other in memory."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.embedded.memory_store import MemoryStore
from tests.workflow.lane_storm import PORTFOLIO, storm
from tests.workflow.test_copying import assert_books_balance

from .conftest import lock_commits

GROUPS = 24


def test_threads_on_dynamodb_change_nothing(
    make_dynamo_store: Callable[[str], DynamoStore],
) -> None:
    store = make_dynamo_store("test")
    lock_commits(store)
    expected, calm = storm(MemoryStore(), GROUPS, threads=1)
    system, stormy = storm(store, GROUPS, threads=6, seed=5, one_in=25)
    assert calm.broken == stormy.broken == []
    assert stormy.storms > 0
    assert_books_balance(system)
    assert system.digests() == expected.digests()
    told = [
        [(a.attempt_id, a.status, a.reasons) for a in one.attempts() if a.portfolio_id == PORTFOLIO]
        for one in (system, expected)
    ]
    assert told[0] == told[1]
    assert len(told[0]) == GROUPS
