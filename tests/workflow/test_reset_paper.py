"""A reset ends an epoch for good, whatever is under way, whoever dies, whoever is racing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError
from chalicelib.domain.lane import Attempt, Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.pause import is_paused, pause
from chalicelib.domain.performance import LeaderCounts, counted
from chalicelib.domain.portfolio import Head, Position, fold
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import AuditRow, PortfolioRef
from chalicelib.keyspace import head_key, portfolio_pk, portfolio_ref_key
from chalicelib.ports import Put, Store, Write
from chalicelib.services import portfolios
from chalicelib.services.count_attempts import latest_counts
from chalicelib.services.reset_paper import Reopened
from tests.workflow.harness import CASH, LEADER, System, chain, leg
from tests.workflow.taped import DECIDED, TapedSystem
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
GLOBAL = "main/global"
OWN = f"main/leader/{LEADER}"
BOTH = {GLOBAL: 1, OWN: 1}
TRIES = 5


def reset(system: System, epochs: dict[str, int] | None = None) -> list[Reopened]:
    return system.services.reset_paper(epochs or {GLOBAL: 1}, who="ada")


def finish(system: System) -> int:
    return sum(
        system.services.reset_paper.finish(ref) for ref in portfolios.portfolios_of(system.store)
    )


def rows(store: Store, kind: type, prefix: str, portfolio: str = GLOBAL, epoch: int = 1) -> list:
    pk = portfolio_pk(portfolio, epoch)
    return store.query(kind, "portfolio", pk, start=f"{prefix}#", end=f"{prefix}$", limit=1000)


def head(store: Store, epoch: int, portfolio: str = GLOBAL) -> Head:
    found = store.get(Head, head_key(portfolio, epoch))
    assert found
    return found


def assert_sound(store: Store, portfolio: str = GLOBAL) -> None:
    """Every epoch's entries add up to its head and positions; ended ones hold nothing back."""
    ref = store.get(PortfolioRef, portfolio_ref_key(portfolio))
    assert ref
    for epoch in range(1, ref.epoch + 1):
        now = head(store, epoch, portfolio)
        opened = portfolios.opening_head(portfolio, ref.kind, ref.leader, CASH, epoch)
        folded, positions = fold(opened, rows(store, Entry, "entry", portfolio, epoch))
        assert (folded.cash, folded.realized, folded.fees, folded.entries) == (
            now.cash,
            now.realized,
            now.fees,
            now.entries,
        )
        attempts: list[Attempt] = rows(store, Attempt, "attempt", portfolio, epoch)
        assert_counted(store, [a for a in attempts if a.status not in ("SUBMITTED", "PARTIAL")])
        held: list[Position] = rows(store, Position, "position", portfolio, epoch)
        for position in held:
            key = (position.token_id, position.leader)
            shares = positions[key].shares if key in positions else 0
            assert position.shares == shares
        assert now.attempts == len(attempts)
        assert now.reserved == sum(attempt.reserved for attempt in attempts)
        booked = sum(a.outcome.cash for a in attempts if a.outcome and a.side == "BUY")
        spent = [e for e in rows(store, Entry, "entry", portfolio, epoch) if e.shares > 0]
        assert booked == -sum(entry.cash for entry in spent)
        if epoch < ref.epoch:
            assert now.ts_closed
            assert (now.reserved, now.resting) == (0, 0)
            assert rows(store, Work, "work", portfolio, epoch) == []
            assert all(a.status not in ("SUBMITTED", "PARTIAL") for a in attempts)
            assert all(position.reserved == 0 for position in held)
        else:
            assert now.ts_closed == 0


def assert_counted(store: Store, over: Sequence[Attempt]) -> None:
    """Every attempt that is over is in its leader's counters, once."""
    counts: dict[str, LeaderCounts] = {}
    for attempt in over:
        who, epoch, leader = attempt.portfolio_id, attempt.epoch, attempt.leader
        before = counts.get(leader) or LeaderCounts(who, epoch, leader, 0)
        counts[leader] = counted(before, attempt)
    for row in counts.values():
        found = latest_counts(store, row.portfolio_id, row.epoch, row.leader)
        assert found
        assert replace(found, version=0) == row


def resting() -> TapedSystem:
    """A BUY of which 40 shares were filled and the rest waits in the book."""
    system = TapedSystem()
    system.record([(50, 900)], [(51, 40), (52, 100)], [(DECIDED + 1, "ask", 52, 0)])
    system.buys()
    system.at(4_000)
    assert system.attempt().status == "PARTIAL"
    return system


def test_a_new_epoch_begins_with_fresh_cash_and_the_old_one_stays_as_it_was() -> None:
    system = resting()
    system.at(40_000)
    before = rows(system.store, Entry, "entry")
    assert reset(system) == [Reopened(GLOBAL, 2)]
    fresh = head(system.store, 2)
    assert (fresh.cash, fresh.starting_cash, fresh.entries, fresh.attempts) == (CASH, CASH, 1, 0)
    (opening,) = rows(system.store, Entry, "entry", epoch=2)
    assert (opening.kind, opening.cash) == ("OPENING", CASH)
    assert rows(system.store, Entry, "entry") == before
    assert head(system.store, 1).ts_closed == system.clock.now_ms()
    assert_sound(system.store)
    other = system.store.get(PortfolioRef, portfolio_ref_key(OWN))
    assert other and other.epoch == 1, "only what was asked for"


def test_it_is_audited_in_the_commit_that_does_it() -> None:
    system = resting()
    reset(system)
    audit = system.store.query(AuditRow, "audit", "audit#main#2026-11", newest_first=True, limit=1)
    assert (audit[0].actor, audit[0].action, audit[0].subject) == ("ada", "portfolio.reset", GLOBAL)
    assert "epoch 1" in audit[0].before
    assert "epoch 2" in audit[0].after


def test_what_rests_is_cancelled_with_what_the_ledger_knows_of_it() -> None:
    system = resting()
    reset(system)
    assert finish(system) == 1
    (attempt,) = rows(system.store, Attempt, "attempt")
    assert (attempt.status, attempt.reasons) == ("CANCELLED", (Reason.PORTFOLIO_RESET,))
    assert (attempt.outcome.shares, attempt.reserved) == (40 * M, 0)
    assert (head(system.store, 1).reserved, head(system.store, 1).partial) == (0, 1)
    assert_sound(system.store)
    # The other portfolio's order goes on.
    system.at(40_000)
    assert system.attempt(OWN).reasons == (Reason.REMAINDER_CANCELLED,)


def test_slices_that_were_found_and_not_booked_never_happened() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 900)])
    system.buys()
    system.clock.advance(DECIDED + 750)
    system.services.advance(GLOBAL)
    system.clock.advance(2_000)
    reset_at_once = _ResetBefore(system, lambda writes: any(_is_entry(w) for w in writes))
    with reset_at_once:
        system.services.advance(GLOBAL)
    assert reset_at_once.done
    finish(system)
    (attempt,) = rows(system.store, Attempt, "attempt")
    assert attempt.outcome is not None
    assert (attempt.status, attempt.outcome.slices) == ("CANCELLED", ())
    assert head(system.store, 1).cash == CASH
    assert_sound(system.store)


def _is_entry(write: Write) -> bool:
    return isinstance(write, Put) and type(write.record) is Entry


class _ResetBefore:
    """Resets the global portfolio right before the first commit that matches."""

    def __init__(self, system: System, matches: Callable[[Sequence[Write]], bool]) -> None:
        self._system = system
        self._matches = matches
        self.done = False

    def __enter__(self) -> None:
        store = self._system.store
        self._commit = commit = store.commit

        def first_reset(writes: Sequence[Write]) -> None:
            if not self.done and self._matches(writes):
                self.done = True
                reset(self._system)
            commit(writes)

        store.commit = first_reset  # type: ignore[method-assign]

    def __exit__(self, *_: object) -> None:
        self._system.store.commit = self._commit  # type: ignore[method-assign]


def test_a_sell_gives_back_the_shares_it_held() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 900)])
    system.buys(4_000)
    system.at(10_000)
    system.sells(4_000)
    (group,) = rows(system.store, Work, "work")
    system.clock.advance(group.ts_due + 750 - system.clock.now_ms())
    system.services.advance(GLOBAL)
    assert system.position().reserved > 0
    reset(system)
    finish(system)
    position = system.position()
    assert (position.reserved, position.shares > 0) == (0, True)
    assert head(system.store, 1).no_fill == 1
    assert_sound(system.store)


def test_an_undecided_group_is_dropped_with_its_reason_and_never_reaches_the_new_epoch() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 900)])
    system.buys()
    reset(system)
    assert finish(system) == 1
    (dropped,) = rows(system.store, Attempt, "attempt")
    assert (dropped.status, dropped.reasons) == ("SKIPPED", (Reason.PORTFOLIO_RESET,))
    assert (dropped.decision.verdict, dropped.decision.leader_shares) == ("SKIP", 10_000 * M)
    system.at(40_000)
    assert rows(system.store, Attempt, "attempt", epoch=2) == []
    assert system.attempt(OWN).status == "FILLED", "the other portfolio decides it"
    assert_sound(system.store)


def test_what_is_seen_afterwards_is_copied_into_the_new_epoch() -> None:
    system = resting()
    reset(system, BOTH)
    finish(system)
    system.clock.advance(5_000)
    ts = system.clock.now_ms()
    part = leg(4_000 * M, 510_000, ts_block=ts, index=9)
    system.services.ingest(chain([part], number=9, ts_seen=ts))
    system.run_workflows()
    (fresh,) = rows(system.store, Attempt, "attempt", epoch=2)
    assert (fresh.ts_opened, Reason.PORTFOLIO_RESET in fresh.reasons) == (ts, False)
    assert len(rows(system.store, Attempt, "attempt")) == 1
    assert_sound(system.store)


def test_a_work_row_that_comes_late_is_ended_by_the_sweeper() -> None:
    system = TapedSystem()
    system.record([(50, 900)], [(51, 900)])
    late = _ResetBefore(system, lambda writes: any(_is_work(w) for w in writes))
    with late:
        system.buys()
    assert late.done
    assert len(rows(system.store, Work, "work")) == 1, "ingestion knew the old epoch only"
    system.services.sweep(0)
    (dropped,) = rows(system.store, Attempt, "attempt")
    assert dropped.reasons == (Reason.PORTFOLIO_RESET,)
    assert_sound(system.store)


def _is_work(write: Write) -> bool:
    return isinstance(write, Put) and type(write.record) is Work


def test_repeating_it_does_nothing_and_other_epochs_are_refused() -> None:
    system = resting()
    assert reset(system) == reset(system) == [Reopened(GLOBAL, 2)]
    assert head(system.store, 2).version == 1
    with pytest.raises(InvalidInput, match="is in epoch 2"):
        reset(system, {GLOBAL: 3})
    with pytest.raises(InvalidInput, match="is in epoch 2"):
        reset(system, {GLOBAL: 0})
    with pytest.raises(Conflict, match="not finished"):
        reset(system, {GLOBAL: 2})
    finish(system)
    assert reset(system, {GLOBAL: 2}) == [Reopened(GLOBAL, 3)]
    with pytest.raises(InvalidInput, match="is in epoch 3"):
        reset(system, {GLOBAL: 1})
    finish(system)
    assert_sound(system.store)


@pytest.mark.parametrize("name", [f"shadow/{LEADER}", "main/nobody", "other/global", ""])
def test_only_the_accounts_own_portfolios_are_reset_and_all_or_none(name: str) -> None:
    system = resting()
    system.store.commit([Put(PortfolioRef("other/global", "other", "global", "", 1))])
    with pytest.raises(InvalidInput, match="no portfolio that can be reset"):
        reset(system, {GLOBAL: 1, name: 1})
    assert head(system.store, 1).ts_closed == 0


def test_a_paused_portfolio_stays_paused() -> None:
    system = resting()
    paused = head(system.store, 1)
    system.store.commit([Put(replace(paused, pauses=pause((), system.clock.now_ms())))])
    reset(system)
    assert is_paused(head(system.store, 2).pauses)


def scenario(system: TapedSystem, at: int) -> None:
    """Buys, a resting remainder and a sell; the reset comes at a time after their start."""

    def tried(action: Callable[[], object]) -> None:
        for _ in range(TRIES):
            try:
                action()
            except PapercopyError:
                continue
            return
        raise AssertionError("the step never succeeded")

    def go(ms: int) -> None:
        tried(lambda: system.at(ms))

    tried(system.buys)
    times = [0, 2_800, 3_500, 4_000, 9_000, 14_000]
    for ms in times:
        if ms == at:
            tried(lambda: reset(system, BOTH))
            tried(lambda: finish(system))
        go(ms)
        if ms == 9_000:
            tried(lambda: system.sells(4_000))
    go(50_000)
    tried(lambda: system.services.sweep(0))


def run(at: int, dies_at: int = 0, after: bool = False) -> tuple[TapedSystem, DyingStore]:
    store = DyingStore(dies_at, after)
    system = TapedSystem(store)
    events = [(DECIDED + 1, "ask", 52, 0)]
    system.record([(50, 900)], [(51, 40), (52, 100)], events)  # type: ignore[arg-type]
    store.armed = True
    scenario(system, at)
    return system, store


def story(system: TapedSystem) -> list[object]:
    """Everything that may not depend on who died when; when steps ran does not count."""
    found: list[object] = []
    for portfolio in BOTH:
        for epoch in (1, 2):
            kept = head(system.store, epoch, portfolio)
            found.append((kept.cash, kept.entries, kept.attempts, kept.partial, kept.no_fill))
            attempts = rows(system.store, Attempt, "attempt", portfolio, epoch)
            found += [(a.attempt_id, a.status, a.reasons) for a in attempts]
    return found


@pytest.mark.parametrize("at", [0, 2_800, 3_500, 4_000, 9_000, 14_000])
def test_dying_at_any_commit_changes_nothing(at: int) -> None:
    undisturbed, store = run(at)
    assert store.commits > 12
    expected = story(undisturbed)
    for dies_at in range(1, store.commits + 1):
        for after in (False, True):
            system, _ = run(at, dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert story(system) == expected, where
            for portfolio in BOTH:
                assert_sound(system.store, portfolio)
            told = system.store.query(AuditRow, "audit", "audit#main#2026-11", limit=100)
            assert [r.action for r in told].count("portfolio.reset") == 2, where


def test_a_reset_before_any_single_commit_of_the_lanes_leaves_sound_books() -> None:
    _, store = run(-1)
    for number in range(1, store.commits + 1):
        system = TapedSystem()
        system.record([(50, 900)], [(51, 40), (52, 100)], [(DECIDED + 1, "ask", 52, 0)])
        count = iter(range(1, 10_000))
        between = _ResetBefore(system, lambda _, n=number, c=count: next(c) == n)  # type: ignore[misc]
        with between:
            scenario(system, -1)
        assert between.done
        finish(system)
        assert_sound(system.store)
        assert_sound(system.store, OWN)


def test_threads_that_advance_while_it_is_reset_never_touch_the_old_epoch_again() -> None:
    for round_ in range(8):
        system = TapedSystem()
        system.record([(50, 900)], [(51, 900)])
        for number in range(1, 7):
            system.buys(600, number=number)
            system.clock.advance(900)
        system.clock.advance(30_000)
        begin = threading.Barrier(4)

        def advance(begin: threading.Barrier = begin, system: TapedSystem = system) -> None:
            begin.wait()
            for _ in range(6):
                system.services.advance(GLOBAL)

        threads = [threading.Thread(target=advance) for _ in range(3)]
        for thread in threads:
            thread.start()
        begin.wait()
        for _ in range(round_ * 3):
            system.store.get(Head, head_key(GLOBAL, 1))
        reset(system)
        finish(system)
        ended = [
            rows(system.store, kind, name)
            for kind, name in ((Entry, "entry"), (Attempt, "attempt"))
        ]
        closed = head(system.store, 1)
        for thread in threads:
            thread.join()
        after = [
            rows(system.store, kind, name)
            for kind, name in ((Entry, "entry"), (Attempt, "attempt"))
        ]
        assert after == ended
        assert head(system.store, 1) == closed
        assert_sound(system.store)
        assert system.quarantine.kept == []
