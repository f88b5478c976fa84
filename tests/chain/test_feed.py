"""The watcher at a node whose connection fails in every way, one way at a time.

Every scene ends with the whole account: each canonical fill of a followed wallet counted once,
nothing of anybody else, and the shadows equal to the node's truth.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from chalicelib.domain.exchange_log import LIVE_EXCHANGES
from chalicelib.services.catch_up import open_catch_ups
from tests.chain.listening import Scene, scene, until
from tests.chain.matches import M, Market, complementary, minting, with_dust, with_twin

ADA, ADA_TOO, BOB, MAKER, THIRD = (f"0x{digit * 40}" for digit in "12345")
MARKETS = [
    Market(exchange, str(10**60 + 2 * number), str(10**60 + 2 * number + 1))
    for number, exchange in enumerate(LIVE_EXCHANGES)
]


def run(
    story: Callable[[Scene], Awaitable[None]],
    *,
    http: bool = True,
    system: Mapping[str, object] | None = None,
) -> None:
    async def told() -> None:
        async with scene((ADA, ADA_TOO), (BOB,), http=http, system=system) as made:
            await story(made)

    asyncio.run(told())


def trade(made: Scene, shares: int = 10, *, wallet: str = ADA) -> str:
    """The wallet takes from MAKER in a block of its own; the transaction."""
    match = complementary(MARKETS[0], wallet, "BUY", [(MAKER, shares * M)], 40, fee=5)
    return made.chain.mine(match).transactions[0]


def test_every_kind_of_match_counts_once_and_for_its_owner_only() -> None:
    async def story(made: Scene) -> None:
        for market in MARKETS:
            bought = complementary(market, ADA, "BUY", [(MAKER, 60 * M), (BOB, 7 * M)], 48, fee=3)
            made.chain.mine(
                bought,
                with_twin(complementary(market, MAKER, "SELL", [(ADA, 5 * M)], 51)),
                complementary(market, BOB, "SELL", [(BOB, 2 * M)], 50),
            )
            made.chain.mine(
                minting(market, ADA_TOO, [(MAKER, 9 * M), (THIRD, 4 * M)], 30),
                minting(market, MAKER, [(ADA, 3 * M)], 70, side="SELL"),
                with_dust(bought, ADA),
                minting(market, ADA, [(ADA_TOO, M)], 45),
            )
        await made.exact()
        assert made.papercopy.metrics.snapshot().get("watcher_refused", 0) == 0

    run(story)


def test_the_same_order_in_two_transactions_of_one_block_is_two_fills() -> None:
    async def story(made: Scene) -> None:
        match = complementary(MARKETS[1], MAKER, "BUY", [(ADA, 5 * M)], 20)
        made.chain.mine(match, match)
        await made.exact()
        assert len(made.papercopy.counted()) == 2

    run(story)


def test_repeated_and_reordered_notifications_count_once() -> None:
    async def story(made: Scene) -> None:
        made.relay.duplicate = made.relay.reorder = True
        for shares in range(1, 25):
            trade(made, shares, wallet=(ADA, BOB)[shares % 2])
            await made.heard()
        await made.exact()

    run(story)


@pytest.mark.parametrize("held", ["newHeads", "logs"])
@pytest.mark.parametrize("http", [True, False])
def test_a_log_without_its_block_time_waits_for_the_head_or_a_look_up(
    held: str, http: bool
) -> None:
    async def story(made: Scene) -> None:
        made.relay.strip_block_times = True
        made.relay.hold(held)  # type: ignore[arg-type]
        for shares in range(1, 5):
            trade(made, shares)
        if held == "newHeads":
            logs = made.chain.logs(0, made.chain.head.number)
            await until(lambda: made.relay.delivered(logs), "the logs delivered")
        else:
            await until(lambda: made.chain.head.block_hash in made.relay.heads, "heads delivered")
        if http and held == "newHeads":
            await made.exact()
        else:
            assert made.papercopy.counted() == {}
        await made.relay.release(held)  # type: ignore[arg-type]
        await made.exact()

    run(story, http=http)


def test_fills_lost_while_the_connection_was_cut_are_recovered() -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        await made.exact()
        made.relay.refuse_next = 3
        made.relay.drop_next = 3

        def lost() -> None:
            made.relay.cut()
            trade(made, 2)
            trade(made, 3, wallet=BOB)

        await made.replaced(lost)
        trade(made, 4)
        await made.recovered()
        assert made.relay.connections >= 5

    run(story)


def test_a_socket_that_delivers_nothing_is_replaced() -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        await made.exact()
        made.relay.stall()
        trade(made, 2)
        await made.outlasted()
        trade(made, 3)
        await until(lambda: len(made.papercopy.counted()) >= 2, "a fill after the stall")
        await made.recovered()

    run(story)


def test_a_socket_behind_another_endpoint_is_replaced() -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        await made.exact()

        def behind() -> None:
            made.relay.stall()
            for shares in range(2, 8):
                trade(made, shares)

        await made.replaced(behind)
        await made.recovered()

    run(story)


@pytest.mark.parametrize("order", ["before", "after"])
def test_a_reorganisation_is_followed_whatever_the_order_of_its_logs(order: str) -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        gone = trade(made, 2)
        made.chain.mine(
            with_twin(complementary(MARKETS[0], MAKER, "SELL", [(ADA, 5 * M)], 51)),
            complementary(MARKETS[2], BOB, "SELL", [(MAKER, 5 * M)], 51),
        )
        await made.exact()
        first = made.chain.head.number - 1
        if order == "before":
            made.relay.hold("logs")
            old = made.chain.reorganise(2, dropped=[gone])
            await made.relay.retract(old)
            await made.relay.release("logs")
        else:
            old = made.chain.reorganise(2, dropped=[gone])
            new = made.chain.logs(first, made.chain.head.number)
            await until(lambda: made.relay.delivered(new), "the logs of the new blocks")
            await made.relay.retract(old)
        await made.exact()
        trade(made, 3)
        await made.exact()
        await made.answered()

    run(story)


def test_a_whole_transaction_that_is_never_mined_again_is_corrected() -> None:
    async def story(made: Scene) -> None:
        kept = trade(made, 1)
        sold = complementary(MARKETS[0], ADA, "SELL", [(MAKER, M)], 60)
        lost = made.chain.mine(sold).transactions[0]
        await made.exact()
        await made.relay.retract(made.chain.reorganise(1, dropped=[lost]))
        await made.exact()
        assert {tx_hash for _, tx_hash, _, _ in made.papercopy.counted()} == {kept}
        await made.answered()

    run(story)


def test_a_reorganisation_while_the_socket_is_down_counts_nothing_twice() -> None:
    async def story(made: Scene) -> None:
        for shares in range(1, 4):
            trade(made, shares)
        await made.exact()

        def offline() -> None:
            made.relay.cut()
            made.chain.reorganise(2)

        await made.replaced(offline)
        trade(made, 4)
        await made.recovered()

    run(story)


def test_a_reorganisation_that_nobody_retracts_counts_nothing_twice() -> None:
    async def story(made: Scene) -> None:
        for shares in range(1, 4):
            trade(made, shares)
        await made.exact()
        await made.heard()
        # Without heads and a node to ask nothing says that the old blocks are gone.
        made.relay.hold("newHeads")
        made.chain.reorganise(2)
        trade(made, 4)
        logs = made.chain.logs(0, made.chain.head.number)
        await until(lambda: made.relay.delivered(logs), "the logs of the new blocks")
        await made.exact()
        await made.relay.release("newHeads")
        await made.settled()
        await made.answered()

    run(story, http=False)


def test_a_wallet_followed_while_listening_is_listened_for_without_a_gap() -> None:
    async def story(made: Scene) -> None:
        connections = made.relay.connections
        trade(made, 1)
        made.papercopy.follow((THIRD,))
        for shares in range(2, 8):
            trade(made, shares)
        await made.listening()
        trade(made, 9, wallet=THIRD)
        trade(made, 10)
        await made.recovered()
        assert made.relay.connections == connections

    run(story)


def test_a_subscription_that_lost_its_logs_is_renewed_on_the_same_socket() -> None:
    async def story(made: Scene) -> None:
        papercopy, relay = made.papercopy, made.relay
        # Receipts would answer first and end the suspicion.
        papercopy.verifies = False
        trade(made, 1)
        await made.exact()
        await grows_old(made, 32)
        connections = relay.connections
        relay.silence_logs()
        trade(made, 2)
        await made.recovered()
        await grows_old(made, 16)
        await made.listening()
        assert relay.connections == connections
        papercopy.verifies = True
        trade(made, 3)
        await made.exact()
        await made.answered()

    run(story)


async def grows_old(made: Scene, seconds: int) -> None:
    """Let time pass while heads never stop."""
    for _ in range(seconds // 4):
        made.papercopy.clock.shift(4_000)
        made.chain.mine()
        await made.heard()


@pytest.mark.parametrize("heard", [True, False])
def test_a_transaction_that_silently_left_the_chain_is_corrected(heard: bool) -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        gone = trade(made, 2)
        trade(made, 3)
        await made.exact()

        def reorganised() -> None:
            made.relay.cut()
            made.chain.reorganise(2, dropped=[gone])

        if heard:
            made.chain.reorganise(2, dropped=[gone])
        else:
            await made.replaced(reorganised)
        trade(made, 4)
        await made.settled()
        await made.answered()

    run(story)


def test_a_transaction_that_left_the_chain_while_no_watcher_ran_is_corrected() -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        gone = trade(made, 2)
        await made.exact()
        await made.heard()
        async with made.restarted():
            made.chain.reorganise(1, dropped=[gone])
        trade(made, 3)
        await made.settled()
        await made.answered()

    run(story)


def test_a_gap_asks_the_data_api_for_the_blocks_that_were_missed() -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        await made.exact()
        await made.heard()
        heard = made.chain.head
        made.relay.refuse_next = 2

        def lost() -> None:
            made.relay.cut()
            trade(made, 2)

        await made.replaced(lost)
        missed = made.chain.head
        made.chain.mine()
        store = made.papercopy.store

        def asked(leader: str) -> bool:
            return any(
                row.ts_from <= heard.timestamp * 1000 <= missed.timestamp * 1000 <= row.ts_until
                for row in open_catch_ups(store, leader)
            )

        await until(lambda: asked(ADA) and asked(BOB), "catch-ups over the gap")
        await made.recovered()

    run(story)


@pytest.mark.parametrize("gap_fill", ["on_reconnect", "sweep"])
def test_range_queries_fill_a_gap_without_the_data_api(gap_fill: str) -> None:
    async def story(made: Scene) -> None:
        trade(made, 1)
        await made.exact()
        await made.heard()
        counts = made.papercopy.metrics.snapshot
        # A sweep begins near the head; what it missed before that is not its business.
        await until(
            lambda: gap_fill != "sweep" or counts().get("gap_fill_blocks", 0) > 0, "a sweep"
        )

        def lost() -> None:
            made.relay.cut()
            for shares in range(2, 15):
                trade(made, shares, wallet=(ADA, BOB, MAKER)[shares % 3])

        await made.replaced(lost)
        trade(made, 20)
        await made.exact()
        assert made.papercopy.feed.polls == 0

    run(story, system={"gap_fill": gap_fill, "gap_fill_blocks_max": 5})
