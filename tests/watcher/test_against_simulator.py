"""Adapters and watcher against the simulated venue, with its faults, compared with its truth."""

import asyncio
import importlib.util
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from feed_fakes import Recorder

from chalicelib.adapters.polygon.rpc import PolygonRpc
from chalicelib.adapters.polymarket.clob import Clob, hash_matches
from chalicelib.adapters.polymarket.data_api import DataApi
from chalicelib.adapters.polymarket.gamma import Gamma
from chalicelib.adapters.polymarket.http import HttpClient, HttpPolicy
from chalicelib.domain.errors import Retryable
from chalicelib.domain.poll_tally import api_evidence
from chalicelib.watcher.runner import RunnerLimits, Surroundings, Watcher
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.wiring import chain_reads

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("aiohttp") is None or not (ROOT / "simulator").is_dir(),
    reason="the simulated venue cannot run here",
)

TradeKey = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def venue() -> Iterator[dict[str, object]]:
    command = [sys.executable, "-m", "simulator", "--port", "0", "--fills-per-minute", "400"]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def client(venue: dict[str, object], which: str, recorder: Recorder) -> HttpClient:
    policy = HttpPolicy(attempts_max=8, backoff_ms=10)
    return HttpClient(str(venue[which]), recorder, name=which, policy=policy)


def control(venue: dict[str, object]) -> HttpClient:
    return HttpClient(str(venue["control"]), Recorder())


def test_markets_and_books(venue: dict[str, object]) -> None:
    recorder = Recorder()
    clob_http = client(venue, "clob_api", recorder)
    gamma = Gamma(client(venue, "gamma_api", recorder), clob_http, refused=recorder.keep)
    markets = list(gamma.markets())
    assert {market.protocol for market in markets} == {"v1", "v2"}
    assert recorder.kept == []
    for market in markets:
        assert gamma.market_of_token(market.tokens[1]) == market
    clob = Clob(clob_http, recorder, recorder)
    tokens = [token for market in markets for token in market.tokens]
    assert set(clob.books(tokens)) == set(clob.midpoints(tokens)) == set(tokens)
    soon = recorder.now_ms() + 100
    book = clob.book(tokens[0], soon)
    assert book is not None
    assert soon <= book.ts_received <= recorder.now_ms()
    assert clob.book("12345", 0) is None
    raw = clob_http.get("/book", [("token_id", tokens[0])])
    assert isinstance(raw, dict)
    assert hash_matches(raw) is True


WAIT_S_MAX = 60


def trades(recorder: Recorder) -> int:
    return len({e.tx_hash for m in list(recorder.messages) for e in m.chain})


async def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S_MAX
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within {WAIT_S_MAX} s"
        await asyncio.sleep(0.05)


def watch(venue: dict[str, object], recorder: Recorder) -> None:
    """Listen until enough was heard, with a dropped connection on the way."""
    leaders = dict.fromkeys(venue["leaders"], "lead")
    node = PolygonRpc(client(venue, "polygon_http", recorder))
    around = Surroundings(
        recorder,
        recorder,
        recorder,
        lambda: leaders,
        recorder.beat,
        recorder.keep,
        chain_reads(node),
    )
    limits = RunnerLimits(backoff_s=0.05, head_check_s=0.5)
    watcher = Watcher(str(venue["polygon_ws"]), PolygonSession(leaders), around, limits=limits)

    async def scenario() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(watcher.run(stop))
        await until(lambda: trades(recorder) > 3, "first trades")
        await asyncio.to_thread(control(venue).post, "/faults", {"disconnect": True})
        await until(lambda: recorder.counts.get("watcher_reconnects", 0) > 0, "new connection")
        before = trades(recorder)
        await until(lambda: trades(recorder) > before + 5, "trades after the drop")
        stop.set()
        await task

    asyncio.run(scenario())


def truth_of(venue: dict[str, object]) -> dict[TradeKey, int]:
    host, deadline = control(venue), time.monotonic() + 15
    host.post("/stop_leaders", {})
    while time.monotonic() < deadline:
        answer = host.get("/truth", [("limit", "10000")])
        assert isinstance(answer, dict)
        if answer["done"]:
            totals: Counter[TradeKey] = Counter()
            for fill in answer["fills"]:
                key = (fill["wallet"], fill["tx_hash"], fill["token_id"], fill["side"])
                totals[key] += fill["shares_micros"]
            return dict(totals)
        time.sleep(0.1)
    raise AssertionError("the venue did not come to rest")


def test_both_sources_tell_the_truth_in_spite_of_faults(venue: dict[str, object]) -> None:
    recorder = Recorder()
    faults = {"duplicate_logs": True, "http_error_rate": 0.2, "http_429_rate": 0.05}
    control(venue).post("/faults", faults)
    watch(venue, recorder)
    truth = truth_of(venue)
    assert len(truth) > 10

    legs = {
        (message.wallet, e.tx_hash, e.token_id, e.side, e.leg.block_hash, e.leg.log_index): e.leg
        for message in recorder.messages
        for e in message.chain
    }
    chain: Counter[TradeKey] = Counter()
    for key, leg in legs.items():
        chain[key[:4]] += leg.shares
    assert len(chain) > 5
    assert len(recorder.messages) > len(legs)
    assert all(truth[key] == shares for key, shares in chain.items())
    assert recorder.kept == []
    assert recorder.counts["watcher_reconnects"] >= 1

    feed = DataApi(client(venue, "data_api", recorder), page_rows=7)
    api: dict[TradeKey, int] = {}
    for wallet in venue["leaders"]:
        poll = _until_complete(feed, str(wallet))
        assert poll.refused == ()
        for e in api_evidence(poll.events):
            shares = sum(row.shares * row.count for row in e.rows)
            api[(str(wallet), e.tx_hash, e.token_id, e.side)] = shares
    assert api == truth
    assert recorder.counts["data_api_errors"] > 0


def _until_complete(feed: DataApi, wallet: str) -> object:
    for _ in range(10):
        try:
            return feed.poll(wallet, 1)
        except Retryable:
            continue
    raise AssertionError("no poll came through")
