"""Minute snapshots: written once, equal to what ledger and kept marks say, and the only source
of charts.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import KeptSheet
from chalicelib.domain.snapshot import GRAIN_MS, Snapshot, minute_of
from chalicelib.keyspace import head_key, key_of, portfolio_pk
from chalicelib.ports import Put, R, Table
from chalicelib.services.kept_marks import marks_at
from chalicelib.services.portfolios import all_portfolios, marks, portfolio_ref
from chalicelib.services.rebuild_snapshots import rebuild_snapshots
from chalicelib.services.snapshot_portfolios import latest_snapshots
from tests.workflow.harness import LEADER, TOKEN, System, book, chain, leg
from tests.workflow.test_exactly_once import DyingStore

M = 1_000_000
GLOBAL, SHADOW = "main/global", f"shadow/{LEADER}"
MINUTE = 60_000


def series(system: System, portfolio: str = GLOBAL, grain: str = "1m") -> list[Snapshot]:
    pk = portfolio_pk(portfolio, 1)
    prefix = f"snapshot#{grain}#"
    end = f"snapshot#{grain}$"
    return system.store.query(Snapshot, "portfolio", pk, start=prefix, end=end, limit=1000)


def trade(system: System, number: int, side: str = "BUY", shares: int = 10_000) -> None:
    ts = system.clock.now_ms()
    part = leg(shares * M, 510_000, ts_block=ts - 2_000, index=number, block=number)
    system.services.ingest(chain([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]
    system.run_workflows()


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    return made


def lived(system: System) -> None:
    """Twelve minutes with buys, a sell, and prices that rise and fall."""
    prices = [(510, 520), (530, 540), (600, 610), (450, 460), (480, 490), (500, 510)] * 2
    for number, (bid, ask) in enumerate(prices, start=1):
        system.venue.books[TOKEN] = book(bid * 1_000, ask * 1_000)
        system.services.mark_portfolios()
        if number in (1, 3, 8):
            system.venue.books[TOKEN] = book()
            trade(system, number)
        if number == 5:
            system.venue.books[TOKEN] = book()
            trade(system, number, "SELL", 4_000)
        system.clock.advance(MINUTE - system.clock.now_ms() % MINUTE + 5_000)
        system.services.mark_portfolios()
        system.clock.advance(30_000)
        system.services.mark_portfolios()


def test_every_minute_has_one_snapshot_and_repetition_changes_nothing(system: System) -> None:
    lived(system)
    made = series(system)
    assert len(made) >= 12
    minutes = [one.ts for one in made]
    assert minutes == sorted(set(minutes))
    assert all(ts % MINUTE == 0 for ts in minutes)
    assert all(one.version == 1 for one in made), "written once"
    again = system.wire(system.store)
    for _ in range(3):
        again.mark_portfolios()
    assert series(system) == made


def test_a_snapshot_says_what_the_portfolio_was_worth(system: System) -> None:
    system.services.mark_portfolios()
    trade(system, 1)
    system.venue.books[TOKEN] = book(600_000, 610_000)
    system.clock.advance(MINUTE)
    system.services.mark_portfolios()
    last = series(system)[-1]
    head, position = system.head(), system.position()
    value = position.shares * 605_000 // M
    assert position.shares > 0
    assert (last.cash, last.value, last.cost) == (head.cash, value, position.cost)
    assert last.equity == head.cash + value
    assert last.exposure == value + head.reserved
    assert last.gain == last.equity - head.starting_cash
    assert (last.gain_max, last.drawdown) == (last.gain, 0)
    assert [(part.leader, part.value) for part in last.parts] == [(LEADER, value)]
    system.venue.books[TOKEN] = book(300_000, 310_000)
    system.clock.advance(MINUTE)
    system.services.mark_portfolios()
    fallen = series(system)[-1]
    assert fallen.gain_max == last.gain
    assert fallen.drawdown == last.equity - fallen.equity > 0


def test_shadows_have_one_with_each_of_their_sheets(system: System) -> None:
    lived(system)
    made = series(system, SHADOW)
    assert 2 <= len(made) <= 5
    assert all(b.ts - a.ts >= 4 * MINUTE for a, b in pairwise(made))
    assert made[-1].open_positions == 1
    assert made[-1].parts == ()


def test_coarser_series_have_the_first_minute_of_each_step(system: System) -> None:
    lived(system)
    minutes = series(system)
    for grain in ("5m", "1h", "1d"):
        found = series(system, grain=grain)
        firsts: dict[int, Snapshot] = {}
        for one in minutes:
            firsts.setdefault(one.ts // GRAIN_MS[grain], one)
        assert [replace(one, grain="1m") for one in found] == list(firsts.values())


def test_rebuilt_snapshots_equal_the_live_ones(system: System) -> None:
    lived(system)
    live = {
        ref.portfolio_id: series(system, ref.portfolio_id) for ref in all_portfolios(system.store)
    }
    assert len(live) == 3
    for name, found in live.items():
        ref = portfolio_ref(system.store, name)
        assert ref is not None
        told = rebuild_snapshots(system.store, ref, 0, system.clock.now_ms(), write=False)
        assert (told.differing, told.missing) == (0, 0)
        assert told.equal == len(found)


def test_rebuilding_mends_what_is_wrong_and_fills_what_is_missing(system: System) -> None:
    lived(system)
    live = series(system)
    wrong = live[4]
    system.store.commit([Put(replace(wrong, cash=1, gain_max=0))])
    lost = live[7]
    system.store._remove(key_of(lost))  # type: ignore[attr-defined]
    ref = portfolio_ref(system.store, GLOBAL)
    assert ref is not None
    told = rebuild_snapshots(system.store, ref, 0, system.clock.now_ms(), write=True)
    assert (told.differing, told.missing) == (1, 1)
    mended = series(system)
    assert [replace(one, version=0) for one in mended] == [replace(one, version=0) for one in live]
    told = rebuild_snapshots(system.store, ref, 0, system.clock.now_ms(), write=True)
    assert (told.differing, told.missing, told.equal) == (0, 0, len(live))


def test_the_sheet_in_force_at_any_past_moment_is_known(system: System) -> None:
    trade(system, 1)
    known: dict[int, dict[str, int]] = {}
    for price in (400_000, 500_000, 600_000, 700_000):
        system.venue.books[TOKEN] = book(price, price)
        system.clock.advance(MINUTE)
        system.services.mark_portfolios()
        known[system.clock.now_ms()] = marks(system.store)[0]
    for ts, prices in known.items():
        assert marks_at(system.store, ts) == prices
        assert marks_at(system.store, ts + MINUTE - 1) == prices
    assert marks_at(system.store, min(known) - 1) == {}
    kept = system.store.query(KeptSheet, "activity", "marks#latest", limit=100)
    assert len({minute_of(sheet.ts) for sheet in kept}) == len(kept)


def test_a_cycle_between_two_minutes_keeps_and_writes_nothing(system: System) -> None:
    system.services.mark_portfolios(shadows=False)
    assert system.store.query(KeptSheet, "activity", "marks#latest", limit=10) == []
    assert series(system) == []


def test_a_venue_that_does_not_answer_leaves_a_gap_and_no_guess(system: System) -> None:
    trade(system, 1)
    system.services.mark_portfolios()
    before = series(system)
    system.venue.down = True
    system.clock.advance(5 * MINUTE)
    with pytest.raises(Exception, match="answer"):
        system.services.mark_portfolios()
    assert series(system) == before


def test_a_resolved_token_keeps_its_value_in_past_sheets(system: System) -> None:
    trade(system, 1)
    system.services.mark_portfolios()
    ts = system.clock.now_ms()
    paid = marks_at(system.store, ts)[TOKEN]
    system.venue.books[TOKEN] = book(990_000, 990_000)
    system.clock.advance(10 * MINUTE)
    system.services.mark_portfolios()
    assert marks_at(system.store, ts)[TOKEN] == paid
    assert marks_at(system.store, system.clock.now_ms())[TOKEN] == 990_000


def test_a_late_minute_does_not_lower_the_highest_gain(system: System) -> None:
    """A slow cycle may write its minute after the next one's; its height still counts."""
    lived(system)
    high, last = series(system)[-2:]
    system.store.commit([Put(replace(high, gain_max=10**12))])
    system.clock.advance(MINUTE)
    system.services.mark_portfolios()
    newest = latest_snapshots(system.store, GLOBAL, 1)[0]
    assert newest.ts > last.ts
    assert newest.gain_max == 10**12


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["BUY", "SELL"]),
            st.integers(1, 60) | st.integers(3_000, 9_000),
            st.integers(0, 400),
            st.integers(30, 70),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_rebuilt_equals_live_whatever_was_traded_and_however_late(
    trades: list[tuple[str, int, int, int]],
) -> None:
    """Late fills refold the shadow; its earlier snapshots stay what was known then."""
    system = System()
    system.follow()
    system.clock.advance(600_000)
    for number, (side, shares, late_s, price) in enumerate(trades, start=1):
        system.venue.books[TOKEN] = book(price * 10_000, price * 10_000 + 10_000)
        ts = system.clock.now_ms()
        part = leg(
            shares * M, price * 10_000, ts_block=ts - late_s * 1_000, index=number, block=number
        )
        system.services.ingest(chain([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]
        system.run_workflows()
        system.clock.advance(150_000)
        system.services.mark_portfolios()
    for ref in all_portfolios(system.store):
        told = rebuild_snapshots(system.store, ref, 0, system.clock.now_ms() + 1, write=False)
        assert (told.differing, told.missing) == (0, 0), ref
        assert told.equal == len(series(system, ref.portfolio_id)) > 0


def test_dying_at_any_commit_of_a_cycle_leaves_a_gap_at_most() -> None:
    def cycles(store: DyingStore) -> System:
        system = System(store=store)
        system.follow()
        system.clock.advance(10_000)
        trade(system, 1)
        store.armed = True
        for _ in range(3):
            system.clock.advance(MINUTE)
            for services in (system.services, system.wire(store)):
                with suppress(PapercopyError):
                    services.mark_portfolios()
        store.armed = False
        return system

    counting = DyingStore(0, after=False)
    undisturbed = {one.ts: one for one in series(cycles(counting))}
    assert counting.commits > 10
    for dies_at in range(1, counting.commits + 1):
        for after in (False, True):
            system = cycles(DyingStore(dies_at, after))
            found = {one.ts: one for one in series(system)}
            assert found.items() <= undisturbed.items(), dies_at
            assert len(found) >= len(undisturbed) - 1
            for ref in all_portfolios(system.store):
                now = system.clock.now_ms() + 1
                rebuild_snapshots(system.store, ref, 0, now, write=True)
                told = rebuild_snapshots(system.store, ref, 0, now, write=False)
                assert (told.differing, told.missing) == (0, 0)


class MovingStore(MemoryStore):
    """A portfolio that moves whenever its positions are read, as often as it is told to."""

    moves = 0

    def query(self, kind: type[R], table: Table, pk: str, **how: Any) -> list[R]:  # type: ignore[override]
        found = super().query(kind, table, pk, **how)
        if kind is Position and self.moves:
            self.moves -= 1
            head = self.get(Head, head_key(GLOBAL, 1))
            assert head is not None
            self.commit([Put(head)])
        return found


@pytest.mark.parametrize(("moves", "written"), [(1, True), (2, True), (50, False)])
def test_a_portfolio_that_moves_while_it_is_read_is_read_again(moves: int, written: bool) -> None:
    store = MovingStore()
    system = System(store=store)
    system.follow()
    system.clock.advance(MINUTE)
    store.moves = moves
    system.services.mark_portfolios()
    assert bool(series(system)) == written
    assert system.metrics.snapshot().get("snapshots_torn", 0) == (0 if written else 1)


def test_a_new_epoch_begins_its_own_series(system: System) -> None:
    lived(system)
    before = series(system)
    system.services.reset_paper({GLOBAL: 1}, who="ada")
    for _ in range(2):
        system.clock.advance(MINUTE)
        system.services.mark_portfolios()
    assert series(system) == before
    fresh = latest_snapshots(system.store, GLOBAL, 2, limit=10)
    assert len(fresh) == 2
    assert all((one.gain, one.gain_max, one.open_positions) == (0, 0, 0) for one in fresh)
