"""Frames a node sends, and stand-ins for what the watcher hands its findings to."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from chalicelib.domain.errors import Retryable
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.exchange_log import LIVE_EXCHANGES, TOPIC_V2
from chalicelib.domain.registry import Heartbeat
from chalicelib.watcher.subscriptions import TOPIC_UPGRADED

WALLET = "0x" + "11" * 20
OTHER = "0x" + "22" * 20
BLOCK = "0x" + "b1" * 32
TX = "0x" + "71" * 32
_PAD = "0x" + "0" * 24


def word(number: int) -> str:
    return f"{number:064x}"


def fill_log(wallet: str = WALLET, *, log_index: int = 3, **changes: object) -> dict[str, object]:
    """A taker BUY of 100 shares at 0.60 with a fee, as a node sends it."""
    log: dict[str, object] = {
        "address": LIVE_EXCHANGES[0],
        "topics": [
            TOPIC_V2,
            "0x" + "0d" * 32,
            _PAD + wallet[2:],
            _PAD + LIVE_EXCHANGES[0][2:],
        ],
        "data": "0x" + "".join(word(n) for n in (0, 777, 60_000_000, 100_000_000, 960_000, 0, 0)),
        "blockNumber": "0x10",
        "transactionHash": TX,
        "transactionIndex": "0x1",
        "blockHash": BLOCK,
        "blockTimestamp": "0x6a772e03",
        "logIndex": hex(log_index),
        "removed": False,
    }
    return {k: v for k, v in (log | changes).items() if v is not None}


def notification(result: object, subscription: str = "0xs") -> str:
    params = {"subscription": subscription, "result": result}
    return json.dumps({"jsonrpc": "2.0", "method": "eth_subscription", "params": params})


def block_hash(number: int, branch: str = "a") -> str:
    return f"0x{ord(branch):02x}{number:062x}"


PARENT = block_hash(15)


def head(
    number: int = 16,
    block_hash: str = BLOCK,
    timestamp: int = 0x6A772E03,
    parent: str | None = PARENT,
) -> str:
    return notification(
        {
            "number": hex(number),
            "hash": block_hash,
            "parentHash": parent,
            "timestamp": hex(timestamp),
        }
    )


def chain_head(number: int, branch: str = "a", parent_branch: str = "a") -> str:
    """The head of a chain with one block per second."""
    parent = block_hash(number - 1, parent_branch)
    return head(number, block_hash(number, branch), 0x6A772E03 + number, parent)


def log_in(number: int, branch: str = "a", **changes: object) -> dict[str, object]:
    """A fill in a block of that chain."""
    place: dict[str, object] = {
        "blockNumber": hex(number),
        "blockHash": block_hash(number, branch),
        "blockTimestamp": hex(0x6A772E03 + number),
    }
    return fill_log(**(place | changes))


def upgrade_log(exchange: str, implementation: str, **changes: object) -> dict[str, object]:
    topics = [TOPIC_UPGRADED, _PAD + implementation[2:]]
    return fill_log(**({"address": exchange, "topics": topics, "data": "0x"} | changes))


def confirmation(request: str, subscription: str | None = None) -> str:
    asked = json.loads(request)
    return json.dumps(
        {"jsonrpc": "2.0", "id": asked["id"], "result": subscription or f"0xsub{asked['id']}"}
    )


def kind_of(request: str) -> str:
    """What a subscribe request asks for: heads, fills or upgrades."""
    asked = json.loads(request)
    if asked["method"] != "eth_subscribe":
        return "end"
    if asked["params"] == ["newHeads"]:
        return "heads"
    topics = asked["params"][1]["topics"]
    return "upgrades" if topics == [TOPIC_UPGRADED] else "fills"


def makers_of(request: str) -> list[str]:
    """Wallets a subscription to fills asks for."""
    kind, query = json.loads(request)["params"]
    assert kind == "logs"
    assert query["address"]
    return ["0x" + topic[26:] for topic in query["topics"][2]]


@dataclass
class Recorder:
    """Queue, metrics, clock, heartbeat and quarantine in one; safe to call from threads."""

    failures: int = 0
    messages: list[FillMessage] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    beats: list[Heartbeat] = field(default_factory=list)
    kept: list[tuple[str, str]] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def send(self, messages: Sequence[FillMessage]) -> None:
        with self.lock:
            if self.failures:
                self.failures -= 1
                raise Retryable("the queue is busy")
            self.messages.extend(messages)

    def prepare(self, message: FillMessage) -> FillMessage:
        return message

    def send_prepared(self, prepared: Sequence[FillMessage]) -> None:
        self.send(prepared)

    def count(self, name: str, value: int = 1) -> None:
        with self.lock:
            self.counts[name] = self.counts.get(name, 0) + value

    def beat(self, heartbeat: Heartbeat) -> None:
        self.beats.append(heartbeat)

    def keep(self, payload: str, error: str) -> None:
        self.kept.append((payload, error))

    def now_ms(self) -> int:
        return time.time_ns() // 1_000_000
