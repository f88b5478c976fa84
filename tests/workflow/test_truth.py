"""What only the chain can answer: reorganisations, disagreement and fills that one source knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.group import Fill
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import Check, Heartbeat, RawPayload
from chalicelib.domain.trade import Trade, effective, state_of
from chalicelib.keyspace import trade_key
from chalicelib.services.heartbeats import beat
from chalicelib.services.raw_payloads import raw_texts
from tests.unit.wire import V2_EXCHANGE, order_filled
from tests.workflow.harness import LEADER, TOKEN, System, api, chain, leg, row, tx
from tests.workflow.test_copying import assert_books_balance
from tests.workflow.test_exactly_once import DyingStore, fills_of

M = 1_000_000
SHADOW = f"shadow/{LEADER}"


def mined(number: int, legs: Sequence[tuple[int, int]], side: Side, block: int) -> list[object]:
    """The logs of a receipt: (shares, price) of maker fills, amounts in micros."""
    logs = []
    for index, (shares, price) in enumerate(legs):
        cash = shares * price // M
        making, taking = (cash, shares) if side == "BUY" else (shares, cash)
        log = order_filled(
            LEADER, "0x" + "9" * 40, side, TOKEN, making, taking,
            exchange=V2_EXCHANGE, block=block, index=index + 10 * block,
        )  # fmt: skip
        logs.append(log | {"transactionHash": tx(number), "blockHash": f"0x{block:064x}"})
    return logs


def stored_trade(system: System, number: int, side: str = "BUY") -> Trade:
    found = system.store.get(Trade, trade_key(trade_id(LEADER, tx(number), TOKEN, side)))
    assert found is not None
    return found


def open_checks(system: System) -> list[Check]:
    return system.store.query(Check, "activity", "checks", limit=1000)


def verify_for(system: System, seconds: int, step_s: int = 5, *, head_moves: bool = False) -> None:
    """Let time pass while questions are worked off as they become due."""
    for _ in range(seconds // step_s):
        system.clock.advance(step_s * 1000)
        if head_moves:
            system.node.head += step_s
        for _ in range(3):
            try:
                system.services.verify_trades()
            except PapercopyError:
                continue
            break


@dataclass(frozen=True)
class History:
    """One transaction: where it was mined first, and where it ended up (None: nowhere)."""

    side: Side
    legs: tuple[tuple[int, int], ...]
    reorganised: bool
    final: int | None
    api_before: bool
    api_after: bool


@st.composite
def histories(draw: st.DrawFn) -> History:
    pairs = draw(
        st.lists(st.tuples(st.integers(1, 500), st.integers(2, 98)), min_size=1, max_size=3)
    )
    reorganised = draw(st.booleans())
    final: int | None = 1
    if reorganised:
        final = draw(st.sampled_from([2, 3, None]))
    return History(
        side=draw(st.sampled_from(["BUY", "SELL"])),
        legs=tuple((shares * M, price * 10_000) for shares, price in pairs),
        reorganised=reorganised,
        final=final,
        api_before=draw(st.booleans()),
        api_after=draw(st.booleans()),
    )


def messages_of(number: int, history: History) -> list[FillMessage]:
    """Everything a watcher and a poller may say about it."""

    def logs(block: int, removed: bool = False) -> list[FillMessage]:
        return [
            chain(
                [leg(s, p, block=block, index=i + 10 * block, removed=removed)],
                number=number,
                side=history.side,
            )
            for i, (s, p) in enumerate(history.legs)
        ]

    found = logs(1)
    if history.reorganised:
        found += logs(1, removed=True)
    if history.final and history.final != 1:
        found += logs(history.final)
    if history.api_before or (history.api_after and history.final):
        counted: dict[tuple[int, int], int] = {}
        for pair in history.legs:
            counted[pair] = counted.get(pair, 0) + 1
        rows = [row(s, p, count) for (s, p), count in counted.items()]
        found.append(api(rows, number=number, side=history.side))
    return found


@settings(max_examples=150, deadline=None)
@given(st.lists(histories(), min_size=1, max_size=3), st.data())
def test_any_history_of_the_chain_ends_in_its_final_state(
    truth: list[History], data: st.DataObject
) -> None:
    """Any order, repetition and crash of evidence about reorganised transactions."""
    store = DyingStore(data.draw(st.integers(1, 60)), data.draw(st.booleans()))
    system = System(store=store)
    system.follow()
    store.armed = True
    messages: list[FillMessage] = []
    for number, history in enumerate(truth, start=1):
        messages += messages_of(number, history)
        if history.final:
            system.node.receipts[tx(number)] = tuple(
                mined(number, history.legs, history.side, history.final)  # type: ignore[arg-type]
            )
    repeated = data.draw(st.lists(st.sampled_from(messages), max_size=6))
    for message in data.draw(st.permutations(messages + repeated)):
        for _ in range(4):
            try:
                raised = system.services.ingest(message)
                system.services.verify_trades.at_once(raised)
            except PapercopyError:
                continue
            break
    verify_for(system, 600, step_s=20)
    held = 0
    for number, history in enumerate(truth, start=1):
        trade = stored_trade(system, number, history.side)
        shares = sum(s for s, _ in history.legs) if history.final else 0
        assert effective(trade).shares == shares, (number, history, state_of(trade))
        assert trade.pending == ()
        held += shares if history.side == "BUY" else -shares
    assert system.position(SHADOW).shares == held
    assert open_checks(system) == []
    assert_books_balance(system)


def test_a_removed_log_asks_the_node_at_once_and_once_more_a_minute_later() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(10 * M, 500_000)], ts_seen=now))
    assert system.node.calls == 0
    removed = chain([leg(10 * M, 500_000, removed=True)], ts_seen=now)
    (check,) = system.services.ingest(removed)
    assert check.reason == "removed"
    system.node.receipts[tx(1)] = tuple(mined(1, [(10 * M, 500_000)], "BUY", 2))  # type: ignore[arg-type]
    system.services.verify_trades()
    assert system.node.calls == 1
    assert effective(stored_trade(system, 1)).shares == 10 * M
    verify_for(system, 55)
    assert system.node.calls == 1
    verify_for(system, 20)
    assert system.node.calls == 2
    assert open_checks(system) == []
    verify_for(system, 600)
    assert system.node.calls == 2


def test_a_transaction_that_never_comes_back_is_taken_out_of_the_shadow_only_by_evidence() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(10 * M, 500_000, block=990)], ts_seen=now))
    system.services.ingest(api([row(10 * M, 500_000)], ts_seen=now))
    system.services.ingest(chain([leg(10 * M, 500_000, block=990, removed=True)], ts_seen=now))
    # The node knows too few later blocks: that it does not know the transaction proves nothing.
    verify_for(system, 30)
    assert system.position(SHADOW).shares == 10 * M
    system.node.head = 1_100
    verify_for(system, 200)
    assert system.position(SHADOW).shares == 0
    assert state_of(stored_trade(system, 1)) == "retracted"
    assert open_checks(system) == []


def test_a_larger_api_total_is_looked_up_at_once_and_a_larger_chain_total_after_a_while() -> None:
    for api_shares, node_calls in ((20 * M, 1), (5 * M, 0)):
        system = System()
        system.follow()
        now = system.clock.now_ms()
        system.services.ingest(chain([leg(10 * M, 500_000)], ts_seen=now))
        raised = system.services.ingest(api([row(api_shares, 500_000)], ts_seen=now))
        assert len(raised) == node_calls
        system.node.receipts[tx(1)] = tuple(mined(1, [(10 * M, 500_000)], "BUY", 1))  # type: ignore[arg-type]
        system.services.verify_trades()
        assert system.node.calls == node_calls
        verify_for(system, 25)
        assert system.node.calls == 1
        trade = stored_trade(system, 1)
        assert state_of(trade) == "resolved"
        assert effective(trade).shares == 10 * M
        assert system.position(SHADOW).shares == 10 * M


def test_a_disagreement_that_more_evidence_settles_asks_nobody() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(api([row(5 * M, 500_000)], ts_seen=now))
    system.services.ingest(chain([leg(10 * M, 500_000)], ts_seen=now))
    assert state_of(stored_trade(system, 1)) == "disagreeing"
    system.services.ingest(api([row(5 * M, 500_000, count=2)], ts_seen=now))
    verify_for(system, 60)
    assert state_of(stored_trade(system, 1)) == "confirmed"
    assert (system.node.calls, open_checks(system)) == (0, [])


def watcher_is(system: System, up: bool) -> None:
    beat(system.store, Heartbeat("watcher", system.clock.now_ms(), up))


def test_a_fill_that_only_the_api_knows_is_looked_up_and_takes_what_the_log_states() -> None:
    system = System()
    system.follow()
    watcher_is(system, up=True)
    now = system.clock.now_ms()
    system.services.ingest(api([row(100 * M, 500_000)], side="SELL", ts_seen=now))
    verify_for(system, 15)
    assert system.node.calls == 0
    logs = mined(1, [(100 * M, 500_000)], "SELL", 1)
    log = dict(logs[0])  # type: ignore[call-overload]
    log["data"] = log["data"][: 2 + 64 * 4] + f"{1_250_000:064x}" + log["data"][2 + 64 * 5 :]
    system.node.receipts[tx(1)] = (log,)
    cash = system.head(SHADOW).cash
    verify_for(system, 10)
    assert system.node.calls == 1
    assert system.head(SHADOW).cash == cash - 1_250_000
    assert state_of(stored_trade(system, 1, "SELL")) == "confirmed"


def test_a_fill_that_only_the_chain_knows_asks_nobody() -> None:
    system = System()
    system.follow()
    system.services.ingest(chain([leg(10 * M, 500_000)], ts_seen=system.clock.now_ms()))
    verify_for(system, 300)
    assert (system.node.calls, open_checks(system)) == (0, [])


def test_without_a_watch_on_the_chain_a_fill_of_the_api_is_no_surprise() -> None:
    system = System()
    system.follow()
    watcher_is(system, up=False)
    system.services.ingest(api([row(100 * M, 500_000)], ts_seen=system.clock.now_ms()))
    assert open_checks(system) == []


def test_a_node_that_does_not_answer_is_asked_for_a_day_and_its_silence_decides_nothing() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.node.down = True
    system.services.ingest(chain([leg(10 * M, 500_000)], ts_seen=now))
    system.services.ingest(api([row(20 * M, 500_000)], ts_seen=now))
    verify_for(system, 7_200, step_s=60)
    assert 8 <= system.node.calls <= 20
    assert len(open_checks(system)) == 1
    verify_for(system, 90_000, step_s=600)
    assert system.node.calls <= 200
    assert open_checks(system) == []
    assert system.metrics.snapshot()["checks_given_up"] == 1
    assert effective(stored_trade(system, 1)).shares == 20 * M


def test_a_node_that_stands_still_takes_no_fill_back() -> None:
    """It answers and knows nothing new: that proves nothing about a transaction."""
    system = System()
    system.follow()
    watcher_is(system, up=True)
    system.services.ingest(api([row(100 * M, 500_000)], ts_seen=system.clock.now_ms()))
    verify_for(system, 900, step_s=20)
    assert system.position(SHADOW).shares == 100 * M
    assert state_of(stored_trade(system, 1)) == "api_only"


def test_one_backend_that_lags_takes_no_standing_log_back() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(10 * M, 500_000, block=500)], ts_seen=now))
    system.services.ingest(api([row(20 * M, 500_000)], ts_seen=now))
    system.services.verify_trades()
    assert system.position(SHADOW).shares == 20 * M
    system.node.receipts[tx(1)] = tuple(mined(1, [(10 * M, 500_000)], "BUY", 500))  # type: ignore[arg-type]
    verify_for(system, 60)
    assert system.position(SHADOW).shares == 10 * M


def test_a_receipt_without_a_fill_of_the_wallet_is_kept_for_a_person() -> None:
    """An exchange nobody knows yet looks just like that."""
    system = System()
    system.follow()
    watcher_is(system, up=True)
    system.services.ingest(api([row(100 * M, 500_000)], ts_seen=system.clock.now_ms()))
    log = dict(mined(1, [(100 * M, 500_000)], "BUY", 1)[0])  # type: ignore[call-overload]
    system.node.receipts[tx(1)] = (log | {"address": "0x" + "8" * 40},)
    verify_for(system, 60)
    assert system.position(SHADOW).shares == 100 * M
    assert [source for source, *_ in system.quarantine.kept] == ["receipt"]
    assert open_checks(system) == []


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", range(1, 9))
def test_an_answer_reaches_the_shadow_and_the_pipeline_over_any_crash(
    dies_at: int, after: bool
) -> None:
    store = DyingStore(dies_at, after)
    system = System(store=store)
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(10 * M, 500_000)], ts_seen=now))
    system.services.ingest(api([row(20 * M, 500_000)], ts_seen=now))
    system.node.receipts[tx(1)] = tuple(
        mined(1, [(10 * M, 500_000), (20 * M, 500_000)], "BUY", 1)  # type: ignore[arg-type]
    )
    store.armed = True
    verify_for(system, 900, step_s=20)
    trade = stored_trade(system, 1)
    assert (effective(trade).shares, trade.pending) == (30 * M, ())
    assert system.position(SHADOW).shares == 30 * M
    assert sum(fill.shares for fill in fills_of(system, 1, "BUY")) == 30 * M


def test_working_off_questions_is_bounded_in_time() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    for number in range(30):
        message = chain([leg(10 * M, 500_000)], number=number, ts_seen=now)
        system.services.ingest(message)
        system.services.ingest(api([row(20 * M, 500_000)], number=number, ts_seen=now))
    slow = system.node.receipt_logs

    def takes_three_seconds(tx_hash: str) -> object:
        system.clock.advance(3_000)
        return slow(tx_hash)

    system.node.receipt_logs = takes_three_seconds  # type: ignore[method-assign,assignment]
    began = system.clock.now_ms()
    system.services.verify_trades()
    assert system.clock.now_ms() - began <= 25_000
    assert system.metrics.snapshot()["verifications_cut"] == 1


def test_a_fill_that_was_not_copied_takes_nothing_from_another_group() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(1_000 * M, 510_000, ts_block=now)], number=1, ts_seen=now))
    old = now - 3_600_000
    history = leg(500 * M, 510_000, block=990, ts_block=old)
    system.services.ingest(chain([history], number=2, ts_seen=now))
    system.services.ingest(chain([replace(history, removed=True)], number=2, ts_seen=now + 100))
    system.run_workflows()
    assert system.attempt().decision.leader_shares == 1_000 * M


@pytest.mark.parametrize("sell_first", [False, True])
@pytest.mark.parametrize("buy_index", [1, 9])
def test_what_is_left_of_a_sell_is_a_fraction_of_what_he_held_before(
    sell_first: bool, buy_index: int
) -> None:
    """He holds 5,000, sells 1,000 and buys 600 in one transaction: he sold 400 of 5,000."""
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(5_000 * M, 510_000, ts_block=now)], number=9, ts_seen=now))
    system.run_workflows()
    now = system.clock.now_ms()
    both = [
        chain([leg(600 * M, 510_000, ts_block=now, index=buy_index)], ts_seen=now),
        chain([leg(1_000 * M, 510_000, ts_block=now, index=5)], side="SELL", ts_seen=now),
    ]
    for message in reversed(both) if sell_first else both:
        system.services.ingest(message)
    system.run_workflows()
    sold = [a for a in system.attempts() if a.side == "SELL" and a.portfolio_id == "main/global"]
    assert sold[0].decision.leader_reduction == 10**12 * 400 // 5_000


def test_an_undecided_group_loses_what_the_chain_took_back() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    first = leg(1_000 * M, 510_000, block=990, ts_block=now)
    system.services.ingest(chain([first], ts_seen=now))
    system.services.ingest(chain([replace(first, removed=True)], ts_seen=now + 500))
    system.run_workflows()
    attempt = system.attempt()
    assert (attempt.status, attempt.reasons) == ("SKIPPED", (Reason.LEADER_FILL_RETRACTED,))
    assert system.position().shares == 0


def test_a_fill_that_comes_back_in_time_is_copied_once() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    first = leg(1_000 * M, 510_000, block=990, ts_block=now)
    system.services.ingest(chain([first], ts_seen=now))
    system.services.ingest(chain([replace(first, removed=True)], ts_seen=now + 500))
    again = leg(1_000 * M, 510_000, block=991, index=4, ts_block=now)
    system.services.ingest(chain([again], ts_seen=now + 600))
    system.run_workflows()
    attempt = system.attempt()
    assert attempt.decision.leader_shares == 1_000 * M
    assert attempt.status == "FILLED"


def test_what_was_copied_stays_and_its_attempt_carries_a_note() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    first = leg(1_000 * M, 510_000, block=990, ts_block=now)
    system.services.ingest(chain([first], ts_seen=now))
    system.run_workflows()
    copied = system.position().shares
    assert copied > 0
    taken_back = chain([replace(first, removed=True)], ts_seen=now + 9_000)
    for _ in range(2):
        system.services.ingest(taken_back)
    assert system.attempt().retracted_shares == 1_000 * M
    assert system.position().shares == copied
    assert system.position(SHADOW).shares == 0
    assert_books_balance(system)


@pytest.mark.parametrize("first", ["BUY", "SELL"])
@pytest.mark.parametrize(("bought", "sold"), [(1000, 1000), (1000, 400), (400, 1000)])
def test_a_trade_with_himself_cancels_before_it_is_copied(
    first: Side, bought: int, sold: int
) -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(5_000 * M, 510_000, ts_block=now)], number=9, ts_seen=now))
    system.run_workflows()
    held = system.position().shares
    now = system.clock.now_ms()
    sides: dict[Side, FillMessage] = {
        "BUY": chain([leg(bought * M, 510_000, ts_block=now, index=1)], ts_seen=now),
        "SELL": chain([leg(sold * M, 510_000, ts_block=now, index=2)], side="SELL", ts_seen=now),
    }
    second: Side = "SELL" if first == "BUY" else "BUY"
    for side in (first, second, first, second):
        system.services.ingest(sides[side])
    system.run_workflows()
    assert system.position(SHADOW).shares == (5_000 + bought - sold) * M
    decided = [a for a in system.attempts() if a.portfolio_id == "main/global"][1:]
    executed = [a for a in decided if a.decision.verdict == "EXECUTE"]
    if bought == sold:
        assert executed == []
        assert system.position().shares == held
    else:
        assert [a.side for a in executed] == ["BUY" if bought > sold else "SELL"]
        assert executed[0].decision.leader_shares == abs(bought - sold) * M
    assert_books_balance(system)


def test_why_a_fill_is_not_copied_stands_on_the_fill() -> None:
    combo = str((3 << 248) + (12345 << 120) + 1)
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(10 * M, 500_000, ts_block=now)], token=combo, ts_seen=now))
    old = system.clock.now_ms() - 3_600_000
    system.services.ingest(chain([leg(10 * M, 500_000, ts_block=old)], number=2, ts_seen=now))
    system.services.ingest(chain([leg(500, 500_000, ts_block=now)], number=3, ts_seen=now))

    def reason(number: int, token: str = TOKEN) -> Reason | None:
        pk = f"trade#{trade_id(LEADER, tx(number), token, 'BUY')}"
        (fill,) = system.store.query(Fill, "activity", pk, start="fill#", end="fill$")
        return fill.not_copied

    assert reason(1, combo) == Reason.COMBO_NOT_COPYABLE
    assert reason(2) == Reason.SKIP_BACKFILL
    assert reason(3) == Reason.INCREMENT_TOO_SMALL
    assert system.workflows.runs == []


def test_raw_payloads_are_kept_with_a_new_fact_and_only_then() -> None:
    system = System()
    system.follow()
    message = chain([leg(10 * M, 500_000)])
    (item,) = message.chain
    message = replace(message, chain=(replace(item, raw='{"logIndex":"0x0"}'),))
    for _ in range(3):
        system.services.ingest(message)
    pk = f"raw#{trade_id(LEADER, tx(1), TOKEN, 'BUY')}"
    (kept,) = system.store.query(RawPayload, "activity", pk)
    assert raw_texts(kept) == ['{"logIndex":"0x0"}']


def test_a_row_the_feed_takes_back_is_a_question_for_the_chain() -> None:
    """In mode `api` nobody tells of a reorganisation; the venue's own record does."""
    for mined_after_all in (False, True):
        system = System()
        system.follow()
        now = system.clock.now_ms()
        system.services.ingest(api([row(10 * M, 500_000, ts_block=now)], ts_seen=now))
        system.clock.advance(200_000)
        if mined_after_all:
            system.node.receipts[tx(1)] = tuple(mined(1, [(10 * M, 500_000)], "BUY", 1))  # type: ignore[arg-type]
        system.services.measure()
        verify_for(system, 400, step_s=20, head_moves=True)
        shares = 10 * M if mined_after_all else 0
        assert effective(stored_trade(system, 1)).shares == shares
        assert system.position(SHADOW).shares == shares
        assert open_checks(system) == []
        asked = system.node.calls
        system.services.measure()
        verify_for(system, 100)
        assert system.node.calls == asked


def test_a_fill_the_feed_does_not_show_yet_is_no_question() -> None:
    system = System()
    system.follow()
    now = system.clock.now_ms()
    system.services.ingest(chain([leg(10 * M, 500_000, ts_block=now)], ts_seen=now))
    system.clock.advance(200_000)
    system.services.measure()
    verify_for(system, 100)
    assert (system.node.calls, open_checks(system)) == (0, [])
