"""One MARK per open position and UTC day, whoever asks how often."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.ledger import Entry
from chalicelib.domain.money import MICROS
from chalicelib.services import daily_marks
from chalicelib.services.daily_marks import DAY_MS, MarkDays
from chalicelib.services.portfolios import marks, positions_of
from tests.workflow.harness import LEADER, TOKEN, System, chain, leg
from tests.workflow.test_copying import buys, sells
from tests.workflow.test_exactly_once import DyingStore
from tests.workflow.test_settlement import assert_ledgers_hold

M = 1_000_000
SHADOW = f"shadow/{LEADER}"
NAMES = ("main/global", f"main/leader/{LEADER}", SHADOW)


def made(store: DyingStore | None = None) -> System:
    system = System(store=store) if store else System()
    system.follow()
    system.clock.advance(10_000)
    buys(system)
    system.run_workflows()
    system.services.mark_portfolios()
    return system


def marked(system: System, name: str) -> list[Entry]:
    return [entry for entry in system.entries(name) if entry.kind == "MARK"]


def test_every_open_position_is_marked_once_a_day() -> None:
    system = made()
    today = system.clock.now_ms() // DAY_MS * DAY_MS
    for _ in range(3):
        system.services.mark_days()
        MarkDays(system.store, system.clock, system.metrics)()
    for name in NAMES:
        (entry,) = marked(system, name)
        held = system.position(name).shares
        assert (entry.shares, entry.cash, entry.ts_effective) == (0, 0, today)
        assert entry.value == held * marks(system.store)[0][TOKEN] // MICROS
    system.clock.advance(DAY_MS)
    system.services.mark_days()
    assert [len(marked(system, name)) for name in NAMES] == [2, 2, 2]
    assert_ledgers_hold(system)


def test_marks_change_no_amount_and_no_digest() -> None:
    system = made()
    before = system.digests(), [system.head(name).cash for name in NAMES]
    system.services.mark_days()
    assert (system.digests(), [system.head(name).cash for name in NAMES]) == before


def test_a_day_begins_with_the_first_open_position() -> None:
    system = System()
    system.follow()
    assert system.services.mark_days() == 0
    head = system.head()
    assert head.marked_day == 0
    system.clock.advance(10_000)
    buys(system)
    system.run_workflows()
    sells(system, 10_000)
    system.run_workflows()
    assert system.position().shares == 0
    assert system.services.mark_days() == 0, "what was closed has no mark"


def test_many_positions_take_many_commits_and_a_crash_anywhere_leaves_one_mark_each(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(daily_marks, "POSITIONS_PER_COMMIT", 2)

    def run(dies_at: int, after: bool) -> tuple[System, int]:
        store = DyingStore(dies_at, after)
        system = made(store)
        for number in range(5):
            part = leg(M, 400_000, index=number, ts_block=system.clock.now_ms())
            system.services.ingest(chain([part], number=50 + number, token=str(900 + number)))
        store.armed = True
        for _ in range(3):
            try:
                MarkDays(store, system.clock, system.metrics)()
            except PapercopyError:
                continue
        return system, store.commits

    undisturbed, commits = run(0, after=False)
    assert len(marked(undisturbed, SHADOW)) == 6
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = run(dies_at, after)
            tokens = [entry.token_id for entry in marked(system, SHADOW)]
            held = {p.token_id for p in positions_of(system.store, SHADOW, 1) if p.shares}
            assert (len(tokens), set(tokens)) == (6, held), (dies_at, after)
            assert_ledgers_hold(system)
