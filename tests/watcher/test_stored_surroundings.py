"""The watcher's surroundings on a real store: what it reads, and what it asks for."""

from __future__ import annotations

import pytest
from feed_fakes import OTHER, TX, WALLET, Recorder

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.polygon.rpc import PolygonRpc
from chalicelib.domain.exchange_log import LIVE_EXCHANGES, TOPIC_V2
from chalicelib.domain.registry import CatchUp, Check, Heartbeat, Leader
from chalicelib.domain.rules import CopyRules, SystemRules, TriggerMode
from chalicelib.domain.trade import ChainLeg, QuestionKind, Trade, fold_leg, new_trade
from chalicelib.ports import Put
from chalicelib.services.heartbeats import beat
from chalicelib.services.recent_legs import PAGE, PAGES_MAX, recent_legs
from chalicelib.watcher.gaps import BACK_MS_MAX, Proof
from chalicelib.watcher.outputs import GapClosed
from chalicelib.watcher.surroundings import Surroundings
from chalicelib.watcher.wiring import followed_wallets, last_proof, stored_surroundings

NOW = 1_795_000_000_000
DAY_MS = 86_400_000


class FixedRules:
    def __init__(self, mode: TriggerMode = "both") -> None:
        self.mode: TriggerMode = mode

    def rules_for(self, leader: str) -> CopyRules:
        return CopyRules()

    def system(self) -> SystemRules:
        return SystemRules(trigger_mode=self.mode)


class Kept:
    def __init__(self) -> None:
        self.rows: list[tuple[str, str, str]] = []

    def keep(self, source: str, payload: str, error: str) -> None:
        self.rows.append((source, payload, error))


class FixedClock:
    def now_ms(self) -> int:
        return NOW

    def pause_ms(self, milliseconds: int) -> None:
        return


def surroundings(store: MemoryStore, rpc: PolygonRpc | None = None) -> Surroundings:
    recorder = Recorder()
    return stored_surroundings(
        store, recorder, FixedClock(), recorder, Kept(), FixedRules(), recorder.beat, rpc
    )


def follow(store: MemoryStore, leader: Leader) -> None:
    store.commit([Put(leader)])


ONE = Leader(WALLET, "one", (WALLET, "0x" + "12" * 20), "on", NOW - 60_000)
TWO = Leader(OTHER, "two", (OTHER,), "sell_only", NOW - 2 * BACK_MS_MAX)
OFF = Leader("0x" + "33" * 20, "off", ("0x" + "33" * 20,), "off", NOW)


def catch_ups(store: MemoryStore) -> dict[str, CatchUp]:
    return {row.leader: row for row in store.query(CatchUp, "registry", "catch_ups")}


def three_leaders() -> MemoryStore:
    store = MemoryStore()
    for leader in (ONE, TWO, OFF):
        follow(store, leader)
    return store


def test_every_wallet_of_everybody_who_is_not_off_is_listened_for() -> None:
    store = three_leaders()
    assert followed_wallets(store, FixedRules()) == {
        WALLET: WALLET,
        "0x" + "12" * 20: WALLET,
        OTHER: OTHER,
    }


def test_nobody_is_listened_for_while_the_api_alone_triggers() -> None:
    assert followed_wallets(three_leaders(), FixedRules("api")) == {}


def test_a_gap_asks_once_per_leader() -> None:
    store = three_leaders()
    around = surroundings(store)
    gap = GapClosed(NOW - 300_000, NOW, "gone")
    assert around.request_catch_up(gap) == 2
    assert around.request_catch_up(gap) == 0
    rows = catch_ups(store)
    assert rows.keys() == {WALLET, OTHER}
    assert (rows[OTHER].ts_from, rows[OTHER].ts_until) == (NOW - 300_000, NOW)
    assert rows[OTHER].reason == "gone"


def test_a_gap_of_some_leaders_asks_for_those() -> None:
    store = three_leaders()
    gap = GapClosed(NOW - 1, NOW, "stalled subscription", frozenset({OTHER}))
    assert surroundings(store).request_catch_up(gap) == 1
    assert catch_ups(store).keys() == {OTHER}


def test_a_new_leader_is_read_since_he_is_followed_but_a_day_back_at_most() -> None:
    store = three_leaders()
    gap = GapClosed(None, NOW, "followed", frozenset({WALLET, OTHER, OFF.leader}))
    assert surroundings(store).request_catch_up(gap) == 2
    rows = catch_ups(store)
    assert rows[WALLET].ts_from == ONE.followed_from
    assert rows[OTHER].ts_from == NOW - BACK_MS_MAX


def test_a_leader_followed_after_the_block_time_of_the_head_is_no_error() -> None:
    store = MemoryStore()
    follow(store, ONE)
    gap = GapClosed(None, ONE.followed_from - 1_500, "followed", frozenset({WALLET}))
    assert surroundings(store).request_catch_up(gap) == 1
    assert catch_ups(store)[WALLET].ts_from == ONE.followed_from


def test_the_last_proof_is_the_last_heartbeats() -> None:
    store = MemoryStore()
    assert last_proof(store) == Proof()
    beat(store, Heartbeat("watcher", NOW, True, last_block=77, ts_last_block=NOW - 5))
    assert last_proof(store) == Proof(77, NOW - 5)


@pytest.mark.parametrize(
    ("reason", "found"), [("api_only", 1), ("disagreement", 0), ("removed", 0)]
)
def test_only_trades_that_the_api_alone_knows_accuse_the_feed(
    reason: QuestionKind, found: int
) -> None:
    store = MemoryStore()
    check = Check("t", WALLET, WALLET, TX, "1", "BUY", reason, NOW, NOW, NOW + 20_000)
    store.commit([Put(check)])
    assert len(surroundings(store).api_first()) == found


def leg(number: int, *, removed: bool = False, log_index: int = 1) -> ChainLeg:
    return ChainLeg(
        f"0x{number:064x}", number, log_index, NOW, 5, 3, 0, "collateral", "maker", TX, removed
    )


def trade(number: int, ts_listed: int, *legs: ChainLeg) -> Trade:
    made = new_trade(
        WALLET,
        WALLET,
        f"0x{number:064x}",
        "7",
        "BUY",
        source="chain",
        backfill=False,
        ts_listed=ts_listed,
    )
    for one in legs:
        made = fold_leg(made, one, NOW)
    return made


def blocks(store: MemoryStore, since_ms: int) -> list[int]:
    return [m.chain[0].leg.block_number for m in recent_legs(store, since_ms, NOW)]


def test_recent_legs_are_the_unremoved_ones_since_then_newest_first() -> None:
    store = MemoryStore()
    store.commit(
        [
            Put(trade(1, NOW - 1_000, leg(1), leg(2, removed=True))),
            Put(trade(2, NOW - 500, leg(3), leg(3, log_index=2))),
            Put(trade(3, NOW - 5_000, leg(4))),
            Put(trade(4, NOW - 200)),
        ]
    )
    assert blocks(store, NOW - 2_000) == [3, 3, 1]
    (message,) = [m for m in recent_legs(store, NOW - 2_000, NOW) if m.chain[0].leg == leg(1)]
    assert (message.leader, message.wallet, message.chain[0].tx_hash) == (
        WALLET,
        WALLET,
        f"0x{1:064x}",
    )


def test_recent_legs_reach_over_midnight_and_over_pages_but_not_for_ever() -> None:
    store = MemoryStore()
    midnight = NOW // DAY_MS * DAY_MS
    store.commit([Put(trade(1, midnight - 1, leg(1)))])
    assert blocks(store, midnight - 1_000) == [1]
    for number in range(2, PAGE * PAGES_MAX + 50):
        store.commit([Put(trade(number, NOW - number, leg(number)))])
    assert len(blocks(store, midnight - 1_000)) == PAGE * PAGES_MAX


class FakeHttp:
    def __init__(self) -> None:
        self.asked: list[dict[str, object]] = []

    def get(self, path: str, params: object = ()) -> object:
        raise AssertionError

    def post(self, path: str, body: object) -> object:
        assert isinstance(body, dict)
        self.asked.append(body)
        return {"id": body["id"], "result": []}


def test_ranges_are_asked_for_the_makers_only() -> None:
    http = FakeHttp()
    chain = surroundings(MemoryStore(), PolygonRpc(http)).chain
    assert chain is not None
    assert chain.logs(1, 5, LIVE_EXCHANGES, [WALLET]) == ()
    (query,) = http.asked[0]["params"]  # type: ignore[misc]
    assert query["topics"] == [[TOPIC_V2], None, ["0x" + "0" * 24 + WALLET[2:]]]
    assert query["address"] == list(LIVE_EXCHANGES)


def test_what_it_keeps_comes_back() -> None:
    store = MemoryStore()
    around = surroundings(store)
    around.keep_cursors({LIVE_EXCHANGES[0]: 9})
    assert around.cursors() == {LIVE_EXCHANGES[0]: 9}
    around.upgraded(LIVE_EXCHANGES[2], "0x" + "c0" * 20)
    rows = {row.address: row for row in around.exchanges()}
    assert rows[LIVE_EXCHANGES[2]].implementation == "0x" + "c0" * 20
    assert around.chain is None
