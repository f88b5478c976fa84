"""Paused portfolios: no order on either side, remainders cancelled as of the pause."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import AuditRow
from chalicelib.keyspace import audit_pk, month
from infra import control
from tests.workflow.harness import LEADER, System, chain, leg
from tests.workflow.taped import DECIDED, START, TapedSystem
from tests.workflow.test_copying import assert_books_balance, buys, decide_only, sells, waiting
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
LEADERS = f"main/leader/{LEADER}"


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    return made


def audit(system: System) -> list[AuditRow]:
    pk = audit_pk("main", month(system.clock.now_ms()))
    rows = system.store.query(AuditRow, "audit", pk)
    return [row for row in rows if row.action.startswith(("portfolio.", "breaker."))]


def test_nothing_is_ordered_on_either_side_and_the_shadow_goes_on(system: System) -> None:
    buys(system)
    system.run_workflows()
    held = system.position().shares
    assert system.services.control.pause("ada") == ["main/global", LEADERS]
    buys(system, number=2)
    system.run_workflows()
    sells(system, 10_000, number=3)
    system.run_workflows()
    told = [(a.side, a.reasons) for a in system.attempts() if a.portfolio_id == "main/global"]
    assert told[1:] == [("BUY", (Reason.PAUSED,)), ("SELL", (Reason.PAUSED,))]
    assert system.position().shares == held
    assert system.position(f"shadow/{LEADER}").shares == 10_000 * M
    # What he sold meanwhile is owed, and goes once we are back.
    assert system.position().exit_debt == held // 2
    system.services.tend_portfolios()
    assert waiting(system) == []
    system.services.control.resume("ada")
    system.clock.advance(60_000)
    system.services.tend_portfolios()
    system.run_workflows()
    assert system.position().shares == held - held // 2 // 10_000 * 10_000
    buys(system, number=4)
    system.run_workflows()
    assert system.attempt_sides()[-1] == ("BUY", "FILLED")
    assert_books_balance(system)


def test_one_portfolio_is_paused_twice_in_effect_once_and_audited(system: System) -> None:
    pausing = system.services.control
    assert pausing.pause("ada", LEADERS) == [LEADERS]
    assert pausing.pause("ada", LEADERS) == []
    buys(system)
    system.run_workflows()
    assert system.attempt("main/global").status == "FILLED"
    assert system.attempt(LEADERS).reasons == (Reason.PAUSED,)
    assert pausing.resume("bob") == [LEADERS]
    assert pausing.resume("bob") == []
    told = [(row.actor, row.action, row.subject) for row in audit(system)]
    assert told == [
        ("ada", "portfolio.pause", LEADERS),
        ("bob", "portfolio.resume", LEADERS),
    ]
    assert audit(system)[0].before == "running"
    for unknown in ("main/nobody", f"shadow/{LEADER}"):
        with pytest.raises(InvalidInput, match="portfolio"):
            pausing.pause("ada", unknown)


def test_an_order_decided_before_the_pause_is_not_placed_after_it(system: System) -> None:
    buys(system)
    decide_only(system)
    assert system.head().reserved > 0
    system.services.control.pause("ada")
    system.run_workflows()
    attempt = system.attempt()
    assert (attempt.status, attempt.reasons[:1]) == ("SKIPPED", (Reason.PAUSED,))
    assert (system.head().reserved, system.head().spending.cash) == (0, 0)
    assert_books_balance(system)


def test_what_was_decided_before_the_pause_began_is_judged_by_its_own_time(system: System) -> None:
    buys(system)
    system.clock.advance(60_000)
    system.services.control.pause("ada")
    system.venue.down = False
    system.services.sweep(0)
    # Its time was a minute before the pause; only the book of that moment is gone.
    assert Reason.PAUSED not in system.attempt().reasons


def resting(store: DyingStore | None = None) -> TapedSystem:
    """An order of 98 shares that rests after 30, with sellers coming 5 s and 20 s later."""
    system = TapedSystem(store)
    system.record(
        [(50, 900)],
        [(52, 900), (60, 900)],
        [
            (DECIDED + 200, "ask", 52, 30),
            (DECIDED + 5_000, "ask", 51, 10),
            (DECIDED + 5_100, "ask", 51, 0),
            (DECIDED + 20_000, "ask", 51, 10),
        ],
    )
    system.expect_tape()
    if store:
        store.armed = True
    return system


def play(system: TapedSystem, *, sweeps_ms: tuple[int, ...], tries: int = 4) -> None:
    """Buy at 0, pause at 10 s, resume at 15 s; the lane runs at `sweeps_ms` after START."""

    def tried(action: Callable[..., object], *arguments: object) -> None:
        for _ in range(tries):
            try:
                action(*arguments)
            except PapercopyError:
                continue
            return
        raise AssertionError("the step never succeeded")

    def until(ms: int) -> None:
        for at in sweeps_ms:
            if START + at > system.clock.now_ms() and at <= ms:
                system.clock.advance(START + at - system.clock.now_ms())
                for _ in range(3):
                    tried(system.services.sweep, 0)
        system.clock.advance(max(0, START + ms - system.clock.now_ms()))

    tried(system.buys)
    until(10_000)
    tried(system.services.control.pause, "ada")
    until(15_000)
    tried(system.services.control.resume, "ada")
    until(70_000)


OFTEN = (2_800, 3_500, 8_000, 11_000, 14_000, 20_000, 40_000, 65_000)


def test_a_remainder_is_cancelled_as_of_the_pause() -> None:
    system = resting()
    play(system, sweeps_ms=OFTEN)
    attempt = system.attempt("main/global")
    assert attempt.outcome
    assert (attempt.status, attempt.outcome.ts_done) == ("CANCELLED", START + 10_000)
    assert attempt.reasons == (Reason.REMAINDER_CANCELLED,)
    # What came after the pause is not ours, though the portfolio was resumed before it came.
    assert [part.shares // M for part in attempt.outcome.slices] == [30, 10]
    assert system.head().resting == system.head().reserved == 0
    assert waiting(system) == []
    assert_books_balance(system)


@pytest.mark.parametrize(
    "sweeps_ms", [(65_000,), (9_000, 65_000), (12_000, 65_000), (3_500, 65_000)]
)
def test_when_the_lane_runs_decides_nothing(sweeps_ms: tuple[int, ...]) -> None:
    on_time, late = resting(), resting()
    play(on_time, sweeps_ms=OFTEN)
    play(late, sweeps_ms=sweeps_ms)
    assert late.digests() == on_time.digests()
    assert late.head().spending == on_time.head().spending


def test_what_a_remainder_held_back_is_free_long_before_its_expiry() -> None:
    system = resting()
    system.buys()
    for ms in (2_800, 3_500):
        system.at(ms)
    assert system.head().resting == 1
    system.at(10_000)
    system.services.control.pause("ada")
    system.at(11_000)
    assert system.head().resting == system.head().reserved == 0
    assert system.position().shares == 40 * M


def test_an_order_that_came_late_is_cancelled_as_of_the_pause_too() -> None:
    system = resting()
    seen = system.clock.now_ms()
    system.at(10_000)
    system.services.control.pause("ada")
    system.at(11_000)
    assert waiting(system) == []
    # Seen before the pause, delivered after it.
    part = leg(10_000 * M, 510_000, ts_block=seen - 2_000, index=1)
    system.services.ingest(chain([part], ts_seen=seen))
    for ms in (12_000, 20_000, 40_000, 65_000):
        system.at(ms)
    attempt = system.attempt("main/global")
    assert attempt.outcome
    assert (attempt.status, attempt.outcome.ts_done) == ("CANCELLED", START + 10_000)
    assert system.position().shares == 40 * M
    assert waiting(system) == []


def test_dying_at_any_commit_of_a_pause_changes_nothing() -> None:
    undisturbed = DyingStore(0, after=False)
    expected = resting(undisturbed)
    play(expected, sweeps_ms=OFTEN)
    assert undisturbed.commits > 15
    for dies_at in range(1, undisturbed.commits + 1):
        for after in (False, True):
            system = resting(DyingStore(dies_at, after))
            play(system, sweeps_ms=OFTEN)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert system.digests() == expected.digests(), where
            assert waiting(system) == [], where
            assert len(audit(system)) == 4, where
            assert system.head().spending == expected.head().spending, where


def test_the_command_needs_a_folder_that_exists(capsys: pytest.CaptureFixture[str]) -> None:
    assert control.main(["--data", "/nowhere", "pause"]) == 2
    assert capsys.readouterr().err.startswith("control: --data")
