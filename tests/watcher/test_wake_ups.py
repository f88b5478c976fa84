"""A print on a leader's token that nothing explains wakes the poller, and not too often."""

from __future__ import annotations

import asyncio
import json
from itertools import pairwise

import pytest
from feed_fakes import Recorder
from hypothesis import given
from hypothesis import strategies as st
from websockets.asyncio.server import ServerConnection, serve

from chalicelib.adapters.polymarket.market_events import LastTrade
from chalicelib.watcher.market_session import (
    EVENT_SILENCE_MS_MAX,
    PING_MS,
    PONG_SILENCE_MS_MAX,
    MarketSession,
    divided,
)
from chalicelib.watcher.market_watch import MarketSurroundings, MarketWatch
from chalicelib.watcher.outputs import Reconnect, Send
from chalicelib.watcher.surroundings import RunnerLimits
from chalicelib.watcher.wake_ups import AGAIN_MS, WAIT_MS, WakeUps

T0 = 1_795_000_000_000
TX = "0x" + "a" * 64
INTEREST = {"11": frozenset({"ada", "bob"}), "22": frozenset({"bob"})}


def nobody_knows(_: str) -> bool:
    return False


def started() -> WakeUps:
    wake_ups = WakeUps()
    wake_ups.follow(INTEREST)
    return wake_ups


def test_an_unexplained_print_wakes_everybody_interested_after_the_wait() -> None:
    wake_ups = started()
    wake_ups.printed("11", TX, T0)
    assert wake_ups.due(T0 + WAIT_MS - 1, nobody_knows) == []
    assert wake_ups.due(T0 + WAIT_MS, nobody_knows) == ["ada", "bob"]
    assert wake_ups.due(T0 + WAIT_MS + 60_000, nobody_knows) == []


def test_a_print_whose_evidence_came_wakes_nobody() -> None:
    wake_ups = started()
    wake_ups.printed("11", TX, T0)
    assert wake_ups.due(T0 + WAIT_MS, lambda tx: tx == TX) == []


def test_a_print_without_a_transaction_is_never_explained() -> None:
    wake_ups = started()
    wake_ups.printed("22", "", T0)
    assert wake_ups.due(T0 + WAIT_MS, lambda _: True) == ["bob"]


def test_a_token_nobody_cares_about_wakes_nobody() -> None:
    wake_ups = started()
    wake_ups.printed("33", TX, T0)
    assert wake_ups.due(T0 + 60_000, nobody_knows) == []


def test_a_second_print_waits_and_is_not_forgotten() -> None:
    wake_ups = started()
    wake_ups.printed("22", TX, T0)
    wake_ups.printed("22", TX, T0 + 1_000)
    assert wake_ups.due(T0 + WAIT_MS, nobody_knows) == ["bob"]
    assert wake_ups.due(T0 + WAIT_MS + 1_000, nobody_knows) == []
    assert wake_ups.due(T0 + WAIT_MS + AGAIN_MS, nobody_knows) == ["bob"]


@given(st.lists(st.tuples(st.integers(0, 2_000), st.sampled_from(["11", "22"])), max_size=60))
def test_nobody_is_woken_more_often_than_allowed_and_everybody_in_the_end(
    prints: list[tuple[int, str]],
) -> None:
    wake_ups, now = started(), T0
    woken: dict[str, list[int]] = {"ada": [], "bob": []}
    last: dict[str, int] = {}
    for gap, token in prints:
        now += gap
        wake_ups.printed(token, "", now)
        last |= dict.fromkeys(INTEREST[token], now)
        for leader in wake_ups.due(now, nobody_knows):
            woken[leader].append(now)
    for _ in range(20):
        now += 1_000
        for leader in wake_ups.due(now, nobody_knows):
            woken[leader].append(now)
    for leader, times in woken.items():
        gaps = [b - a for a, b in pairwise(times)]
        assert all(gap >= AGAIN_MS for gap in gaps)
        assert (leader not in last) or times[-1] >= last[leader] + WAIT_MS


def test_unfollowed_leaders_are_forgotten() -> None:
    wake_ups = started()
    wake_ups.printed("11", TX, T0)
    wake_ups.follow({"22": frozenset({"bob"})})
    assert wake_ups.due(T0 + WAIT_MS, nobody_knows) == []


def test_tokens_stay_with_their_connection() -> None:
    first, left_out = divided([set(), set()], [str(n) for n in range(5)], size=3)
    assert (sorted(map(len, first)), left_out) == ([2, 3], 0)
    second, _ = divided(first, [*first[0], "9"], size=3)
    assert first[0] <= second[0] | second[1]
    assert second[0] >= first[0] or second[1] >= first[0]
    assert divided([set()], ["1", "2"], size=1)[1] == 1


def test_a_socket_that_stops_answering_or_delivering_is_replaced() -> None:
    session = MarketSession()
    session.set_tokens(["11"])
    assert json.loads(session.connected(T0)[0])["assets_ids"] == ["11"]
    assert session.tick(T0 + PING_MS) == [Send("PING")]
    assert session.tick(T0 + PONG_SILENCE_MS_MAX + 1) == [Reconnect("no PONG")]
    session.receive("PONG", T0 + EVENT_SILENCE_MS_MAX)
    assert session.tick(T0 + EVENT_SILENCE_MS_MAX + 1) == [Reconnect("no event")]


def test_changed_tokens_are_subscribed_before_others_are_dropped() -> None:
    session = MarketSession()
    session.set_tokens(["11"])
    session.connected(T0)
    frames = [json.loads(o.text) for o in session.set_tokens(["22"]) if isinstance(o, Send)]
    assert [(f["operation"], f["assets_ids"]) for f in frames] == [
        ("subscribe", ["22"]),
        ("unsubscribe", ["11"]),
    ]


def test_garbage_is_an_event_of_its_own() -> None:
    session = MarketSession()
    session.connected(T0)
    events = session.receive(b"\xff{", T0)
    assert not any(isinstance(event, LastTrade) for event in events)


@pytest.mark.parametrize("drop_first", [False, True])
def test_prints_of_a_real_socket_reach_the_poller(drop_first: bool) -> None:
    token = "7" * 40
    frame = json.dumps({
        "event_type": "last_trade_price", "market": "0x" + "c" * 64, "asset_id": token,
        "price": "0.5", "size": "10", "side": "BUY", "timestamp": str(T0), "transaction_hash": TX,
    })  # fmt: skip
    recorder, drained, connections = Recorder(), list[list[str]](), list[int]()

    async def venue(socket: ServerConnection) -> None:
        connections.append(1)
        if drop_first and len(connections) == 1:
            return
        async for text in socket:
            if text == "PING":
                await socket.send("PONG")
            elif token in json.loads(text)["assets_ids"]:
                await socket.send(frame)

    async def scenario() -> None:
        stop = asyncio.Event()

        def drain(leaders: object) -> None:
            drained.append(list(leaders))  # type: ignore[call-overload]
            loop.call_soon_threadsafe(stop.set)

        loop = asyncio.get_running_loop()
        async with serve(venue, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            around = MarketSurroundings(
                recorder, recorder, lambda: {token: frozenset({"ada"})}, drain, nobody_knows
            )
            watch = MarketWatch(
                f"ws://127.0.0.1:{port}", around, limits=RunnerLimits(backoff_s=0.01, tick_s=0.05)
            )
            async with asyncio.timeout(60):
                await watch.run(stop)

    asyncio.run(scenario())
    assert drained == [["ada"]]
