"""Die before and after every single commit of a scenario: retries end in the same books."""

from __future__ import annotations

from chalicelib.domain.errors import PapercopyError
from tests.workflow.harness import System, api, chain, leg, row
from tests.workflow.test_copying import assert_books_balance, waiting
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
TRIES = 4


def scenario(system: System) -> None:
    """A buy seen by both sources, a second in the same group, a partial sell, a final one."""

    def tried(action: object, *arguments: object) -> None:
        for _ in range(TRIES):
            try:
                action(*arguments)  # type: ignore[operator]
            except PapercopyError:
                continue
            return
        raise AssertionError("the step never succeeded")

    def step() -> None:
        for _ in range(4):
            system.clock.advance(5_000)
            tried(system.services.sweep, 0)

    ts = system.clock.now_ms()
    tried(system.services.ingest, chain([leg(4_000 * M, 510_000, ts_block=ts)], ts_seen=ts))
    tried(system.services.ingest, api([row(4_000 * M, 510_000, ts_block=ts)], ts_seen=ts + 500))
    tried(
        system.services.ingest,
        chain([leg(2_000 * M, 510_000, ts_block=ts, index=4)], number=2, ts_seen=ts + 900),
    )
    step()
    ts = system.clock.now_ms()
    tried(
        system.services.ingest,
        chain([leg(1_500 * M, 500_000, ts_block=ts)], number=3, side="SELL", ts_seen=ts),
    )
    step()
    ts = system.clock.now_ms()
    tried(
        system.services.ingest,
        api([row(4_500 * M, 500_000, ts_block=ts)], number=4, side="SELL", ts_seen=ts),
    )
    step()


def run(dies_at: int, after: bool) -> tuple[System, int]:
    store = DyingStore(dies_at, after)
    system = System(store=store)
    system.follow()
    system.clock.advance(10_000)
    store.armed = True
    scenario(system)
    return system, store.commits


def test_dying_at_any_commit_changes_nothing() -> None:
    undisturbed, commits = run(0, after=False)
    assert commits > 30
    assert undisturbed.head().filled == 3
    expected = undisturbed.digests()
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert system.digests() == expected, where
            assert waiting(system) == [], where
            assert_books_balance(system)
            assert len(system.attempts()) == len(undisturbed.attempts()), where
