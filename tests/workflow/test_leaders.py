"""Following and no longer following: states, wallets, start modes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import Position
from chalicelib.domain.registry import Cursor, Leader, PortfolioRef
from chalicelib.domain.rules import SystemRules
from chalicelib.keyspace import cursor_key, leader_key
from chalicelib.ports import Put
from chalicelib.services.manage_leaders import (
    WALLETS_MAX,
    FollowLeader,
    leaders,
    settle_states,
)
from chalicelib.services.portfolios import followers, portfolios_of_leader
from tests.workflow.harness import CASH, LEADER, OTHER, T0, System, chain, leg
from tests.workflow.holdings_world import M, leader_of
from tests.workflow.test_exactly_once import DyingStore

THIRD = "0x" + "3" * 40


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    return made


def bought(system: System) -> None:
    ts = system.clock.now_ms()
    system.services.ingest(chain([leg(4_000 * M, 510_000, ts_block=ts)], ts_seen=ts))
    system.run_workflows()
    assert system.position().shares > 0


def emptied(system: System, portfolio: str) -> None:
    """As if everything of him had been sold."""
    position = system.position(portfolio)
    if position.shares:
        system.store.commit([Put(replace(position, shares=0, cost=0))])


def test_a_flat_start_reaches_back_two_minutes_as_history(system: System) -> None:
    leader = leader_of(system)
    assert (leader.state, leader.followed_from) == ("on", T0)
    assert leader.history_from == T0 - 120_000
    assert (leader.holdings_as_of, leader.holdings_read) == (None, 0)


def test_a_warm_start_reaches_back_as_far_as_the_setting_says() -> None:
    system = System()
    rules = system.services.rules
    rules.system = lambda: SystemRules(start_mode="warm", warm_start_seconds=900)  # type: ignore[method-assign]
    FollowLeader(system.store, system.clock, CASH, rules)([LEADER])
    leader = leader_of(system)
    assert (leader.followed_from, leader.history_from) == (T0, T0 - 900_000)


def test_warm_history_is_ingested_and_never_trades() -> None:
    system = System()
    rules = system.services.rules
    rules.system = lambda: SystemRules(start_mode="warm", warm_start_seconds=900)  # type: ignore[method-assign]
    system.services.follow([LEADER])
    system.services.ingest(chain([leg(4_000 * M, 510_000, ts_block=T0 - 2_000)]))
    system.run_workflows()
    assert system.attempts() == []
    assert system.head(f"shadow/{LEADER}").trades == 1


def test_wallets_are_added_at_run_time_and_their_past_is_history(system: System) -> None:
    system.services.holdings()
    before = leader_of(system)
    system.clock.advance(600_000)
    now = system.clock.now_ms()
    leader = system.services.follow([LEADER, OTHER])
    assert leader == leader_of(system)
    assert leader.wallets == (LEADER, OTHER)
    assert leader.holdings_as_of is None
    assert leader.holdings_read == before.holdings_read
    assert leader.followed_from == now
    assert leader.history_from == before.history_from
    cursor = system.store.get(Cursor, cursor_key(LEADER, OTHER))
    assert cursor is not None
    assert cursor.ts_seconds == now // 1000
    assert leader.wallet_from == (T0, now)
    assert leader.wallet_as_of == (before.holdings_as_of, None)
    system.services.holdings()
    assert leader_of(system).holdings_read == before.holdings_read + 1
    assert leader_of(system).wallet_as_of[0] == before.holdings_as_of


def sold_at(system: System, ts_block: int, ts_seen: int) -> None:
    part = leg(4_000 * M, 510_000, block=3, ts_block=ts_block)
    system.services.ingest(chain([part], number=2, side="SELL", ts_seen=ts_seen))


def test_adding_a_wallet_interrupts_no_other(system: System) -> None:
    system.services.holdings()
    system.clock.advance(60_000)
    bought(system)
    system.clock.advance(60_000)
    mined = system.clock.now_ms()
    system.clock.advance(2_000)
    system.services.follow([LEADER, OTHER])
    system.services.holdings()
    sold_at(system, mined, system.clock.now_ms() + 500)
    system.clock.advance(1_000)
    system.run_workflows()
    assert system.position().shares == 0


def test_the_history_of_an_added_wallet_never_trades(system: System) -> None:
    system.services.holdings()
    system.clock.advance(60_000)
    bought(system)
    before = len(system.attempts())
    system.clock.advance(60_000)
    mined = system.clock.now_ms()
    system.clock.advance(2_000)
    system.services.follow([LEADER, OTHER])
    for number, side in ((5, "BUY"), (6, "SELL")):
        part = leg(4_000 * M, 510_000, block=number, ts_block=mined)
        message = chain([part], number=number, side=side, ts_seen=mined + 3_000)  # type: ignore[arg-type]
        system.services.ingest(replace(message, wallet=OTHER))
    system.run_workflows()
    assert len(system.attempts()) == before
    assert system.position().exit_debt == 0


@pytest.mark.parametrize("bought_meanwhile", [False, True])
def test_following_again_sells_what_was_under_way_and_buys_nothing_of_it(
    system: System, bought_meanwhile: bool
) -> None:
    system.services.holdings()
    system.clock.advance(60_000)
    bought(system)
    held = system.position().shares
    assert system.services.unfollow(LEADER).state == "sell_only"
    system.clock.advance(60_000)
    mined = system.clock.now_ms()
    if bought_meanwhile:
        part = leg(4_000 * M, 510_000, block=3, ts_block=mined)
        system.services.ingest(chain([part], number=2, ts_seen=mined))
    else:
        sold_at(system, mined, mined)
    system.clock.advance(1_000)
    followed = system.services.follow([LEADER])
    assert (followed.state, followed.wallet_from) == ("on", (T0,))
    assert followed.holdings_as_of is not None
    system.run_workflows()
    assert system.position().shares == (held if bought_meanwhile else 0)


def test_somebody_who_is_off_takes_no_place(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chalicelib.services.manage_leaders.LEADERS_MAX", 2)
    monkeypatch.setattr("chalicelib.services.manage_leaders.QUERY_LIMIT_MAX", 2)
    system.follow(OTHER)
    with pytest.raises(InvalidInput, match="at most 2"):
        system.follow(THIRD)
    assert system.services.unfollow(OTHER).state == "off"
    system.follow(THIRD)
    with pytest.raises(InvalidInput, match="at most 2"):
        system.services.follow([OTHER])
    assert [leader.leader for leader in leaders(system.store)] == [LEADER, OTHER, THIRD]


def test_portfolios_of_every_account_follow_and_nobody_elses(system: System) -> None:
    system.follow(OTHER, "bob")
    others = [
        PortfolioRef(name, account, kind, leader, 1)  # type: ignore[arg-type]
        for account in ("aaa", "zed")
        for name, kind, leader in (
            (f"{account}/global", "global", ""),
            (f"{account}/leader/{OTHER}", "leader", OTHER),
        )
    ]
    system.store.commit([Put(ref) for ref in others])
    leader = leader_of(system)
    names = ["aaa/global", "main/global", f"main/leader/{LEADER}", "zed/global"]
    assert [ref.portfolio_id for ref in followers(system.store, leader)] == names
    ended = replace(leader, state="off")
    assert followers(system.store, ended) == []
    assert [r.portfolio_id for r in portfolios_of_leader(system.store, LEADER)] == names


def test_naming_fewer_wallets_takes_none_away(system: System) -> None:
    both = system.services.follow([LEADER, OTHER])
    assert system.services.follow([LEADER], "another name") == both


def test_a_wallet_belongs_to_one_leader(system: System) -> None:
    system.services.follow([LEADER, OTHER])
    for wallets in ([OTHER], [THIRD, OTHER], [OTHER, LEADER]):
        with pytest.raises(InvalidInput, match=f"leader {LEADER}"):
            system.services.follow(wallets)
    system.services.follow([THIRD])
    with pytest.raises(InvalidInput, match=f"leader {THIRD}"):
        system.services.follow([LEADER, THIRD])


def test_two_at_once_cannot_take_the_same_wallet() -> None:
    """The other one's row comes between the look at the list and the commit."""

    class Racing(DyingStore):
        rival = False

        def query(self, kind, table, pk, **bounds):  # type: ignore[no-untyped-def]
            found = super().query(kind, table, pk, **bounds)
            if kind is Leader and not self.rival:
                self.rival = True
                System(store=self).services.follow([THIRD, OTHER])
            return found

    system = System(store=Racing(0, after=False))
    with pytest.raises(InvalidInput, match=f"leader {THIRD}"):
        system.services.follow([LEADER, OTHER])


def test_the_number_of_wallets_is_bounded(system: System) -> None:
    more = [f"0x{n:040x}" for n in range(1, WALLETS_MAX + 1)]
    with pytest.raises(InvalidInput, match="wallets"):
        system.services.follow([LEADER, *more[:-1], more[-1]])
    with pytest.raises(InvalidInput, match="wallets"):
        system.services.follow([])
    with pytest.raises(InvalidInput, match="name"):
        system.services.follow([LEADER], "n" * 81)
    system.services.follow([LEADER, *more[:10]])
    with pytest.raises(InvalidInput, match="at most"):
        system.services.follow([LEADER, *more[10:]])


def test_unfollowing_somebody_of_whom_nothing_is_held_turns_him_off(system: System) -> None:
    assert system.services.unfollow(LEADER.upper().replace("0X", "0x")).state == "off"
    assert system.services.unfollow(LEADER).state == "off"


def test_unfollowing_while_shares_are_held_only_sells(system: System) -> None:
    bought(system)
    assert system.services.unfollow(LEADER).state == "sell_only"
    assert settle_states(system.store, system.clock.now_ms()) == 0
    for portfolio in ("main/global", f"main/leader/{LEADER}"):
        assert leader_of(system).state == "sell_only"
        emptied(system, portfolio)
        system.services.tend_leaders()
    assert leader_of(system).state == "off"


def test_undecided_work_keeps_him_from_being_turned_off(system: System) -> None:
    ts = system.clock.now_ms()
    system.services.ingest(chain([leg(4_000 * M, 510_000, ts_block=ts)], ts_seen=ts))
    assert system.services.unfollow(LEADER).state == "sell_only"


def test_shares_that_came_late_bring_him_back_to_selling(system: System) -> None:
    assert system.services.unfollow(LEADER).state == "off"
    late = Position("main/global", 1, "5", LEADER, shares=M)
    system.store.commit([Put(late)])
    assert settle_states(system.store, system.clock.now_ms()) == 1
    assert leader_of(system).state == "sell_only"


def test_one_leaders_shares_keep_no_other_followed(system: System) -> None:
    system.follow(OTHER, "bob")
    bought(system)
    assert system.services.unfollow(OTHER).state == "off"
    assert leader_of(system).state == "on"


def test_following_again_starts_anew(system: System) -> None:
    system.services.holdings()
    system.services.unfollow(LEADER)
    system.clock.advance(3_600_000)
    leader = system.services.follow([LEADER])
    now = system.clock.now_ms()
    assert (leader.state, leader.followed_from, leader.history_from) == ("on", now, now - 120_000)
    assert (leader.holdings_as_of, leader.holdings_read) == (None, 1)
    opened = [e for e in system.entries("main/global") if isinstance(e, Entry)]
    assert len(opened) == 1


def test_nobody_unknown_is_unfollowed(system: System) -> None:
    with pytest.raises(InvalidInput, match="never followed"):
        system.services.unfollow(OTHER)
    with pytest.raises(InvalidInput, match="address"):
        system.services.unfollow("0x12")


def test_dying_while_following_leaves_nothing_half_done() -> None:
    for dies_at in range(1, 6):
        for after in (False, True):
            store = DyingStore(dies_at, after)
            system = System(store=store)
            store.armed = True
            for _ in range(3):
                try:
                    system.services.follow([LEADER, OTHER])
                    break
                except Exception as error:
                    assert "died" in str(error)  # noqa: PT017
            found = system.store.get(Leader, leader_key(LEADER))
            assert found is not None
            assert found.wallets == (LEADER, OTHER)
            assert len(system.entries("main/global")) == 1
