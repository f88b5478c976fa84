"""Whatever a leader does in whatever order: ledgers hold, nothing counts twice, nothing is lost."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.evidence import FillMessage
from chalicelib.services.portfolios import all_portfolios, positions_of
from tests.workflow.harness import LEADER, OPPOSITE, TOKEN, System, chain, leg
from tests.workflow.holdings_world import M, event, shadow, told
from tests.workflow.test_copying import waiting
from tests.workflow.test_settlement import assert_ledgers_hold, cycle, decide

TOKENS = (TOKEN, OPPOSITE)
STEPS = ("buy", "sell", "split", "merge", "redeem", "retract", "repeat", "convert", "wait")


@dataclass
class World:
    """A leader whose real changes are known, and the papercopy that hears of them."""

    system: System = field(default_factory=System)
    truth: dict[str, int] = field(default_factory=dict)
    heard: list[FillMessage] = field(default_factory=list)
    trades: list[tuple[int, str, str, int, int, int]] = field(default_factory=list)
    number: int = 0

    def __post_init__(self) -> None:
        self.system.venue.books[OPPOSITE] = self.system.venue.books[TOKEN]
        self.system.follow()
        self.system.services.tend_leaders()
        self.system.clock.advance(60_000)

    def hear(self, message: FillMessage) -> None:
        self.heard.append(message)
        self.system.services.ingest(message)

    def moves(self, token: str, shares: int) -> None:
        self.truth[token] = self.truth.get(token, 0) + shares

    def trade(self, side: str, token: str, shares: int, price: int) -> None:
        self.number += 1
        ts = self.system.clock.now_ms() // 1_000 * 1_000
        self.trades.append((self.number, side, token, shares, price, ts))
        self._trade(self.trades[-1], removed=False)
        self.moves(token, shares if side == "BUY" else -shares)

    def _trade(self, trade: tuple[int, str, str, int, int, int], *, removed: bool) -> None:
        number, side, token, shares, price, ts = trade
        part = leg(shares, price, index=number, ts_block=ts, removed=removed, fee=7)
        seen = self.system.clock.now_ms()
        self.hear(chain([part], number=number, side=side, token=token, ts_seen=seen))  # type: ignore[arg-type]

    def retract(self, place: int) -> None:
        if not self.trades:
            return
        trade = self.trades.pop(place % len(self.trades))
        self._trade(trade, removed=True)
        self.moves(trade[2], -trade[3] if trade[1] == "BUY" else trade[3])

    def set_change(self, kind: str, shares: int) -> None:
        self.number += 1
        ts = self.system.clock.now_ms() // 1_000 * 1_000
        self.hear(told(event(kind, shares, number=5_000 + self.number, ts_block=ts)))
        for token in TOKENS:
            self.moves(token, shares if kind == "SPLIT" else -shares)

    def redeem(self) -> None:
        self.number += 1
        ts = self.system.clock.now_ms() // 1_000 * 1_000
        self.hear(told(event("REDEEM", 5 * M, number=5_000 + self.number, ts_block=ts)))
        self.truth = dict.fromkeys(TOKENS, 0)
        # A retraction of what was redeemed already is another story: see the drift's tests.
        self.trades.clear()

    def convert(self) -> None:
        self.number += 1
        ts = self.system.clock.now_ms() // 1_000 * 1_000
        self.hear(told(event("CONVERSION", M, number=5_000 + self.number, ts_block=ts)))

    def act(self, step: str, token: str, size: int, price: int) -> None:
        if step in ("buy", "sell"):
            self.trade(step.upper(), token, size * 10 * M, price * 10_000)
        elif step in ("split", "merge"):
            self.set_change(step.upper(), size * 10 * M)
        elif step == "redeem":
            self.redeem()
        elif step == "retract":
            self.retract(size)
        elif step == "convert":
            self.convert()
        elif step == "repeat" and self.heard:
            self.system.services.ingest(self.heard[size % len(self.heard)])
        # The next one happens in another second.
        self.system.clock.advance(1_000 + (size % 7) * 2_000)
        self.system.services.sweep(0)

    def come_to_rest(self) -> None:
        for _ in range(30):
            self.system.clock.advance(20_000)
            self.system.services.sweep(0)
            if not waiting(self.system):
                return
        raise AssertionError("the lanes never came to rest")

    def sums_hold(self) -> None:
        """Cash and cost are what was there, was brought and was gained, less fees."""
        for ref in all_portfolios(self.system.store):
            head = self.system.head(ref.portfolio_id)
            rows = positions_of(self.system.store, ref.portfolio_id, 1)
            entries = self.system.entries(ref.portfolio_id)
            cost = sum(row.cost for row in rows)
            assert head.cash + cost == head.starting_cash + head.brought + head.realized - head.fees
            assert head.cash == sum(entry.cash for entry in entries)
            assert sum(row.shares for row in rows) == sum(entry.shares for entry in entries)
            assert len({(e.reference, e.kind, e.token_id) for e in entries}) == len(entries)
            if ref.kind != "shadow":
                assert all(row.shares >= row.reserved >= 0 for row in rows)
                assert all(0 <= row.exit_debt <= row.shares for row in rows)
                assert head.cash >= head.reserved >= 0


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from((*STEPS, "buy", "sell")),
            st.sampled_from(TOKENS),
            st.integers(1, 900),
            st.integers(45, 55),
        ),
        min_size=1,
        max_size=14,
    ),
    st.sampled_from(((M, 0), (0, M), (M // 2, M // 2), None)),
)
def test_ledgers_hold_after_anything(
    steps: list[tuple[str, str, int, int]], payouts: tuple[int, int] | None
) -> None:
    world = World()
    for step in steps:
        world.act(*step)
        world.sums_hold()
    system = world.system
    world.come_to_rest()
    system.services.mark_portfolios()
    system.services.mark_days()
    if payouts:
        decide(system, payouts, system.clock.now_ms())
        system.venue.books[OPPOSITE] = None
        cycle(system)
        world.come_to_rest()
        for ref in all_portfolios(system.store):
            if ref.kind != "shadow":
                rows = positions_of(system.store, ref.portfolio_id, 1)
                assert all(row.shares == 0 and row.exit_debt == 0 for row in rows)
    assert shadow(system) == {token: shares for token, shares in world.truth.items() if shares}
    world.sums_hold()
    assert_ledgers_hold(system)
    before = system.digests()
    for message in [*world.heard, *reversed(world.heard)]:
        system.services.ingest(message)
    world.come_to_rest()
    system.services.mark_days()
    cycle(system)
    assert system.digests() == before, f"repeated, {LEADER[:6]} did nothing more"
