"""Opening holdings: a later sell is a true fraction, and nothing counts twice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from chalicelib.domain.errors import Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.registry import SHEET_TOKENS_MAX, HoldingsSheet
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import holdings_sheet_key, trade_key
from chalicelib.ports import Holding, Holdings, Put, Write
from tests.workflow.harness import (
    LEADER,
    OPPOSITE,
    OTHER,
    T0,
    TOKEN,
    System,
    api,
    chain,
    leg,
    row,
    tx,
)
from tests.workflow.holdings_world import (
    PRICE,
    SHADOW,
    M,
    Truth,
    assert_folds,
    event,
    leader_of,
    shadow,
    told,
    tried,
)
from tests.workflow.test_exactly_once import DyingStore

COMBO = "1478180995445884194963783500106018329313736528433258596285541062936163778560"


@pytest.fixture
def truth() -> Truth:
    return Truth([(T0 - 86_400_000, TOKEN, 400 * M), (T0 - 86_400_000, OPPOSITE, 7 * M)])


@pytest.fixture
def system(truth: Truth) -> System:
    made = System()
    truth.serve(made)
    made.follow()
    return made


def test_following_opens_the_shadow_with_what_the_leader_holds(system: System) -> None:
    system.services.holdings()
    leader = leader_of(system)
    assert leader.holdings_as_of == T0 - 10_000
    assert leader.holdings_read == leader.holdings_posted == 1
    assert shadow(system) == {TOKEN: 400 * M, OPPOSITE: 7 * M}
    head = system.head(SHADOW)
    assert (head.cash, head.brought) == (0, 407 * M * PRICE // M)
    opened = [e for e in system.entries(SHADOW) if e.token_id]
    assert {(e.kind, e.cash, e.ts_effective) for e in opened} == {("OPENING", 0, T0 - 10_000)}
    assert_folds(system)


def test_reading_again_changes_nothing(system: System) -> None:
    assert system.services.holdings() == 1
    before = system.entries(SHADOW)
    system.clock.advance(60_000)
    assert system.services.holdings() == 0
    assert system.entries(SHADOW) == before


def test_a_sell_after_following_is_a_fraction_of_everything_he_held(system: System) -> None:
    system.services.holdings()
    system.services.ingest(chain([leg(100 * M, 500_000, ts_block=T0 + 2_000)], side="SELL"))
    (sold,) = [e for e in system.entries(SHADOW) if e.shares < 0]
    assert sold.pre_sell == 400 * M
    assert shadow(system)[TOKEN] == 300 * M
    assert_folds(system)


def test_a_trade_that_the_reading_contains_moves_nothing_and_is_history(system: System) -> None:
    system.services.holdings()
    system.services.ingest(chain([leg(50 * M, 500_000, ts_block=T0 - 10_000)]))
    assert shadow(system)[TOKEN] == 400 * M
    trade = system.store.get(Trade, trade_key(trade_id(LEADER, tx(1), TOKEN, "BUY")))
    assert trade is not None
    assert trade.backfill


def test_what_was_posted_before_the_reading_is_part_of_it(system: System, truth: Truth) -> None:
    truth.changes.append((T0 + 1_000, TOKEN, 50 * M))
    truth.changes.append((T0 + 60_000, TOKEN, 5 * M))
    system.services.ingest(chain([leg(50 * M, 500_000, ts_block=T0 + 1_000)]))
    system.services.ingest(chain([leg(5 * M, 500_000, ts_block=T0 + 60_000)], number=2))
    system.clock.advance(65_000)
    system.services.holdings()
    assert shadow(system)[TOKEN] == 455 * M
    assert_folds(system)


def test_a_venue_that_does_not_answer_delays_the_reading_and_nothing_else(
    system: System, truth: Truth
) -> None:
    system.venue.down = True
    with pytest.raises(Retryable):
        system.services.tend_leaders()
    system.services.ingest(chain([leg(50 * M, 500_000, ts_block=T0 + 1_000)]))
    truth.changes.append((T0 + 1_000, TOKEN, 50 * M))
    assert shadow(system) == {TOKEN: 50 * M}
    system.venue.down = False
    system.clock.advance(60_000)
    system.services.tend_leaders()
    assert shadow(system) == truth.holds(system.clock.now_ms())
    assert_folds(system)


def test_one_leaders_failure_keeps_no_other_from_being_read(system: System) -> None:
    system.follow(OTHER, "bob")
    served = system.venue.holdings

    def holdings(wallet: str) -> Holdings:
        if wallet == OTHER:
            raise Retryable("status 503")
        return served(wallet)

    system.venue.holdings = holdings  # type: ignore[method-assign]
    with pytest.raises(Retryable, match="503"):
        system.services.holdings()
    assert shadow(system)[TOKEN] == 400 * M
    assert system.metrics.snapshot()["holdings_readings_failed"] == 1


def test_many_tokens_take_many_commits_and_sheets(system: System) -> None:
    count = SHEET_TOKENS_MAX + 5
    held = tuple(Holding(str(9_000_000 + n), n * M, PRICE) for n in range(1, count + 1))
    system.venue.holdings = lambda wallet: Holdings(T0 - 5_000, held)  # type: ignore[method-assign]
    system.services.holdings()
    assert shadow(system) == {h.token_id: h.shares for h in held}
    sheets = system.store.query(HoldingsSheet, "activity", f"holdings#{LEADER}")
    assert [len(sheet.held) for sheet in sheets] == [SHEET_TOKENS_MAX, 5]


def test_every_wallet_is_as_of_its_own_moment() -> None:
    system = System()
    answers = {
        LEADER: Holdings(T0 - 20_000, (Holding(TOKEN, 10 * M, PRICE),)),
        OTHER: Holdings(T0 - 9_000, (Holding(TOKEN, 5 * M, PRICE),)),
    }
    system.venue.holdings = answers.__getitem__  # type: ignore[method-assign]
    system.services.follow([LEADER, OTHER])
    between = T0 - 15_000
    system.services.ingest(traded(OTHER, 2 * M, ts_block=between, number=1))
    system.services.holdings()
    assert leader_of(system).wallet_as_of == (T0 - 20_000, T0 - 9_000)
    assert shadow(system) == {TOKEN: 15 * M}
    system.services.ingest(traded(OTHER, M, ts_block=between, number=2))
    assert shadow(system) == {TOKEN: 15 * M}
    system.services.ingest(traded(LEADER, M, ts_block=between, number=3))
    assert shadow(system) == {TOKEN: 16 * M}
    assert_folds(system)


def test_a_wallet_that_trades_all_the_time_counts_no_trade_twice() -> None:
    """Reading a wallet takes 20 s, and the second one bought right before it was read."""
    system = System()
    system.services.follow([LEADER, OTHER])

    def holdings(wallet: str) -> Holdings:
        as_of = system.clock.now_ms()
        system.clock.advance(20_000)
        held = (Holding(TOKEN, 10 * M, PRICE),) if wallet == OTHER else ()
        return Holdings(as_of, held, ts_newest=as_of if held else 0)

    system.venue.holdings = holdings  # type: ignore[method-assign]
    for _ in range(2):
        system.services.holdings()
    bought_at = leader_of(system).wallet_as_of[1]
    assert bought_at is not None
    assert bought_at > T0
    system.services.ingest(traded(OTHER, 10 * M, ts_block=bought_at, number=9))
    assert shadow(system) == {TOKEN: 10 * M}


def traded(wallet: str, shares: int, *, ts_block: int, number: int) -> FillMessage:
    """A purchase by one of the leader's wallets."""
    return replace(chain([leg(shares, 500_000, ts_block=ts_block)], number=number), wallet=wallet)


def test_many_wallets_are_read_over_several_calls_and_nobody_waits_for_them() -> None:
    system = System()
    many = [LEADER, *(f"0x{n:040x}" for n in range(1, 20))]
    system.services.follow(many)
    system.follow(OTHER, "bob")
    asked: list[str] = []

    def holdings(wallet: str) -> Holdings:
        asked.append(wallet)
        system.clock.advance(4_000)
        return Holdings(system.clock.now_ms() - 10_000, (Holding(TOKEN, M, PRICE),))

    system.venue.holdings = holdings  # type: ignore[method-assign]
    for _ in range(2):
        system.services.holdings()
        system.clock.advance(60_000 - system.clock.now_ms() % 60_000)
    assert OTHER in asked
    assert len(asked) <= 10
    for _ in range(8):
        system.services.holdings()
        system.clock.advance(60_000 - system.clock.now_ms() % 60_000)
    assert sorted(asked) == sorted([*many, OTHER])
    assert shadow(system) == {TOKEN: 20 * M}
    assert_folds(system)


def test_one_wallets_failure_keeps_no_other_from_being_read() -> None:
    system = System()
    system.services.follow([LEADER, OTHER])

    def holdings(wallet: str) -> Holdings:
        if wallet == LEADER and asked == []:
            asked.append(wallet)
            raise Retryable("status 503")
        return Holdings(T0 - 5_000, (Holding(TOKEN, M, PRICE),))

    asked: list[str] = []
    system.venue.holdings = holdings  # type: ignore[method-assign]
    with pytest.raises(Retryable, match="503"):
        system.services.holdings()
    assert leader_of(system).wallet_as_of == (None, T0 - 5_000)
    assert shadow(system) == {}
    system.services.holdings()
    assert shadow(system) == {TOKEN: 2 * M}


def test_a_wallet_that_joins_is_read_alone_and_adds_what_it_holds(
    system: System, truth: Truth
) -> None:
    system.services.holdings()
    system.clock.advance(600_000)
    now = system.clock.now_ms()
    system.services.follow([LEADER, OTHER])
    system.services.ingest(traded(OTHER, 3 * M, ts_block=now + 1_000, number=1))
    system.services.ingest(traded(OTHER, 4 * M, ts_block=now + 40_000, number=2))
    system.services.ingest(traded(LEADER, 5 * M, ts_block=now + 2_000, number=3))
    asked: list[str] = []

    def holdings(wallet: str) -> Holdings:
        asked.append(wallet)
        return Holdings(now + 30_000, (Holding(TOKEN, 23 * M, PRICE), Holding("5", M, PRICE)))

    system.venue.holdings = holdings  # type: ignore[method-assign]
    system.clock.advance(60_000)
    system.services.holdings()
    assert asked == [OTHER]
    assert shadow(system) == {TOKEN: (400 + 5 + 23 + 4) * M, OPPOSITE: 7 * M, "5": M}
    assert leader_of(system).holdings_posted == leader_of(system).holdings_read == 2
    assert_folds(system)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("dies_at", range(1, 6))
def test_dying_while_a_wallet_joins_books_it_once(dies_at: int, after: bool) -> None:
    store = DyingStore(dies_at, after)
    system = System(store=store)
    Truth([(T0 - 86_400_000, TOKEN, 400 * M)]).serve(system)
    system.follow()
    system.services.holdings()
    system.clock.advance(60_000)
    system.services.follow([LEADER, OTHER])
    held = tuple(Holding(str(8_000 + n), M, PRICE) for n in range(45))
    as_of = system.clock.now_ms() + 5_000
    system.venue.holdings = lambda wallet: Holdings(as_of, held)  # type: ignore[method-assign]
    store.armed = True
    tried(system.services.holdings)
    assert shadow(system) == {TOKEN: 400 * M} | {h.token_id: M for h in held}
    assert_folds(system)


class Counting(DyingStore):
    """Counts its calls."""

    def __init__(self) -> None:
        super().__init__(0, after=False)
        self.calls = 0

    def get(self, kind, key):  # type: ignore[no-untyped-def]
        self.calls += 1
        return super().get(kind, key)

    def query(self, *arguments, **bounds):  # type: ignore[no-untyped-def]
        self.calls += 1
        return super().query(*arguments, **bounds)


def test_booking_many_tokens_is_bounded_in_calls_and_time() -> None:
    store = Counting()
    system = System(store=store)
    system.follow()
    held = tuple(Holding(str(9_000_000 + n), M, PRICE) for n in range(2_000))
    system.venue.holdings = lambda wallet: Holdings(T0 - 5_000, held)  # type: ignore[method-assign]
    commit = store.commit

    def slow(writes: Sequence[Write]) -> None:
        system.clock.advance(1_000)
        commit(writes)

    store.commit = slow  # type: ignore[method-assign]
    store.calls = 0
    system.services.holdings()
    booked = len(shadow(system))
    assert 0 < booked < len(held)
    assert store.calls < 200
    known = shadow(system)
    token = next(h.token_id for h in held if h.token_id not in known)
    store.calls = 0
    sold = chain([leg(M // 4, 500_000, ts_block=T0 + 1_000)], side="SELL", token=token)
    system.services.ingest(sold)
    assert store.calls < 60
    assert len(shadow(system)) == booked + 1
    (entry,) = [e for e in system.entries(SHADOW) if e.pre_sell is not None]
    assert entry.pre_sell == M
    store.commit = commit  # type: ignore[method-assign]
    system.services.holdings()
    assert shadow(system) == {h.token_id: h.shares for h in held} | {token: M - M // 4}
    assert leader_of(system).holdings_posted == 1


def test_a_leader_that_changes_while_he_is_read_is_read_again(system: System) -> None:
    served = system.venue.holdings

    def holdings(wallet: str) -> Holdings:
        leader = leader_of(system)
        if leader.name != "eve":
            system.store.commit([Put(replace(leader, name="eve"))])
        return served(wallet)

    system.venue.holdings = holdings  # type: ignore[method-assign]
    with pytest.raises(Retryable):
        system.services.holdings()
    assert leader_of(system).holdings_as_of is None
    system.services.holdings()
    assert shadow(system)[TOKEN] == 400 * M


def test_following_again_corrects_what_happened_meanwhile(system: System, truth: Truth) -> None:
    system.services.holdings()
    system.services.unfollow(LEADER)
    truth.changes += [(T0 + 60_000, TOKEN, -400 * M), (T0 + 60_000, OPPOSITE, 1 * M)]
    system.clock.advance(600_000)
    system.services.follow([LEADER])
    assert leader_of(system).holdings_as_of is None
    system.services.holdings()
    assert shadow(system) == {OPPOSITE: 8 * M}
    again = [e for e in system.entries(SHADOW) if e.reference.startswith("holdings/2")]
    assert sorted((e.kind, e.shares) for e in again) == [
        ("CORRECTION", -400 * M),
        ("CORRECTION", 1 * M),
    ]
    assert_folds(system)


def test_a_row_that_was_refused_may_still_be_held(system: System) -> None:
    system.services.holdings()
    system.services.unfollow(LEADER)
    system.clock.advance(600_000)
    system.services.follow([LEADER])
    system.venue.holdings = lambda wallet: Holdings(  # type: ignore[method-assign]
        T0 + 590_000, (Holding(OPPOSITE, 9 * M, PRICE),), refused=1
    )
    system.services.holdings()
    assert shadow(system) == {TOKEN: 400 * M, OPPOSITE: 9 * M}


def test_combos_and_rounding_are_left_alone(system: System, truth: Truth) -> None:
    system.services.ingest(chain([leg(12_345_678, 500_000, ts_block=T0 + 1_000)], token=TOKEN))
    system.services.ingest(api([row(M, 500_000, ts_block=T0 + 1_000)], number=2, token=COMBO))
    truth.changes = [(T0 + 1_000, TOKEN, 12_345_700)]
    system.clock.advance(60_000)
    system.services.holdings()
    assert shadow(system) == {TOKEN: 12_345_678, COMBO: M}


def turned_off(system: System) -> None:
    """As if nothing of him had been left."""
    system.store.commit([Put(replace(leader_of(system), state="off"))])


def scenario(system: System, truth: Truth) -> None:
    """Followed, traded before, during and after the reading, followed again after a pause."""
    tried(system.services.follow, [LEADER])
    tried(system.services.ingest, chain([leg(30 * M, 500_000, ts_block=T0 + 1_000)]))
    truth.changes.append((T0 + 1_000, TOKEN, 30 * M))
    system.clock.advance(15_000)
    tried(system.services.ingest, chain([leg(4 * M, 500_000, ts_block=T0 + 14_000)], number=2))
    truth.changes.append((T0 + 14_000, TOKEN, 4 * M))
    tried(system.services.tend_leaders)
    sold = chain([leg(17 * M, 500_000, ts_block=T0 + 16_000)], number=3, side="SELL")
    tried(system.services.ingest, sold)
    truth.changes.append((T0 + 16_000, TOKEN, -17 * M))
    tried(system.services.unfollow, LEADER)
    tried(turned_off, system)
    system.clock.advance(300_000)
    truth.changes.append((T0 + 200_000, OPPOSITE, -7 * M))
    tried(system.services.follow, [LEADER])
    tried(system.services.tend_leaders)


def run(dies_at: int, after: bool) -> tuple[System, Truth, int]:
    store = DyingStore(dies_at, after)
    system = System(store=store)
    past = T0 - 86_400_000
    tokens = [str(7_000_000 + n) for n in range(25)]
    truth = Truth([(past, TOKEN, 400 * M), (past, OPPOSITE, 7 * M)])
    truth.changes += [(past, token, M) for token in tokens]
    truth.serve(system)
    store.armed = True
    scenario(system, truth)
    return system, truth, store.commits


def test_dying_at_any_commit_leaves_the_same_shadow() -> None:
    undisturbed, truth, commits = run(0, after=False)
    assert commits > 12
    expected = truth.holds(undisturbed.clock.now_ms())
    assert shadow(undisturbed) == expected
    for dies_at in range(1, commits + 1):
        for after in (False, True):
            system, _, _ = run(dies_at, after)
            where = f"commit {dies_at}, {'after' if after else 'before'}"
            assert shadow(system) == expected, where
            leader = leader_of(system)
            assert leader.holdings_posted == leader.holdings_read >= 2, where
            assert_folds(system)


@pytest.mark.parametrize("after", [True, False])
@pytest.mark.parametrize("comes_next", ["reading", "check", "event"])
def test_whoever_comes_next_finishes_an_interrupted_booking(after: bool, comes_next: str) -> None:
    store = DyingStore(2 if after else 3, after)
    system = System(store=store)
    truth = Truth([(T0 - 86_400_000, TOKEN, 400 * M), (T0 - 86_400_000, OPPOSITE, 7 * M)])
    truth.serve(system)
    system.follow()
    store.armed = True
    with pytest.raises(Retryable):
        system.services.holdings()
    assert leader_of(system).holdings_as_of is not None
    assert shadow(system) == {}
    if comes_next == "event":
        system.services.ingest(told(event("REDEEM", 400 * M, ts_block=T0 + 1_000)))
        assert shadow(system) == {}
        assert [e.shares for e in system.entries(SHADOW) if e.kind == "REDEEM"] != []
        system.services.holdings()
        assert shadow(system) == {}
    else:
        step = system.services.holdings if comes_next == "reading" else None
        (step or system.services.check_holdings)()
        assert shadow(system) == {TOKEN: 400 * M, OPPOSITE: 7 * M}
    assert leader_of(system).holdings_posted == 1
    assert_folds(system)


class Interrupted(DyingStore):
    """Lets somebody else act right before its n-th commit."""

    def __init__(self, at: int) -> None:
        super().__init__(0, after=False)
        self.at = at
        self.act: Callable[[], None] = lambda: None

    def commit(self, writes: Sequence[Write]) -> None:
        if self.armed and self.commits + 1 == self.at:
            self.armed = False
            self.act()
        super().commit(writes)


@pytest.mark.parametrize("sold", [300 * M, 400 * M])
@pytest.mark.parametrize("at", range(1, 5))
def test_a_reading_that_was_overtaken_by_a_later_one_books_nothing(at: int, sold: int) -> None:
    store = Interrupted(at)
    system = System(store=store)
    truth = Truth([(T0 - 86_400_000, TOKEN, 400 * M)])
    truth.serve(system)
    system.follow()

    def followed_again() -> None:
        system.services.unfollow(LEADER)
        truth.changes.append((T0 + 60_000, TOKEN, -sold))
        system.clock.advance(600_000)
        system.services.follow([LEADER])
        system.services.holdings()

    store.act = followed_again
    store.armed = True
    tried(system.services.holdings)
    tried(system.services.holdings)
    assert shadow(system) == truth.holds(system.clock.now_ms())
    assert_folds(system)


def test_sheets_of_two_readings_never_mix(truth: Truth) -> None:
    store = Interrupted(2)
    system = System(store=store)
    truth.serve(system)
    system.follow()

    def another_reading_of_the_same_moment() -> None:
        key = holdings_sheet_key(LEADER, 1, T0 - 10_000, 0, LEADER)
        sheet = store.get(HoldingsSheet, key)
        assert sheet is not None
        store.commit([Put(replace(sheet, held=()))])

    store.act = another_reading_of_the_same_moment
    store.armed = True
    with pytest.raises(Retryable):
        system.services.holdings()
    assert leader_of(system).holdings_as_of is None
    system.services.holdings()
    assert shadow(system) == truth.holds(T0)
