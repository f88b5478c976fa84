"""What a system kept of a period is enough to recompute every decision and entry of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.stored_rules import GLOBAL, store_settings
from chalicelib.domain.decision import Inputs
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import digest
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import SettingsRow
from chalicelib.domain.trade import Trade
from chalicelib.domain.witness import Arrival, BookSnapshot, Seen, Witness
from chalicelib.keyspace import arrivals_pk, day, snapshots_pk, trade_key
from chalicelib.ports import Put
from chalicelib.replay.files import read_recording, write_recording
from chalicelib.replay.last import replay_last
from chalicelib.replay.player import Player
from chalicelib.replay.report import compare, digests_of
from chalicelib.services.market_directory import store_market
from chalicelib.services.record_period import record_period
from chalicelib.services.recordings import Recording
from tests.workflow import test_exit_debt, test_pauses, test_set_changes, test_settlement
from tests.workflow.harness import (
    LEADER,
    OPPOSITE,
    OTHER,
    T0,
    TOKEN,
    M,
    System,
    api,
    book,
    chain,
    leg,
    market,
    row,
    tx,
)
from tests.workflow.taped import TapedSystem

HOUR = 3_600_000


def recorded(system: System, since: int = 0, tmp_path: Path | None = None) -> Recording:
    """The system's period, read back from a file where a folder is given."""
    made = record_period(system.store, since, system.clock.now_ms() + HOUR)
    if tmp_path is None:
        return made
    write_recording(made, tmp_path / "period.jsonl.gz")
    return read_recording(tmp_path / "period.jsonl.gz")


def assert_reproduced(recording: Recording) -> None:
    played = Player(recording).play()
    total, found = compare(recording, played)
    assert (total, found) == (0, [])
    assert played.refused == []


class Restless(System):
    """A venue whose book is another one each time it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.follow()
        self.follow(OTHER, "bob")
        # What happened before he was followed is history.
        self.clock.advance(10_000)

    def stir(self, bid: int, ask: int, shares: int) -> None:
        self.venue.books = {
            token: replace(book(bid, ask, shares * M), token_id=token)
            for token in (TOKEN, OPPOSITE)
        }


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["buy", "buy", "sell", "api", "remove", "again", "book", "settings", "wait"]
        ),
        st.sampled_from([LEADER, OTHER]),
        st.sampled_from([TOKEN, OPPOSITE]),
        st.integers(1, 6_000),
        st.integers(0, 4_000),
    ),
    min_size=1,
    max_size=14,
)


def act(system: Restless, steps: Sequence[tuple[str, str, str, int, int]], first: int = 1) -> None:
    """Random evidence on random books, each step followed by whatever became due."""
    for number, (what, leader, token, size, pause) in enumerate(steps, start=first):
        now = system.clock.now_ms()
        part = leg(size * M, 515_000, block=number, index=number, ts_block=now - 1_500)
        if what in ("buy", "sell", "remove", "again"):
            message = chain(
                [part],
                number=number,
                side="SELL" if what == "sell" else "BUY",
                ts_seen=now - 5,
                token=token,
                leader=leader,
            )
            system.services.ingest(message)
            if what == "again":
                system.services.ingest(message)
            if what == "remove":
                gone = [replace(part, removed=True)]
                system.services.ingest(
                    chain(gone, number=number, ts_seen=now, token=token, leader=leader)
                )
        elif what == "api":
            rows = [row(size * M, 515_000, ts_block=now - 1_500)]
            system.services.ingest(
                api(rows, number=number, ts_seen=now - 5, token=token, leader=leader)
            )
        elif what == "book":
            bid = 400_000 + size * 20 // 10_000 * 10_000
            system.stir(bid, bid + 10_000 * (1 + size % 3), size)
        elif what == "settings":
            layer = {"copy_fraction": "0.02" if size % 2 else "0.005", "leader_notional_min": 0}
            store_settings(system.store, system.clock, GLOBAL, layer)
            # Rules are read again every few seconds.
            system.clock.advance(6_000)
        system.clock.advance(pause)
        if pause > 1_500:
            system.run_workflows()
    system.run_workflows()
    for _ in range(3):
        system.clock.advance(120_000)
        system.services.sweep(0)


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_any_period_is_recomputed_from_what_was_kept(
    steps: Sequence[tuple[str, str, str, int, int]],
) -> None:
    system = Restless()
    act(system, steps)
    recording = recorded(system)
    assert_reproduced(recording)
    live = system.digests()
    assert {closing.portfolio_id: closing.digest for closing in recording.header.closing} == live
    assert digests_of(Player(recording).play()) == live


def test_resting_orders_on_tapes_are_recomputed(tmp_path: Path) -> None:
    system = TapedSystem()
    # 100 shares at our price, the rest of it offered to the resting order 20 s later.
    system.record([(50, 1_000), (49, 5_000)], [(52, 30), (56, 800)], [(20_000, "ask", 52, 900)])
    system.expect_tape()
    layer = {"buy_spread_max": "0.1", "buy_depth_multiple": "0", "buy_mid_guard": "0.1"}
    store_settings(system.store, system.clock, GLOBAL, layer)
    system.buys(shares=10_000, price=520_000)
    system.run_workflows()
    system.clock.advance(60_000)
    system.services.sweep(0)
    recording = recorded(system, tmp_path=tmp_path)
    assert recording.segments
    assert_reproduced(recording)


def test_two_portfolios_keep_the_snapshots_each_of_them_was_given() -> None:
    system = Restless()
    system.services.ingest(
        chain([leg(4_000 * M, 515_000, ts_block=T0 + 9_000)], ts_seen=T0 + 10_000)
    )
    system.clock.advance(4_000)
    prices = iter((510_000, 505_000, 500_000, 495_000, 490_000, 485_000))
    plain = system.venue.book

    def moving(token: str, not_before: int) -> object:
        bid = next(prices)
        system.stir(bid, bid + 10_000, 500)
        system.clock.advance(7)
        return plain(token, not_before)

    system.venue.book = moving  # type: ignore[method-assign,assignment]
    system.run_workflows()
    shown = {a.decision.best for a in system.attempts()}
    assert len(shown) == 2
    kept = system.store.query(BookSnapshot, "activity", snapshots_pk(TOKEN))
    assert len(kept) >= 3
    system.clock.advance(120_000)
    assert_reproduced(recorded(system))


def test_a_period_from_the_middle_stands_for_itself() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000), ("buy", OTHER, TOKEN, 2_000, 2_000)])
    system.clock.advance(HOUR)
    since = system.clock.now_ms()
    system.clock.advance(10_000)
    act(
        system,
        [
            ("sell", LEADER, TOKEN, 1_000, 2_000),
            ("buy", OTHER, TOKEN, 2_500, 2_000),
            ("buy", LEADER, OPPOSITE, 900, 2_000),
        ],
        first=11,
    )
    recording = recorded(system, since)
    assert recording.header.quiet
    assert len(recording.arrivals) == 3
    assert any(attempt.order and attempt.side == "SELL" for attempt in recording.attempts)
    assert_reproduced(recording)


def test_a_period_ends_where_nothing_was_open() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000)])
    system.clock.advance(HOUR)
    since = system.clock.now_ms()
    act(system, [("buy", OTHER, TOKEN, 2_000, 2_000)], first=11)
    last = max(system.attempts(), key=lambda a: a.ts_opened)
    assert last.ts_opened > since - 1_000
    recording = record_period(system.store, 0, last.decision.ts_decided + 100)
    assert recording.header.quiet
    assert 0 < len(recording.attempts) < len(system.attempts())
    assert since - HOUR < recording.header.ts_until <= last.ts_opened
    assert_reproduced(recording)
    with pytest.raises(InvalidInput, match="until"):
        record_period(system.store, 5, 4)


def test_a_period_that_is_never_quiet_is_kept_and_what_was_over_compared() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000), ("buy", OTHER, TOKEN, 2_000, 2_000)])
    first, *_, last = sorted(system.attempts(), key=lambda a: a.ts_opened)
    until = last.decision.ts_decided + 100
    recording = record_period(system.store, first.ts_opened - 1, until)
    assert not recording.header.quiet
    assert recording.header.ts_until == until
    assert len(recording.attempts) == len(system.attempts())
    assert recording.header.closing == ()
    assert_reproduced(recording)
    # What was over by then is compared: a figure that was changed there is found.
    late = replace(recording.header, ts_until=until + HOUR)
    wrong = replace(recording.attempts[0], vwap=1)
    recording.header, recording.attempts[0] = late, wrong
    _, found = compare(recording, Player(recording).play())
    assert [mismatch.field for mismatch in found] == ["vwap"]


def test_what_came_after_a_period_was_not_known_before_it() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000)])
    until = system.clock.now_ms() + 60_000
    system.clock.advance(90_000)
    # The Data API shows the same trade once the period is over.
    shown = row(3_000 * M, 515_000, ts_block=T0 + 8_500)
    system.services.ingest(api([shown], ts_seen=system.clock.now_ms()))
    trade = system.store.get(Trade, trade_key(trade_id(LEADER, tx(1), TOKEN, "BUY")))
    assert trade and trade.rows and trade.legs
    recording = record_period(system.store, 0, until)
    assert recording.header.quiet
    assert recording.attempts
    assert_reproduced(recording)


def test_what_was_tampered_with_is_found() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000), ("sell", LEADER, TOKEN, 1_000, 2_000)])
    recording = recorded(system)
    victim = next(a for a in recording.attempts if a.order)
    place = recording.attempts.index(victim)
    decided = replace(victim.decision, equity=victim.decision.equity + 1, best=1)
    recording.attempts[place] = replace(victim, decision=decided)
    total, found = compare(recording, Player(recording).play())
    assert total == len(found) == 1
    assert (found[0].field, found[0].recorded) == ("decision.best", "1")
    del recording.attempts[place]
    total, _ = compare(recording, Player(recording).play())
    assert total >= 1


def test_other_settings_are_recomputed_and_compared() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000), ("buy", OTHER, TOKEN, 2_000, 2_000)])
    same = replay_last(system.store, system.clock, {"global": {}})
    one, *_ = same.portfolios
    assert one.portfolio_id == "main/global"
    assert one.before == one.after
    assert one.before.executed == 2
    assert one.before.pnl < 0
    assert not same.cut
    stricter = replay_last(system.store, system.clock, {LEADER: {"leader_notional_min": 5_000}})
    one, *_ = stricter.portfolios
    assert (one.after.executed, one.after.skipped) == (1, 1)
    assert dict(one.after.reasons) == {"LEADER_TRADE_TOO_SMALL": 1}
    assert one.before.executed == 2
    with pytest.raises(InvalidInput, match="copy_fraction"):
        replay_last(system.store, system.clock, {"global": {"copy_fraction": 2}})


def test_an_unusable_row_of_one_leader_spoils_no_replay() -> None:
    system = Restless()
    row_of_other = SettingsRow(OTHER, '{"no_such_setting": 1}')
    system.store.commit([Put(row_of_other)])
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000), ("buy", OTHER, TOKEN, 2_000, 2_000)])
    told = {a.leader: a.reasons for a in system.attempts()}
    assert told == {LEADER: (), OTHER: (Reason.SETTINGS_REFUSED,)}
    assert_reproduced(recorded(system))


def test_a_test_of_settings_is_bounded_by_groups() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000 + n, 3_000) for n in range(4)])
    bounded = replay_last(system.store, system.clock, {"global": {}}, groups_max=2)
    assert bounded.cut
    assert bounded.groups == 2
    assert bounded.portfolios[0].before.executed + bounded.portfolios[0].before.skipped == 2


def test_only_what_changed_something_is_kept_once() -> None:
    system = Restless()
    message = chain([leg(4_000 * M, 515_000, ts_block=T0 + 9_000)], ts_seen=T0 + 10_000)
    for _ in range(3):
        system.services.ingest(message)
    pk = arrivals_pk(LEADER, day(system.clock.now_ms()))
    (kept,) = system.store.query(Arrival, "activity", pk)
    assert kept.message == message
    assert kept.ts == system.clock.now_ms()
    system.run_workflows()
    facts = [a.seen for a in system.attempts()]
    assert all(facts)
    assert len({seen.market for seen in facts if seen}) == 1


def test_a_market_is_remembered_as_the_decision_saw_it() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000)])
    later = market(tick=1_000, order_shares_min=M, accepting_orders=False)
    store_market(system.store, replace(later, version=0))
    system.venue.market = later
    system.clock.advance(120_000)
    act(system, [("buy", OTHER, TOKEN, 3_000, 2_000)], first=5)
    assert len({a.seen.market for a in system.attempts() if a.seen}) == 2
    assert_reproduced(recorded(system))


def test_every_input_of_a_decision_is_kept_or_recomputed() -> None:
    """A new input must be thought of: replays have to know where it comes from."""
    recomputed = {"attempt_id", "group", "free_cash", "held", "exit_debt", "not_before", "spending"}
    on_the_decision = {"equity", "health", "exposure", "leader_equity", "ts_marks", "rules"}
    books = {"book", "segment"}
    seen = {field.name for field in fields(Seen)} - {"refused"}
    known = recomputed | on_the_decision | books | seen
    assert {field.name for field in fields(Inputs)} == known
    assert {"seen", "decision"} <= {field.name for field in fields(Attempt)}
    assert Witness("x").market is None


def test_digests_of_the_period_are_those_of_the_ledger() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000)])
    recording = recorded(system)
    (closing,) = [c for c in recording.header.closing if c.portfolio_id == "main/global"]
    assert closing.digest == digest(system.entries("main/global"))


def test_a_market_that_was_settled_is_settled_again() -> None:
    system = Restless()
    act(system, [("buy", LEADER, TOKEN, 3_000, 2_000)])
    test_settlement.decide(system, test_settlement.WON, system.clock.now_ms())
    test_settlement.cycle(system)
    assert test_settlement.settlements(system)
    system.clock.advance(120_000)
    recording = recorded(system)
    assert {row.work.kind for row in recording.inputs} == {"settlement"}
    assert_reproduced(recording)
    # Under other settings it is paid as well.
    tested = replay_last(system.store, system.clock, {"global": {"copy_fraction": "0.005"}})
    one = tested.portfolios[0]
    assert one.before.pnl > one.after.pnl > 0


def test_what_was_tried_again_is_tried_again() -> None:
    system = test_exit_debt.indebted()
    system.venue.books[TOKEN] = book()
    assert test_exit_debt.cycle(system)
    system.clock.advance(120_000)
    recording = recorded(system)
    assert {row.work.kind for row in recording.inputs} == {"exit"}
    assert [a.side for a in recording.attempts].count("SELL") == 4
    assert_reproduced(recording)


@pytest.mark.parametrize("late_ms", [0, 20_000])
def test_a_remainder_that_a_pause_cancelled_is_cancelled_again(late_ms: int) -> None:
    system = test_pauses.resting()
    test_pauses.play(system, sweeps_ms=(late_ms,) if late_ms else ())
    system.clock.advance(120_000)
    system.services.sweep(0)
    assert any(a.order for a in system.attempts())
    recording = recorded(system)
    assert "pause" in {row.work.kind for row in recording.inputs}
    assert_reproduced(recording)


def test_splits_and_merges_that_were_copied_are_copied_again() -> None:
    system = test_set_changes.made()
    test_set_changes.tell(system, "SPLIT", 2_000 * M)
    test_set_changes.work_off(system)
    system.clock.advance(30_000)
    test_set_changes.tell(system, "MERGE", 3_000 * M, 78)
    test_set_changes.work_off(system)
    assert test_set_changes.changes(system, "SPLIT")
    system.clock.advance(120_000)
    recording = recorded(system)
    assert {row.work.kind for row in recording.inputs} == {"set_change"}
    assert_reproduced(recording)
