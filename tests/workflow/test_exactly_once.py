"""A fill counts once whatever is repeated, reordered, lost on the way or interrupted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.errors import PapercopyError, Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.group import Fill
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.trade import Trade, effective
from chalicelib.keyspace import trade_key
from chalicelib.ports import Write
from tests.workflow.harness import LEADER, TOKEN, System, api, chain, leg, row, tx

M = 1_000_000


class DyingStore(MemoryStore):
    """Dies once, right before or right after its n-th commit took effect."""

    def __init__(self, dies_at: int, after: bool) -> None:
        super().__init__()
        self.commits = 0
        self.armed = False
        self._dies_at = dies_at
        self._after = after

    def commit(self, writes: Sequence[Write]) -> None:
        if not self.armed:
            super().commit(writes)
            return
        self.commits += 1
        if self.commits == self._dies_at and not self._after:
            raise Retryable("died before the commit")
        super().commit(writes)
        if self.commits == self._dies_at and self._after:
            raise Retryable("died after the commit")


def stored_trade(system: System, number: int, side: str) -> Trade:
    found = system.store.get(Trade, trade_key(trade_id(LEADER, tx(number), TOKEN, side)))
    assert found is not None
    return found


def fills_of(system: System, number: int, side: str) -> list[Fill]:
    pk = f"trade#{trade_id(LEADER, tx(number), TOKEN, side)}"
    return system.store.query(Fill, "activity", pk, start="fill#", limit=100)


def deliver(system: System, messages: Sequence[FillMessage]) -> None:
    """As an at-least-once queue does: a failed message comes again."""
    for message in messages:
        for _ in range(5):
            try:
                system.services.ingest(message)
            except PapercopyError:
                continue
            break
        else:
            raise AssertionError("the message was never processed")


trades = st.lists(
    st.tuples(
        st.sampled_from(["BUY", "SELL"]),
        st.lists(
            st.tuples(st.integers(1, 500), st.integers(2, 98), st.integers(1, 3)),
            min_size=1,
            max_size=3,
            unique_by=lambda fill: (fill[0], fill[1]),
        ),
    ),
    min_size=1,
    max_size=4,
)


def evidence_of(
    truth: list[tuple[str, list[tuple[int, int, int]]]], draw: st.DrawFn | None = None
) -> tuple[list[list[FillMessage]], list[FillMessage], dict[tuple[int, str], int]]:
    """Per trade the chain messages (a leg each), one complete API poll, and the true shares."""
    by_chain: list[list[FillMessage]] = []
    by_api: list[FillMessage] = []
    shares: dict[tuple[int, str], int] = {}
    for number, (side, fills) in enumerate(truth, start=1):
        twins = [(s, p) for s, p, count in fills for _ in range(count)]
        by_chain.append([
            chain([leg(s * M, p * 10_000, index=i)], number=number, side=side)  # type: ignore[arg-type]
            for i, (s, p) in enumerate(twins)
        ])  # fmt: skip
        rows = [row(s * M, p * 10_000, count) for s, p, count in fills]
        by_api.append(api(rows, number=number, side=side))  # type: ignore[arg-type]
        shares[(number, side)] = sum(s for s, _ in twins) * M
    return by_chain, by_api, shares


@settings(max_examples=120, deadline=None)
@given(st.data())
def test_any_interleaving_of_both_sources_counts_every_fill_once(data: st.DataObject) -> None:
    truth = data.draw(trades)
    by_chain, by_api, shares = evidence_of(truth)
    messages = []
    for chain_messages, api_message in zip(by_chain, by_api, strict=True):
        heard = data.draw(st.sampled_from(["both", "chain", "api"]))
        messages += chain_messages if heard != "api" else chain_messages[:1]
        messages += [api_message] if heard != "chain" else []
    order = data.draw(st.permutations(messages + data.draw(st.lists(st.sampled_from(messages)))))
    dies_at, after = data.draw(st.integers(1, 40)), data.draw(st.booleans())
    store = DyingStore(dies_at, after)
    system = System(store=store)
    system.follow()
    store.armed = True
    deliver(system, order)
    position = 0
    for (number, side), true_shares in shares.items():
        trade = stored_trade(system, number, side)
        assert effective(trade).shares == true_shares
        assert trade.pending == ()
        assert sum(f.shares for f in fills_of(system, number, side)) == true_shares
        position += true_shares if side == "BUY" else -true_shares
    assert system.position(f"shadow/{LEADER}").shares == position
    assert system.head(f"shadow/{LEADER}").trades == len(truth)


@pytest.mark.parametrize("removed_first", [False, True])
def test_a_transaction_mined_again_in_another_block_counts_once(removed_first: bool) -> None:
    system = System()
    system.follow()
    first = leg(100 * M, 500_000, block=1, index=7)
    gone, again = replace(first, removed=True), leg(100 * M, 500_000, block=2, index=3)
    system.services.ingest(chain([first]))
    later = [chain([gone]), chain([again])] if removed_first else [chain([again]), chain([gone])]
    deliver(system, later)
    assert effective(stored_trade(system, 1, "BUY")).shares == 100 * M
    assert [f.shares for f in fills_of(system, 1, "BUY")] == [100 * M]
    assert system.position(f"shadow/{LEADER}").shares == 100 * M


def test_a_transaction_that_never_comes_back_is_corrected_in_the_shadow_only() -> None:
    system = System()
    system.follow()
    first = leg(1_000 * M, 510_000)
    system.services.ingest(chain([first]))
    system.run_workflows()
    copied = system.position().shares
    assert copied > 0
    system.services.ingest(chain([replace(first, removed=True)]))
    assert system.position(f"shadow/{LEADER}").shares == 0
    assert system.position().shares == copied
    kinds = [e.kind for e in system.entries(f"shadow/{LEADER}")]
    assert kinds == ["TRADE_FILL", "CORRECTION", "OPENING"] or sorted(kinds) == [
        "CORRECTION",
        "OPENING",
        "TRADE_FILL",
    ]


def test_equal_twin_rows_within_one_poll_are_two_fills() -> None:
    system = System()
    system.follow()
    deliver(system, [api([row(10 * M, 500_000, count=2)])] * 3)
    assert effective(stored_trade(system, 1, "BUY")).shares == 20 * M


def test_growth_after_the_first_evidence_is_a_second_fill_of_the_difference() -> None:
    system = System()
    system.follow()
    system.services.ingest(chain([leg(10 * M, 500_000, index=1)]))
    system.services.ingest(api([row(10 * M, 500_000, count=2)]))
    assert [f.shares for f in fills_of(system, 1, "BUY")] == [10 * M, 10 * M]


def test_the_fee_a_log_states_later_corrects_the_shadow_and_copies_nothing() -> None:
    system = System()
    system.follow()
    system.services.ingest(api([row(100 * M, 500_000)], side="SELL"))
    before = system.head(f"shadow/{LEADER}").cash
    system.services.ingest(chain([leg(100 * M, 500_000, fee=1_250_000)], side="SELL"))
    assert system.head(f"shadow/{LEADER}").cash == before - 1_250_000
    assert len(fills_of(system, 1, "SELL")) == 1


def test_a_message_for_somebody_nobody_follows_is_refused_by_name() -> None:
    system = System()
    with pytest.raises(PapercopyError, match="leader"):
        system.services.ingest(chain([leg(M, 500_000)]))
