"""Waiting for the Data API before copying: bounded, by witness times, and never in the way."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.stored_rules import GLOBAL, store_settings
from chalicelib.domain.errors import Conflict, PapercopyError, Retryable
from chalicelib.domain.group import Group, retract
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.lane import Attempt
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Leader
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import leader_key, line_pk, trade_key
from chalicelib.ports import STEPS_MAX, ActivityPoll, Delete, Put, Write
from chalicelib.services.advance_portfolio import ANSWER_MS, GROUP_MARGIN_MS
from chalicelib.services.confirm_groups import confirm_groups
from chalicelib.services.copy_step import CONFIRMATION_MS_MAX
from chalicelib.services.group_fill import WAIT_SECONDS_MAX
from chalicelib.settings import CopySettings
from tests.workflow.harness import LEADER, TOKEN, System, api, chain, leg, row, tx
from tests.workflow.test_copying import assert_books_balance, waiting
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
WINDOW_MS = 2_000
WAIT_MS = 6_000
STEPS = 80


def confirming(system: System | None = None, **changes: object) -> System:
    """A system that waits six seconds for confirmations, ten seconds after it began."""
    made = system or System()
    wanted = {"execute_on": "api_confirmed", "api_lag_fallback_ms": WAIT_MS, **changes}
    store_settings(made.store, made.clock, GLOBAL, wanted)
    made.follow()
    made.clock.advance(10_000)
    return made


@pytest.fixture
def system() -> System:
    return confirming()


def seen_on_chain(system: System, number: int = 1, shares: int = 10_000, side: str = "BUY") -> int:
    """A log of the leader's trade now; the time."""
    ts = system.clock.now_ms()
    part = leg(shares * M, 510_000, ts_block=ts - 2_000, index=number)
    system.services.ingest(chain([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]
    return ts


def seen_by_api(system: System, number: int = 1, shares: int = 10_000, side: str = "BUY") -> int:
    """The Data API shows it now; the time."""
    ts = system.clock.now_ms()
    part = row(shares * M, 510_000, ts_block=ts - 4_000)
    system.services.ingest(api([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]
    return ts


def step(system: System) -> int:
    """One second later, one step of every workflow; how many go on."""
    system.clock.advance(1_000)
    runs, system.workflows.runs = system.workflows.runs, []
    for run in runs:
        following = system.services.copy_step(run)
        assert following.rounds <= STEPS_MAX
        if following.wait_seconds:
            system.workflows.runs.append(following)
    return len(system.workflows.runs)


def finish(system: System) -> None:
    for _ in range(STEPS):
        if not step(system):
            return
    raise AssertionError("the workflow never ended")


def attempts(system: System) -> list[Attempt]:
    return [a for a in system.attempts() if a.portfolio_id == "main/global"]


def groups(system: System, side: str = "BUY") -> list[Group]:
    return system.store.query(Group, "activity", line_pk(LEADER, TOKEN, side), limit=100)


def trade(system: System, number: int, side: str = "BUY") -> Trade:
    found = system.store.get(Trade, trade_key(trade_id(LEADER, tx(number), TOKEN, side)))
    assert found is not None
    return found


def count_polls(system: System) -> list[int]:
    """Times of direct questions; they show nothing."""
    asked: list[int] = []

    def poll(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        asked.append(system.clock.now_ms())
        return ActivityPoll((), ())

    system.venue.poll = poll  # type: ignore[method-assign]
    return asked


def test_a_confirmed_trade_is_copied_as_of_its_confirmation(system: System) -> None:
    asked = count_polls(system)
    seen_on_chain(system)
    system.clock.advance(4_000)
    shown = seen_by_api(system)
    finish(system)
    attempt = system.attempt()
    assert attempt.status == "FILLED"
    assert attempt.decision.ts_decided == shown
    assert attempt.decision.confirmed
    assert attempt.order is not None
    assert 0 <= attempt.order.ts_placed - shown - 750 <= 250
    assert asked == []
    assert {a.decision.ts_decided for a in system.attempts()} == {shown}
    assert waiting(system) == []
    assert_books_balance(system)


def test_a_confirmation_within_the_window_costs_no_time(system: System) -> None:
    opened = seen_on_chain(system)
    system.clock.advance(500)
    seen_by_api(system)
    finish(system)
    assert system.attempt().decision.ts_decided == opened + WINDOW_MS
    assert system.attempt().decision.confirmed


def test_what_the_api_shows_first_is_confirmed(system: System) -> None:
    opened = seen_by_api(system)
    finish(system)
    assert system.attempt().decision.ts_decided == opened + WINDOW_MS
    assert system.attempt().decision.confirmed


def test_without_confirmation_the_api_is_asked_once_and_the_chain_decides(system: System) -> None:
    asked = count_polls(system)
    opened = seen_on_chain(system)
    finish(system)
    attempt = system.attempt()
    assert attempt.status == "FILLED"
    assert attempt.decision.ts_decided == opened + WINDOW_MS + WAIT_MS
    assert not attempt.decision.confirmed
    assert len(asked) == 1
    assert asked[0] >= attempt.decision.ts_decided + GROUP_MARGIN_MS
    assert system.metrics.snapshot()["confirmations_asked"] == 1
    # Never held up longer than the answer may take, and a step.
    assert attempt.late_by_ms <= GROUP_MARGIN_MS + ANSWER_MS + 1_000


def test_the_answer_to_the_question_still_confirms(system: System) -> None:
    opened = seen_on_chain(system)

    def poll(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        seen_by_api(system)
        return ActivityPoll((), ())

    system.venue.poll = poll  # type: ignore[method-assign]
    finish(system)
    attempt = system.attempt()
    assert attempt.decision.confirmed
    assert attempt.decision.ts_decided == opened + WINDOW_MS + WAIT_MS
    assert attempt.status == "FILLED"


def test_a_question_that_fails_blocks_nothing(system: System) -> None:
    def poll(wallet: str, since: int, until: int | None = None) -> ActivityPoll:
        raise Retryable("the Data API does not answer")

    system.venue.poll = poll  # type: ignore[method-assign]
    seen_on_chain(system)
    finish(system)
    assert system.attempt().status == "FILLED"


def test_a_question_nobody_takes_blocks_nothing(system: System) -> None:
    def refuse(leader: str) -> None:
        raise Retryable("the queue does not answer")

    system.services.advance._ask_api = refuse
    seen_on_chain(system)
    finish(system)
    assert system.attempt().status == "FILLED"
    assert system.metrics.snapshot()["confirmations_unanswered"] == 1


def test_a_backlog_waits_for_one_answer_not_for_one_each(system: System) -> None:
    count_polls(system)
    for number in range(1, 6):
        seen_on_chain(system, number)
        system.clock.advance(WINDOW_MS + 1)
    system.workflows.runs.clear()
    system.clock.advance(WAIT_MS + ANSWER_MS + GROUP_MARGIN_MS)
    advanced = system.services.advance("main/global")
    assert [w.kind for w in advanced.waiting].count("group") == 0
    assert len(attempts(system)) == 5


def test_steps_are_a_second_apart_while_it_waits_and_are_not_counted(system: System) -> None:
    count_polls(system)
    seen_on_chain(system)
    (run,) = system.workflows.runs
    system.clock.advance(run.wait_seconds * 1000)
    for _ in range(3):
        run = system.services.copy_step(run)
        assert (run.wait_seconds, run.rounds) == (1, 0)
        system.clock.advance(1_000)
    seen_by_api(system)
    run = system.services.copy_step(run)
    assert run.rounds == 1


def test_a_group_far_in_the_future_is_not_stepped_towards(system: System) -> None:
    ts = system.clock.now_ms() + 3_600_000
    part = leg(10_000 * M, 510_000, ts_block=ts)
    system.services.ingest(chain([part], ts_seen=ts))
    run = system.services.copy_step(system.workflows.runs[0])
    assert run.wait_seconds == WAIT_SECONDS_MAX
    assert run.rounds == 1


def test_with_first_seen_nobody_waits() -> None:
    system = confirming(execute_on="first_seen")
    opened = seen_on_chain(system)
    finish(system)
    assert system.attempt().decision.ts_decided == opened + WINDOW_MS
    assert not system.attempt().decision.confirmed


def test_every_trade_of_a_group_must_be_confirmed(system: System) -> None:
    count_polls(system)
    opened = seen_on_chain(system, 1)
    system.clock.advance(1_000)
    seen_on_chain(system, 2)
    system.clock.advance(2_000)
    seen_by_api(system, 1)
    (group,) = groups(system)
    assert len(group.awaits) == 1
    assert {w.ts_due for w in waiting(system)} == {opened + WINDOW_MS + WAIT_MS}
    system.clock.advance(1_000)
    shown = seen_by_api(system, 2)
    assert {(w.ts_due, w.ts_decided) for w in waiting(system)} == {(shown, shown)}
    finish(system)
    (attempt,) = attempts(system)
    assert (attempt.decision.ts_decided, attempt.decision.leader_shares) == (shown, 20_000 * M)


def test_a_part_of_a_trade_confirms_nothing(system: System) -> None:
    count_polls(system)
    opened = seen_on_chain(system, shares=10_000)
    system.clock.advance(3_000)
    seen_by_api(system, shares=4_000)
    assert groups(system)[0].awaits
    finish(system)
    assert system.attempt().decision.ts_decided == opened + WINDOW_MS + WAIT_MS


def test_a_fill_that_joins_after_the_confirmation_is_waited_for_again(system: System) -> None:
    count_polls(system)
    opened = seen_on_chain(system, 1)
    system.clock.advance(300)
    seen_by_api(system, 1)
    assert {w.ts_due for w in waiting(system)} == {opened + WINDOW_MS}
    system.clock.advance(300)
    seen_on_chain(system, 2)
    finish(system)
    (attempt,) = attempts(system)
    assert attempt.decision.ts_decided == opened + WINDOW_MS + WAIT_MS
    assert attempt.decision.leader_shares == 20_000 * M
    assert attempt.status == "FILLED"
    assert waiting(system) == []


def test_a_sale_never_overtakes_the_purchase_before_it(system: System) -> None:
    count_polls(system)
    seen_on_chain(system, 1)
    system.clock.advance(3_000)
    # The purchase is never confirmed; the sale is, from the first moment.
    seen_by_api(system, 2, side="SELL")
    finish(system)
    assert system.attempt_sides() == [("SELL", "FILLED"), ("BUY", "FILLED")]
    assert system.position().shares == 0
    assert_books_balance(system)


def test_a_late_confirmation_changes_no_decision(system: System) -> None:
    count_polls(system)
    seen_on_chain(system)
    finish(system)
    before, rows = system.digests(), system.attempts()
    seen_by_api(system)
    assert system.digests() == before
    assert system.attempts() == rows
    assert groups(system)[0].awaits


def test_confirming_again_changes_nothing(system: System) -> None:
    seen_on_chain(system)
    system.clock.advance(3_000)
    shown = seen_by_api(system)
    before = (groups(system), waiting(system))
    assert confirm_groups(system.store, trade(system, 1), shown + 900) == 0
    assert (groups(system), waiting(system)) == before


def test_the_lane_and_a_confirmation_never_lose_each_other(system: System) -> None:
    """A confirmation between the lane's reading of a group and its writing wins or is retried."""
    count_polls(system)
    opened = seen_on_chain(system, 1)
    system.clock.advance(300)
    seen_by_api(system, 1)
    seen_on_chain(system, 2)
    system.workflows.runs.clear()
    system.clock.advance(4_000)
    commit = system.store.commit
    interrupted: list[int] = []

    def interrupt(writes: Sequence[Write]) -> None:
        if not interrupted:
            interrupted.append(system.clock.now_ms())
            seen_by_api(system, 2)
        commit(writes)

    system.store.commit = interrupt  # type: ignore[method-assign]
    system.services.advance("main/global")
    system.store.commit = commit  # type: ignore[method-assign]
    for _ in range(10):
        system.clock.advance(1_000)
        system.services.sweep(0)
    assert interrupted[0] < opened + WINDOW_MS + WAIT_MS
    (attempt,) = attempts(system)
    assert attempt.decision.ts_decided == interrupted[0]
    assert attempt.decision.confirmed
    assert attempt.ran_at < opened + WINDOW_MS + WAIT_MS


def test_all_waits_of_one_workflow_fit_into_it() -> None:
    bounds = {
        name: max(m.le for m in field.metadata if hasattr(m, "le"))
        for name, field in CopySettings.model_fields.items()
        if name.endswith("_ms") or name == "jitter_ms_max"
    }
    waits = (
        "aggregation_window_ms",
        "api_lag_fallback_ms",
        "decision_latency_ms",
        "submit_latency_ms",
        "jitter_ms_max",
    )
    longest = sum(bounds[name] for name in waits) + GROUP_MARGIN_MS + ANSWER_MS
    assert longest <= WAIT_SECONDS_MAX * 1000
    assert bounds["aggregation_window_ms"] + bounds["api_lag_fallback_ms"] <= CONFIRMATION_MS_MAX


# --- what the chain takes back, and history


def test_a_group_that_lost_its_shares_is_skipped() -> None:
    system = System()
    system.follow()
    system.clock.advance(10_000)
    seen_on_chain(system)
    (group,) = groups(system)
    system.store.commit([Put(retract(group, group.shares, group.cash))])
    finish(system)
    assert system.attempt().reasons == (Reason.LEADER_FILL_RETRACTED,)
    assert waiting(system) == []


def test_a_note_about_lost_shares_survives_the_execution() -> None:
    system = System()
    system.follow()
    system.clock.advance(10_000)
    seen_on_chain(system)
    commit, noted = system.store.commit, []

    def annotate(writes: Sequence[Write]) -> None:
        outcomes = [
            w.record
            for w in writes
            if isinstance(w, Put) and isinstance(w.record, Attempt) and w.record.outcome
        ]
        if outcomes and not noted:
            before = next(a for a in attempts(system))
            noted.append(before)
            commit([Put(replace(before, retracted_shares=7 * M))])
        commit(writes)

    system.store.commit = annotate  # type: ignore[method-assign]
    finish(system)
    assert noted
    attempt = next(a for a in attempts(system))
    assert (attempt.status, attempt.retracted_shares) == ("FILLED", 7 * M)


@pytest.mark.parametrize(
    ("changes", "reasons"),
    [
        ({}, ()),
        ({"wallet_from": (10**13,)}, (Reason.SKIP_BACKFILL,)),
        ({"buys_from": 10**13}, (Reason.SKIP_BACKFILL,)),
        ({"wallet_as_of": (-1,)}, (Reason.SKIP_BACKFILL,)),
        ({"wallet_as_of": (10**13,)}, ()),
    ],
)
def test_history_that_slipped_into_a_group_is_not_copied(
    changes: dict[str, object], reasons: tuple[Reason, ...]
) -> None:
    """Ingestion keeps it out; the decision would not copy it either."""
    system = System()
    system.follow()
    system.clock.advance(10_000)
    opened = seen_on_chain(system)
    leader = system.store.get(Leader, leader_key(LEADER))
    assert leader is not None
    if changes.get("wallet_as_of") == (-1,):
        changes = {"wallet_as_of": (opened - 1,)}
    system.store.commit([Put(replace(leader, **changes))])  # type: ignore[arg-type]
    finish(system)
    assert system.attempt().reasons == reasons


# --- crashes and orders


def crash_scenario(system: System) -> None:
    """Two confirmed purchases in one group, a third alone and unconfirmed, then a sale."""

    def tried(action: object, *arguments: object) -> None:
        for _ in range(4):
            try:
                action(*arguments)  # type: ignore[operator]
            except PapercopyError:
                continue
            return
        raise AssertionError("the step never succeeded")

    def steps(seconds: int) -> None:
        for _ in range(seconds):
            system.clock.advance(1_000)
            tried(system.services.sweep, 0)

    first = system.clock.now_ms()
    for number, after_ms in ((1, 0), (2, 700)):
        part = leg(4_000 * M, 510_000, ts_block=first, index=number)
        message = chain([part], number=number, ts_seen=first + after_ms)
        tried(system.services.ingest, message)
    system.clock.advance(1_000)
    for number, after_ms in ((2, 2_500), (1, 3_000)):
        rows = [row(4_000 * M, 510_000, ts_block=first)]
        tried(system.services.ingest, api(rows, number=number, ts_seen=first + after_ms))
    steps(6)
    ts = system.clock.now_ms()
    part = leg(2_000 * M, 510_000, ts_block=ts, index=9)
    tried(system.services.ingest, chain([part], number=3, ts_seen=ts))
    steps(14)
    ts = system.clock.now_ms()
    sold = [row(10_000 * M, 500_000, ts_block=ts)]
    tried(system.services.ingest, api(sold, number=4, side="SELL", ts_seen=ts))
    steps(6)


def crash_run(dies_at: int, after: bool) -> tuple[System, int]:
    store = DyingStore(dies_at, after)
    system = confirming(System(store=store))
    count_polls(system)
    store.armed = True
    crash_scenario(system)
    return system, store.commits


def test_dying_at_any_commit_changes_nothing() -> None:
    undisturbed, commits = crash_run(0, after=False)
    assert commits > 30
    assert [a.decision.confirmed for a in attempts(undisturbed)] == [True, False, True]
    assert undisturbed.head().filled == 3
    expected = undisturbed.digests()
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _ = crash_run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert system.digests() == expected, where
            assert waiting(system) == [], where
            assert_books_balance(system)
            confirmed = [a.decision.confirmed for a in attempts(system)]
            assert confirmed == [True, False, True], where


Event = tuple[int, str]


@st.composite
def arrivals(draw: st.DrawFn) -> list[tuple[int, Event]]:
    """Up to four trades seen by the chain, the API, or both, each at its own time and order."""
    events: list[tuple[int, Event]] = []
    for number in range(1, draw(st.integers(1, 4)) + 1):
        sources = draw(st.sampled_from((("chain",), ("api",), ("chain", "api"), ("api", "chain"))))
        events += [(draw(st.integers(0, 9_000)), (number, source)) for source in sources]
    # Delivered in any order within their second.
    return sorted(events, key=lambda e: (e[0] // 1_000, draw(st.integers(0, 9))))


@settings(max_examples=120, deadline=None)
@given(arrivals(), st.booleans())
def test_whatever_the_order_every_group_is_decided_once(
    events: list[tuple[int, Event]], stepping: bool
) -> None:
    system = confirming()
    count_polls(system)
    began = system.clock.now_ms()
    for ts, (number, source) in events:
        behind = began + ts - system.clock.now_ms()
        while behind > 0:
            system.clock.advance(min(behind, 1_000))
            behind = began + ts - system.clock.now_ms()
            if stepping:
                system.services.sweep(0)
        if source == "chain":
            part = leg(3_000 * M, 510_000, ts_block=began, index=number)
            system.services.ingest(chain([part], number=number, ts_seen=began + ts))
        else:
            rows = [row(3_000 * M, 510_000, ts_block=began)]
            system.services.ingest(api(rows, number=number, ts_seen=began + ts))
    for _ in range(25):
        system.clock.advance(1_000)
        system.services.sweep(0)
    assert waiting(system) == []
    made = groups(system)
    assert all(group.closed for group in made)
    for portfolio in ("main/global", f"main/leader/{LEADER}"):
        decided = [a for a in system.attempts() if a.portfolio_id == portfolio]
        assert sorted(a.group_id for a in decided) == sorted(group.group_id for group in made)
        assert {a.group_id: a.decision.ts_decided for a in decided} == {
            group.group_id: group.ts_decided for group in made
        }
    for group in made:
        settled = group.opened + WINDOW_MS
        assert settled <= group.ts_decided <= settled + WAIT_MS
    numbers = {number for _, (number, _) in events}
    assert sum(group.shares for group in made) == 3_000 * M * len(numbers)
    assert_books_balance(system)


def test_a_contended_group_is_left_to_the_next_delivery(system: System) -> None:
    seen_on_chain(system)
    system.clock.advance(3_000)

    def contended(writes: Sequence[Write]) -> None:
        if any(isinstance(w, Delete) for w in writes):
            raise Conflict("somebody else was faster")
        commit(writes)

    commit = system.store.commit
    system.store.commit = contended  # type: ignore[method-assign]
    with pytest.raises(Retryable):
        seen_by_api(system)
    system.store.commit = commit  # type: ignore[method-assign]
    shown = seen_by_api(system)
    finish(system)
    assert system.attempt().decision.ts_decided == shown
