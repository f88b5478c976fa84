"""The Polygon log feed as a state machine: frames and the time in, outputs out, no I/O.

One socket carries heads and the fills of every followed wallet. Only logs with the wallet in the
maker topic are asked for: logs with it in the taker topic are the counterparties' orders.
Repetitions pass through, because ingestion counts a log once by (block hash, log index).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.exchange_log import LeaderFill, decode_order_filled, quantity
from chalicelib.domain.identifiers import hash32
from chalicelib.domain.trade import ChainLeg
from chalicelib.watcher.block_times import BlockTimes
from chalicelib.watcher.outputs import (
    Evidence,
    Health,
    NeedBlock,
    Output,
    Reconnect,
    Refused,
    Send,
)
from chalicelib.watcher.subscriptions import SHARD_WALLETS_MAX, Subscriptions

HEAD_SILENCE_MS_MAX = 10_000
HEAD_LAG_BLOCKS_MAX = 3
PAYLOAD_CHARS_MAX = 20_000


def _payload(raw: object) -> str:
    return json.dumps(raw, default=str)[:PAYLOAD_CHARS_MAX]


def evidence_of(fill: LeaderFill, leader: str, now_ms: int) -> FillMessage:
    """The message about one log. Raises InvalidInput naming a block field that is missing."""
    required = {
        "transactionHash": fill.tx_hash,
        "blockHash": fill.block_hash,
        "blockNumber": fill.block_number,
        "logIndex": fill.log_index,
        "blockTimestamp": fill.ts_block,
    }
    for name, value in required.items():
        if value is None:
            raise InvalidInput(name, "a mined log must state it")
    leg = ChainLeg(
        block_hash=str(fill.block_hash),
        block_number=fill.block_number or 0,
        log_index=fill.log_index or 0,
        ts_block=fill.ts_block or 0,
        shares=fill.shares,
        cash=fill.cash,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        role=fill.role,
        order_hash=fill.order_hash,
        removed=fill.removed,
    )
    seen = ChainEvidence(str(fill.tx_hash), fill.token_id, fill.side, leg)
    return FillMessage(leader=leader, wallet=fill.wallet, ts_seen=now_ms, chain=(seen,))


class PolygonSession:
    """The feed of the wallets in `leaders` (wallet → leader), over any number of sockets.

    The shell calls `connected` for every new socket, `receive` for every frame, `tick` at least
    once a second, and obeys the outputs. Nothing here raises for what a node sends.
    """

    def __init__(
        self, leaders: Mapping[str, str], *, shard_wallets_max: int = SHARD_WALLETS_MAX
    ) -> None:
        self._leaders = dict(leaders)
        self._subscriptions = Subscriptions(shard_wallets_max)
        self._subscriptions.plan(self._leaders)
        self._blocks = BlockTimes()
        self._open = False
        self._ts_connected = 0
        self._ts_head = 0
        self._ts_last_event = 0
        self._last_block = 0
        self._ts_last_block = 0
        self._trouble = "not connected yet"

    def connected(self, now_ms: int) -> list[str]:
        """A new socket is open; the frames to send first."""
        self._open = True
        self._ts_connected = now_ms
        self._ts_head = 0
        self._trouble = ""
        return self._subscriptions.open(self._leaders, now_ms)

    def disconnected(self, reason: str) -> None:
        """The socket is gone; logs that wait for a block time keep waiting."""
        self._open = False
        self._trouble = self._trouble or reason

    def set_wallets(self, leaders: Mapping[str, str], now_ms: int) -> list[Output]:
        """Follow exactly these wallets from now on, without a gap for those that stay."""
        changed = leaders.keys() != self._leaders.keys()
        self._leaders = dict(leaders)
        if not changed:
            return []
        if not self._open:
            self._subscriptions.plan(self._leaders)
            return []
        return [Send(text) for text in self._subscriptions.change(self._leaders, now_ms)]

    def receive(self, frame: str | bytes, now_ms: int) -> list[Output]:
        """What one frame of the node leads to."""
        try:
            message = json.loads(frame)
        except (ValueError, RecursionError):
            text = frame if isinstance(frame, str) else frame.decode(errors="replace")
            return [Refused(text[:PAYLOAD_CHARS_MAX], "the frame is not JSON")]
        if not isinstance(message, dict):
            return [Refused(_payload(message), "the frame is not an object")]
        if message.get("method") == "eth_subscription":
            return self._notified(message, now_ms)
        return self._answered(message)

    def _answered(self, message: Mapping[str, object]) -> list[Output]:
        request_id = message.get("id")
        if not self._subscriptions.is_subscribe(request_id) or not isinstance(request_id, int):
            return []
        result = message.get("result")
        if isinstance(result, str):
            return [Send(text) for text in self._subscriptions.answered(request_id, result)]
        return self._give_up(f"a subscription was refused: {_payload(message.get('error'))[:200]}")

    def _notified(self, message: Mapping[str, object], now_ms: int) -> list[Output]:
        """Told apart by shape: a notification may overtake the answer that names its id."""
        params = message.get("params")
        result = params.get("result") if isinstance(params, dict) else None
        if not isinstance(result, dict):
            return [Refused(_payload(message), "params.result: an object was expected")]
        try:
            if "topics" in result:
                return self._log(result, now_ms)
            if "parentHash" in result or "number" in result:
                return self._head(result, now_ms)
        except InvalidInput as error:
            return [Refused(_payload(result), str(error))]
        return [Refused(_payload(result), "params.result: neither a log nor a head")]

    def _head(self, head: Mapping[str, object], now_ms: int) -> list[Output]:
        number = quantity(head.get("number"), "number")
        block_hash = hash32(head.get("hash"), "hash")
        ts_block = quantity(head.get("timestamp"), "timestamp") * 1000
        self._ts_head = now_ms
        # The newest head counts, also when a reorganisation makes it lower.
        self._last_block, self._ts_last_block = number, ts_block
        return self.block_known(block_hash, ts_block)

    def _log(self, log: Mapping[str, object], now_ms: int) -> list[Output]:
        fill = decode_order_filled(log, self._leaders)
        if fill is None:
            return []
        self._ts_last_event = now_ms
        if fill.ts_block is None and fill.block_hash is not None:
            ts_block = self._blocks.get(fill.block_hash)
            if ts_block is None:
                # Complain about the other fields before the wait, not after it.
                evidence_of(replace(fill, ts_block=now_ms), "", now_ms)
                if self._blocks.park(fill.block_hash, fill, now_ms):
                    return []
                raise InvalidInput("blockTimestamp", "is missing, and too many logs wait for it")
            fill = replace(fill, ts_block=ts_block)
        return self._evidence(fill, now_ms)

    def _evidence(self, fill: LeaderFill, ts_seen: int) -> list[Output]:
        leader = self._leaders.get(fill.wallet)
        # Unfollowed while its log waited for a block time.
        return [] if leader is None else [Evidence(evidence_of(fill, leader, ts_seen))]

    def block_known(self, block_hash: str, ts_block: int) -> list[Output]:
        """A block's time (milliseconds) was looked up or announced.

        The evidence that waited for it keeps the moment at which it was seen.
        """
        fills = self._blocks.learn(block_hash, ts_block)
        return [output for fill, seen in fills for output in self._evidence(fill, seen)]

    def head_elsewhere(self, number: int) -> list[Output]:
        """Another endpoint's head: a socket that lies behind it is replaced."""
        if not self._open or self._last_block == 0:
            return []
        if number - self._last_block <= HEAD_LAG_BLOCKS_MAX:
            return []
        return self._give_up(f"{number - self._last_block} blocks behind another endpoint")

    def tick(self, now_ms: int) -> list[Output]:
        """What became due: look-ups, waits that ended, a silent socket."""
        outputs: list[Output] = [NeedBlock(block_hash) for block_hash in self._blocks.due(now_ms)]
        outputs += [
            Refused(_payload(asdict(fill)), "blockTimestamp: the block's time cannot be found")
            for fill in self._blocks.expired(now_ms)
        ]
        if not self._open:
            return outputs
        heard = max(self._ts_head, self._ts_connected)
        if now_ms - heard > HEAD_SILENCE_MS_MAX:
            return outputs + self._give_up(f"no head for {(now_ms - heard) // 1000} s")
        if self._subscriptions.overdue(now_ms):
            return outputs + self._give_up("a subscription was not confirmed")
        return outputs

    def _give_up(self, reason: str) -> list[Output]:
        self._open = False
        self._trouble = reason
        return [Reconnect(reason)]

    def health(self, now_ms: int) -> Health:
        """Up: connected, everything subscribed and a head at most 10 s old."""
        detail = self._trouble
        if not detail and not self._subscriptions.confirmed:
            detail = "subscribing"
        if not detail and (self._ts_head == 0 or now_ms - self._ts_head > HEAD_SILENCE_MS_MAX):
            detail = "waiting for a head"
        return Health(
            up=detail == "",
            detail=detail or f"listening for {len(self._leaders)} wallets",
            ts_connected=self._ts_connected,
            ts_last_event=self._ts_last_event,
            last_block=self._last_block,
            ts_last_block=self._ts_last_block,
        )
