"""The feed's protocol, without a socket."""

import json
from pathlib import Path

import pytest
from feed_fakes import (
    BLOCK,
    OTHER,
    TX,
    WALLET,
    block_hash,
    confirmation,
    fill_log,
    head,
    kind_of,
    makers_of,
    notification,
)
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.exchange_log import LIVE_EXCHANGES, TOPIC_V2
from chalicelib.domain.trade import ChainLeg
from chalicelib.watcher.block_times import PARKED_MAX, PARKED_MS_MAX
from chalicelib.watcher.head_lag import BEHIND_AGAIN_MS
from chalicelib.watcher.outputs import (
    Counted,
    Evidence,
    GapClosed,
    NeedBlock,
    Output,
    Reconnect,
    Refused,
    Send,
)
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.subscriptions import (
    CONFIRM_MS_MAX,
    TOPIC_UPGRADED,
    Subscriptions,
    plan_shards,
)

SAMPLES = Path(__file__).parents[2].parent / "shared" / "venue" / "samples" / "chain"
TS_BLOCK = 0x6A772E03 * 1000


def connected(leaders: dict[str, str] | None = None, now_ms: int = 0) -> PolygonSession:
    """A session that listens and has closed the gap of its start."""
    session = PolygonSession({WALLET: "lead"} if leaders is None else leaders)
    for request in session.connected(now_ms):
        assert session.receive(confirmation(request), now_ms) == []
    outputs = session.receive(head(1, block_hash(1), parent=None), now_ms)
    assert [type(output) for output in outputs] == [Counted, GapClosed]
    return session


def evidence(outputs: list[Output]) -> list[Evidence]:
    return [output for output in outputs if isinstance(output, Evidence)]


def wallets(count: int) -> list[str]:
    return [f"0x{n:040x}" for n in range(1, count + 1)]


def test_the_first_frames_subscribe_heads_and_the_makers_only() -> None:
    frames = [json.loads(f) for f in PolygonSession({WALLET: "lead"}).connected(0)]
    assert [f["method"] for f in frames] == ["eth_subscribe"] * 3
    assert frames[0]["params"] == ["newHeads"]
    assert frames[1]["params"] == [
        "logs",
        {
            "address": list(LIVE_EXCHANGES),
            "topics": [TOPIC_V2, None, ["0x" + "0" * 24 + WALLET[2:]]],
        },
    ]
    assert frames[2]["params"] == [
        "logs",
        {"address": list(LIVE_EXCHANGES), "topics": [TOPIC_UPGRADED]},
    ]


def test_nobody_to_follow_means_no_log_subscription_at_all() -> None:
    assert len(PolygonSession({}).connected(0)) == 1


def test_many_wallets_are_sharded() -> None:
    frames = PolygonSession(dict.fromkeys(wallets(1_201), "lead")).connected(0)
    shards = [makers_of(frame) for frame in frames if kind_of(frame) == "fills"]
    assert [len(shard) for shard in shards] == [500, 500, 201]
    assert sorted(wallet for shard in shards for wallet in shard) == wallets(1_201)


def test_a_log_becomes_evidence() -> None:
    (output,) = connected().receive(notification(fill_log()), 42)
    leg = ChainLeg(
        BLOCK, 16, 3, TS_BLOCK, 100_000_000, 60_000_000, 960_000, "collateral", "taker",
        "0x" + "0d" * 32,
    )  # fmt: skip
    seen = ChainEvidence(TX, "777", "BUY", leg, json.dumps(fill_log(), separators=(",", ":")))
    assert output == Evidence(FillMessage("lead", WALLET, 42, False, (seen,)))


def test_a_removed_log_says_so_and_repetitions_pass() -> None:
    session = connected()
    for _ in range(2):
        outputs = session.receive(notification(fill_log(removed=True)), 42)
        assert outputs[0] == Counted("watcher_reorged_logs")
        (found,) = evidence(outputs)
        assert found.message.chain[0].leg.removed


def test_logs_of_nobody_we_follow_are_ignored() -> None:
    assert connected().receive(notification(fill_log(OTHER)), 1) == []
    assert connected().receive(notification(fill_log(topics=["0x" + "00" * 32])), 1) == []


def test_a_notification_may_overtake_its_confirmation() -> None:
    session = PolygonSession({WALLET: "lead"})
    session.connected(0)
    assert len(session.receive(notification(fill_log()), 1)) == 1


@pytest.mark.parametrize("name", ["transactionHash", "blockHash", "blockNumber", "logIndex"])
@pytest.mark.parametrize("timed", [True, False])
def test_a_log_without_a_block_field_is_refused_by_name(name: str, timed: bool) -> None:
    changes: dict[str, object] = {name: None}
    if not timed:
        changes["blockTimestamp"] = None
    (output,) = connected().receive(notification(fill_log(**changes)), 1)
    assert isinstance(output, Refused)
    assert output.error.startswith(name)
    assert json.loads(output.payload)["data"] == fill_log()["data"]


def test_a_malformed_log_is_refused_and_the_next_one_is_not() -> None:
    session = connected()
    (refused,) = session.receive(notification(fill_log(data="0x12")), 1)
    assert isinstance(refused, Refused)
    assert refused.error.startswith("data")
    assert len(session.receive(notification(fill_log()), 1)) == 1


def test_a_head_gives_the_time_of_logs_before_and_after_it() -> None:
    session = connected()
    log = notification(fill_log(blockTimestamp=None))
    assert session.receive(log, 10) == []
    (parked,) = session.receive(head(), 20)
    (direct,) = session.receive(log, 30)
    assert isinstance(parked, Evidence)
    assert isinstance(direct, Evidence)
    assert parked.message.chain[0].leg.ts_block == TS_BLOCK
    assert (parked.message.ts_seen, direct.message.ts_seen) == (10, 30)
    assert session.tick(5_000) == []


def test_an_unknown_block_is_looked_up_until_it_is_known() -> None:
    session = connected()
    for log_index in (3, 4):
        log = fill_log(blockTimestamp=None, log_index=log_index)
        assert session.receive(notification(log), 10) == []
    session.receive(head(15, "0x" + "aa" * 32), 20)
    assert session.tick(100) == []
    assert session.tick(300) == [NeedBlock(BLOCK)]
    assert session.tick(400) == []
    assert session.tick(2_400) == [NeedBlock(BLOCK)]
    outputs = session.block_known(BLOCK, 5_000)
    assert [o.message.chain[0].leg.log_index for o in outputs if isinstance(o, Evidence)] == [3, 4]
    assert session.tick(9_000) == []


def test_waiting_for_a_block_time_ends() -> None:
    session = connected()
    session.receive(notification(fill_log(blockTimestamp=None)), 0)
    session.disconnected("gone")
    outputs = session.tick(PARKED_MS_MAX + 1)
    assert isinstance(outputs[-1], Refused)
    assert "blockTimestamp" in outputs[-1].error
    assert session.block_known(BLOCK, 5) == []


def test_parked_logs_are_bounded_and_survive_a_reconnect() -> None:
    session = connected()
    log = notification(fill_log(blockTimestamp=None))
    for _ in range(PARKED_MAX):
        assert session.receive(log, 0) == []
    (refused,) = session.receive(log, 0)
    assert isinstance(refused, Refused)
    session.disconnected("gone")
    session.connected(100)
    assert len(session.receive(head(), 200)) == PARKED_MAX


def test_an_unfollowed_wallets_parked_log_is_dropped() -> None:
    session = connected()
    session.receive(notification(fill_log(blockTimestamp=None)), 0)
    session.set_wallets({}, 1)
    assert session.receive(head(), 2) == []


def test_silence_ends_the_socket_once() -> None:
    session = connected(now_ms=1_000)
    session.receive(head(), 2_000)
    assert session.tick(12_000) == []
    assert session.health(12_000).up
    assert session.tick(12_001) == [Counted("watcher_stalls"), Reconnect("no head for 10 s")]
    assert session.tick(12_002) == []
    assert not session.health(12_002).up
    session.connected(13_000)
    assert session.tick(22_000) == []


def test_logs_alone_do_not_prove_life() -> None:
    session = connected(now_ms=0)
    session.receive(notification(fill_log()), 9_000)
    assert isinstance(session.tick(10_001)[-1], Reconnect)


def test_a_subscription_must_be_confirmed_and_may_be_refused() -> None:
    session = PolygonSession({WALLET: "lead"})
    _, logs, _ = session.connected(0)
    session.receive(head(), CONFIRM_MS_MAX)
    assert session.tick(CONFIRM_MS_MAX) == []
    assert session.tick(CONFIRM_MS_MAX + 1) == [Reconnect("a subscription was not confirmed")]
    error = {"id": json.loads(logs)["id"], "error": {"code": -32005, "message": "too many"}}
    (output,) = session.receive(json.dumps(error), 5)
    assert isinstance(output, Reconnect)
    assert "too many" in output.reason


def test_a_socket_twice_behind_another_endpoint_is_replaced() -> None:
    session = PolygonSession({WALLET: "lead"})
    assert session.head_elsewhere(100, 0) == []
    session = connected()
    session.receive(head(16), 1)
    assert session.head_elsewhere(19, 1) == []
    assert not session.behind
    assert session.head_elsewhere(20, 2) == []
    assert session.behind
    assert session.health(2).up
    assert session.head_elsewhere(21, 3) == [Reconnect("5 blocks behind another endpoint")]


def test_an_endpoint_that_lags_proves_nothing() -> None:
    session = connected()
    session.receive(head(1_000), 1)
    for number in (900, 0, 999):
        assert session.head_elsewhere(number, 2) == []
        assert not session.behind
    # One late answer between good ones is no proof either.
    assert session.head_elsewhere(1_010, 3) == []
    assert session.head_elsewhere(1_003, 4) == []
    assert session.head_elsewhere(1_010, 5) == []
    assert session.health(6).up


def test_an_endpoint_that_contradicts_every_socket_is_not_believed_for_ever() -> None:
    session = connected()
    session.receive(head(16), 1)
    session.head_elsewhere(10**9, 2)
    (replaced,) = session.head_elsewhere(10**9, 3)
    assert isinstance(replaced, Reconnect)
    for request in session.connected(4):
        session.receive(confirmation(request), 4)
    session.receive(head(17), 5)
    assert session.head_elsewhere(10**9, 6) == []
    assert session.head_elsewhere(10**9, 7) == [Counted("watcher_heads_disagree")]
    assert "behind another endpoint" in session.health(8).detail
    assert isinstance(session.head_elsewhere(10**9, 3 + BEHIND_AGAIN_MS)[0], Reconnect)


def test_health_tells_the_story() -> None:
    session = PolygonSession({WALLET: "lead"})
    assert session.health(0).detail == "not connected yet"
    requests = session.connected(5)
    assert session.health(5).detail == "subscribing"
    for request in requests:
        session.receive(confirmation(request), 6)
    assert session.health(6).detail == "waiting for a head"
    session.receive(head(), 7)
    session.receive(notification(fill_log()), 8)
    health = session.health(9)
    assert (health.up, health.detail) == (True, "listening for 1 wallets")
    assert (health.ts_connected, health.ts_last_event) == (5, 8)
    assert (health.last_block, health.ts_last_block) == (16, TS_BLOCK)
    session.disconnected("ConnectionClosedError")
    assert session.health(10).detail == "ConnectionClosedError"


def test_a_new_filter_is_confirmed_before_the_old_one_ends() -> None:
    session = PolygonSession({WALLET: "lead"})
    heads, logs, upgrades = session.connected(0)
    session.receive(confirmation(heads), 0)
    session.receive(confirmation(upgrades), 0)
    session.receive(confirmation(logs, "0xold"), 0)
    counted, subscribe = session.set_wallets({WALLET: "lead", OTHER: "two"}, 10)
    assert counted == Counted("watcher_resubscriptions")
    assert isinstance(subscribe, Send)
    assert sorted(makers_of(subscribe.text)) == [WALLET, OTHER]
    assert len(session.receive(notification(fill_log(OTHER)), 11)) == 1
    (unsubscribe,) = session.receive(confirmation(subscribe.text, "0xnew"), 12)
    assert isinstance(unsubscribe, Send)
    asked = json.loads(unsubscribe.text)
    assert (asked["method"], asked["params"]) == ("eth_unsubscribe", ["0xold"])
    assert session.receive(json.dumps({"id": asked["id"], "result": True}), 13) == []


def test_the_last_wallet_leaves_without_a_new_filter() -> None:
    session = connected()
    outputs = session.set_wallets({}, 1)
    assert len(outputs) == 2
    for output in outputs:
        assert isinstance(output, Send)
        assert kind_of(output.text) == "end"


def test_only_the_leader_of_a_wallet_changes() -> None:
    session = connected()
    assert session.set_wallets({WALLET: "other leader"}, 1) == []
    (output,) = session.receive(notification(fill_log()), 2)
    assert isinstance(output, Evidence)
    assert output.message.leader == "other leader"


def test_changes_while_disconnected_are_in_the_first_frames() -> None:
    session = PolygonSession({WALLET: "lead"})
    assert session.set_wallets({OTHER: "two"}, 1) == []
    assert makers_of(session.connected(2)[1]) == [OTHER]


def test_a_change_touches_only_its_shard() -> None:
    many = wallets(1_000)
    session = connected(dict.fromkeys(many, "lead"))
    outputs = session.set_wallets(dict.fromkeys([*many[:-1], WALLET], "lead"), 1)
    (output,) = [output for output in outputs if isinstance(output, Send)]
    assert WALLET in makers_of(output.text)


@given(
    steps=st.lists(
        st.one_of(
            st.frozensets(st.sampled_from(wallets(9))),
            st.just("confirm"),
            st.just("reopen"),
        ),
        max_size=25,
    )
)
def test_every_wallet_stays_covered_through_any_changes(steps: list[object]) -> None:
    """A wallet in the wish before and after a step is in a live filter throughout."""
    subscriptions = Subscriptions(shard_wallets_max=3)
    asked: dict[int, list[str]] = {}
    others: list[int] = []
    live: dict[str, list[str]] = {}
    wish: frozenset[str] = frozenset()

    def obey(frames: list[str]) -> None:
        for text in frames:
            request = json.loads(text)
            if request["method"] == "eth_unsubscribe":
                live.pop(request["params"][0], None)
            elif kind_of(text) == "fills":
                asked[request["id"]] = makers_of(text)
                assert 0 < len(asked[request["id"]]) <= 3
            else:
                others.append(request["id"])

    def confirm_all() -> None:
        while asked:
            request_id = next(iter(asked))
            live[f"0x{request_id}"] = asked.pop(request_id)
            obey(subscriptions.answered(request_id, f"0x{request_id}", 0))
        while others:
            request_id = others.pop()
            obey(subscriptions.answered(request_id, f"0x{request_id}", 0))

    def covered() -> set[str]:
        return {wallet for makers in live.values() for wallet in makers}

    obey(subscriptions.open(0))
    for step in steps:
        before = covered()
        if step == "confirm":
            confirm_all()
            assert covered() == wish
        elif step == "reopen":
            asked.clear()
            others.clear()
            live.clear()
            obey(subscriptions.open(0))
            confirm_all()
            assert covered() == wish
        else:
            assert isinstance(step, frozenset)
            obey(subscriptions.change(step, 0))
            assert before & wish & step <= covered()
            wish = step
    confirm_all()
    assert covered() == wish
    assert len(live) == len(plan_shards([frozenset(m) for m in live.values()], wish, 3))


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the recorded logs are not beside this checkout")
def test_recorded_logs_of_every_generation() -> None:
    """Each wallet's own logs become its evidence, whatever else is in the transaction."""
    expected = json.loads((SAMPLES / "decoded.json").read_text())
    seen = 0
    for path in sorted(SAMPLES.glob("v*.json")):
        logs = json.loads(path.read_text())
        for fill in (row for row in expected[path.name] if "wallet" in row):
            session = connected({fill["wallet"]: "lead"})
            # Some sources leave block fields out; the session's rule on those has its own test.
            outputs = [
                output
                for log in logs
                for output in session.receive(notification(fill_log() | log), 1)
            ]
            (output,) = outputs
            assert isinstance(output, Evidence)
            (evidence,) = output.message.chain
            assert evidence.leg.role.upper() == fill["role"]
            assert evidence.side == fill["side"]
            seen += 1
    assert seen >= 6


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


@given(name=st.sampled_from(sorted(fill_log())), value=JSON)
def test_no_log_makes_the_session_raise(name: str, value: object) -> None:
    for output in connected().receive(notification(fill_log() | {name: value}), 1):
        assert isinstance(output, Evidence | Refused | Counted)


@given(frame=st.text(max_size=40) | st.binary(max_size=40) | JSON.map(json.dumps))
def test_no_frame_makes_the_session_raise(frame: str | bytes) -> None:
    connected().receive(frame, 1)


@given(result=JSON, number=JSON)
def test_no_notification_makes_the_session_raise(result: object, number: object) -> None:
    connected().receive(notification(result), 1)
    connected().receive(notification({"number": number, "hash": BLOCK, "timestamp": number}), 1)
    connected().receive(json.dumps({"id": number, "result": result}), 1)
