"""The Polygon log feed as a state machine: frames and the time in, outputs out, no I/O.

One socket carries heads and the fills of every followed wallet. Only logs with the wallet in the
maker topic are asked for: logs with it in the taker topic are the counterparties' orders.
Repetitions pass through, because ingestion counts a log once by (block hash, log index).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.exchange_log import LeaderFill, decode_order_filled, quantity
from chalicelib.domain.identifiers import hash32
from chalicelib.domain.registry import Check, ExchangeContract
from chalicelib.watcher.block_times import BlockTimes
from chalicelib.watcher.contracts import Contracts
from chalicelib.watcher.delivered import DeliveredBlocks
from chalicelib.watcher.gaps import Gaps, Proof
from chalicelib.watcher.head_lag import HeadLag
from chalicelib.watcher.messages import PAYLOAD_CHARS_MAX, evidence_of, payload, retracted
from chalicelib.watcher.outputs import (
    Counted,
    Evidence,
    Health,
    NeedBlock,
    NeedCanonical,
    Output,
    Reconnect,
    Refused,
    Send,
)
from chalicelib.watcher.stalls import Stalls
from chalicelib.watcher.subscriptions import SHARD_WALLETS_MAX, Subscriptions
from chalicelib.watcher.wire import compact, parse

HEAD_SILENCE_MS_MAX = 10_000
RAW_CHARS_MAX = 2_000


class PolygonSession:
    """The feed of the wallets in `leaders` (wallet → leader), over any number of sockets.

    The shell calls `connected` for every new socket, `receive` for every frame, `tick` at least
    once a second, and obeys the outputs. Nothing here raises for what a node sends. `before` is
    the last head that an earlier process heard.
    """

    def __init__(
        self,
        leaders: Mapping[str, str],
        *,
        before: Proof | None = None,
        shard_wallets_max: int = SHARD_WALLETS_MAX,
    ) -> None:
        self._leaders = dict(leaders)
        self._contracts = Contracts()
        self._subscriptions = Subscriptions(shard_wallets_max)
        self._subscriptions.plan(self._leaders)
        self._blocks = BlockTimes()
        self._delivered = DeliveredBlocks()
        self._gaps = Gaps(before or Proof())
        self._stalls = Stalls()
        self._seeded = False
        self._open = False
        self._ts_connected = 0
        self._ts_head = 0
        self._ts_last_event = 0
        self._last_block = 0
        self._ts_last_block = 0
        self._lag = HeadLag()
        self._trouble = "not connected yet"

    @property
    def wallets(self) -> tuple[str, ...]:
        """Every followed wallet, in order."""
        return tuple(sorted(self._leaders))

    @property
    def exchanges(self) -> tuple[str, ...]:
        """The exchanges whose logs are listened for."""
        return self._contracts.live

    @property
    def behind(self) -> bool:
        """Whether one comparison found the socket behind; the next one should come soon."""
        return self._open and self._lag.suspected

    def seed(self, messages: Iterable[FillMessage]) -> None:
        """What an earlier process delivered shortly before this one; checked at the first head."""
        for message in messages:
            self._delivered.add(message)
        self._seeded = True

    def connected(self, now_ms: int) -> list[str]:
        """A new socket is open; the frames to send first."""
        self._gaps.connected(now_ms, self._trouble)
        self._stalls.connected()
        self._open = True
        self._ts_connected = now_ms
        self._ts_head = 0
        self._lag.connected()
        self._trouble = ""
        return self._subscriptions.open(now_ms)

    def disconnected(self, reason: str) -> None:
        """The socket is gone; logs that wait for a block time keep waiting."""
        self._open = False
        self._trouble = self._trouble or reason

    def set_wallets(self, leaders: Mapping[str, str], now_ms: int) -> list[Output]:
        """Follow exactly these wallets from now on, without a gap for those that stay."""
        added = leaders.keys() - self._leaders.keys()
        changed = leaders.keys() != self._leaders.keys()
        self._leaders = dict(leaders)
        self._gaps.added(leaders[wallet] for wallet in added)
        return self._resubscribe(now_ms) if changed else []

    def set_exchanges(self, contracts: Sequence[ExchangeContract], now_ms: int) -> list[Output]:
        """Decode these exchanges and listen to the live ones; none at all changes nothing."""
        return self._resubscribe(now_ms) if self._contracts.set(contracts) else []

    def _resubscribe(self, now_ms: int) -> list[Output]:
        if not self._open:
            self._subscriptions.plan(self._leaders, self._contracts.live)
            return []
        frames = self._subscriptions.change(self._leaders, now_ms, self._contracts.live)
        return self._asking(frames)

    @staticmethod
    def _asking(frames: Sequence[str]) -> list[Output]:
        asked = sum('"eth_subscribe"' in text for text in frames)
        counted = [Counted("watcher_resubscriptions", asked)] if asked else []
        return [*counted, *(Send(text) for text in frames)]

    def receive(self, frame: str | bytes, now_ms: int) -> list[Output]:
        """What one frame of the node leads to."""
        try:
            message = parse(frame)
        except ValueError:
            text = frame if isinstance(frame, str) else frame.decode(errors="replace")
            return [Refused(text[:PAYLOAD_CHARS_MAX], "the frame is not JSON")]
        if not isinstance(message, dict):
            return [Refused(payload(message), "the frame is not an object")]
        if message.get("method") == "eth_subscription":
            return self._notified(message, now_ms)
        return self._answered(message, now_ms)

    def receive_log(
        self, log: Mapping[str, object], now_ms: int, *, pushed: bool = True
    ) -> list[Output]:
        """What one log leads to. Logs that were not `pushed` were asked for by range."""
        try:
            if not pushed and self._is_known(log):
                return []
            return self._log(log, now_ms, pushed)
        except InvalidInput as error:
            return [Refused(payload(log), str(error))]

    def _is_known(self, log: Mapping[str, object]) -> bool:
        block_hash = hash32(log.get("blockHash"), "blockHash")
        return self._delivered.has(block_hash, quantity(log.get("logIndex"), "logIndex"))

    def _answered(self, message: Mapping[str, object], now_ms: int) -> list[Output]:
        request_id = message.get("id")
        if not self._subscriptions.is_subscribe(request_id) or not isinstance(request_id, int):
            return []
        result = message.get("result")
        if isinstance(result, str):
            frames = self._subscriptions.answered(request_id, result, now_ms)
            return [Send(text) for text in frames]
        return self._give_up(f"a subscription was refused: {payload(message.get('error'))[:200]}")

    def _notified(self, message: Mapping[str, object], now_ms: int) -> list[Output]:
        """Told apart by shape: a notification may overtake the answer that names its id."""
        params = message.get("params")
        result = params.get("result") if isinstance(params, dict) else None
        if not isinstance(result, dict):
            return [Refused(payload(message), "params.result: an object was expected")]
        try:
            if "topics" in result:
                return self._log(result, now_ms, True)
            if "parentHash" not in result and "number" not in result:
                return [Refused(payload(result), "params.result: neither a log nor a head")]
            return self._head(result, now_ms)
        except InvalidInput as error:
            return [Refused(payload(result), str(error))]

    def _head(self, head: Mapping[str, object], now_ms: int) -> list[Output]:
        number = quantity(head.get("number"), "number")
        block_hash = hash32(head.get("hash"), "hash")
        ts_block = quantity(head.get("timestamp"), "timestamp") * 1000
        parent = head.get("parentHash")
        parent_hash = None if parent is None else hash32(parent, "parentHash")
        self._ts_head = now_ms
        # The newest head counts, also when a reorganisation makes it lower.
        self._last_block, self._ts_last_block = number, ts_block
        outputs = self._removed(self._delivered.head(number, block_hash, parent_hash), now_ms)
        outputs += self.block_known(block_hash, ts_block)
        if self._seeded:
            self._delivered.suspect_all()
            self._seeded = False
        if self._open and self._subscriptions.confirmed:
            closed = self._gaps.proven(Proof(number, ts_block), now_ms)
            if closed:
                outputs += [Counted("watcher_gaps", len(closed)), *closed]
        return outputs

    def _removed(self, gone: Sequence[FillMessage], now_ms: int) -> list[Output]:
        if not gone:
            return []
        outputs: list[Output] = [Counted("watcher_reorged_logs", len(gone))]
        for message in gone:
            leader = self._leaders.get(message.wallet, message.leader)
            outputs.append(Evidence(retracted(message, leader, now_ms)))
        return outputs

    def _log(self, log: Mapping[str, object], now_ms: int, pushed: bool) -> list[Output]:
        fill = decode_order_filled(log, self._leaders, self._contracts.generations)
        if fill is None:
            upgraded = self._contracts.upgrade(log)
            return [Counted("exchange_upgraded"), upgraded] if upgraded else []
        self._ts_last_event = now_ms
        tx_hash = fill.tx_hash or ""
        if pushed:
            self._stalls.seen(tx_hash, fill.wallet, now_ms)
        else:
            self._stalls.expect(tx_hash, fill.wallet, fill.ts_block or 0, now_ms)
        raw = compact(log)
        if len(raw) > RAW_CHARS_MAX:
            raw = ""
        if fill.ts_block is None and fill.block_hash is not None:
            ts_block = self._blocks.get(fill.block_hash)
            if ts_block is None:
                # Complain about the other fields before the wait, not after it.
                evidence_of(replace(fill, ts_block=now_ms), "", now_ms)
                if self._blocks.park(fill.block_hash, fill, raw, now_ms):
                    return []
                raise InvalidInput("blockTimestamp", "is missing, and too many logs wait for it")
            fill = replace(fill, ts_block=ts_block)
        return self._evidence(fill, raw, now_ms)

    def _evidence(self, fill: LeaderFill, raw: str, ts_seen: int) -> list[Output]:
        leader = self._leaders.get(fill.wallet)
        if leader is None:
            # Unfollowed while its log waited for a block time.
            return []
        message = evidence_of(fill, leader, ts_seen, raw)
        self._delivered.add(message)
        if fill.removed:
            return [Counted("watcher_reorged_logs"), Evidence(message)]
        return [Evidence(message)]

    def block_known(self, block_hash: str, ts_block: int) -> list[Output]:
        """A block's time (milliseconds) was looked up or announced.

        The evidence that waited for it keeps the moment at which it was seen.
        """
        return [
            output
            for seen in self._blocks.learn(block_hash, ts_block)
            for output in self._evidence(seen.fill, seen.raw, seen.ts_seen)
        ]

    def explains(self, tx_hash: str) -> bool:
        """Whether a log of this transaction was delivered for any wallet, as far as remembered."""
        return any(self._stalls.knows(tx_hash, wallet) for wallet in self._leaders)

    def canonical(self, number: int, block_hash: str | None, now_ms: int) -> list[Output]:
        """Which block has this number now; None when the node did not say."""
        return self._removed(self._delivered.answered(number, block_hash, now_ms), now_ms)

    def lost(self, message: FillMessage) -> None:
        """The shell could not keep this evidence: the API has to be read for it."""
        ts_block = min(item.leg.ts_block for item in message.chain)
        self._gaps.missed(frozenset({message.leader}), ts_block, "full buffer")

    def api_first(self, checks: Iterable[Check], now_ms: int) -> list[Output]:
        """Trades that only the API knows: those whose log should have come accuse their shard."""
        if not self._open or not self._subscriptions.confirmed:
            return []
        found = self._stalls.accused(checks, self._leaders, self._subscriptions.shard_of, now_ms)
        outputs: list[Output] = []
        for shard, ts_from in found:
            leaders = frozenset(self._leaders[w] for w in shard.wallets if w in self._leaders)
            self._gaps.missed(leaders, ts_from, "stalled subscription")
            outputs += self._asking(self._subscriptions.renew(shard.wallets, now_ms))
        if not found:
            return []
        outputs.append(Counted("watcher_stalled_subscriptions", len(found)))
        if self._stalls.hopeless(now_ms):
            outputs += self._give_up("renewed subscriptions still deliver nothing")
        return outputs

    def head_elsewhere(self, number: int, now_ms: int) -> list[Output]:
        """Another endpoint's head: a socket that twice in a row lies behind it is replaced."""
        if not self._open or self._last_block == 0 or self._ts_head == 0:
            return []
        match self._lag.compare(self._last_block, number, now_ms):
            case "fine":
                return []
            case "disagreement":
                return [Counted("watcher_heads_disagree")]
            case "replace":
                return self._give_up(f"{self._lag.blocks} blocks behind another endpoint")

    def tick(self, now_ms: int) -> list[Output]:
        """What became due: look-ups, waits that ended, a silent socket."""
        outputs: list[Output] = [NeedBlock(block_hash) for block_hash in self._blocks.due(now_ms)]
        outputs += [NeedCanonical(number) for number in self._delivered.due(now_ms)]
        outputs += [
            Refused(payload(asdict(seen.fill)), "blockTimestamp: the block's time cannot be found")
            for seen in self._blocks.expired(now_ms)
        ]
        if not self._open:
            return outputs
        heard = max(self._ts_head, self._ts_connected)
        if now_ms - heard > HEAD_SILENCE_MS_MAX:
            outputs.append(Counted("watcher_stalls"))
            return outputs + self._give_up(f"no head for {(now_ms - heard) // 1000} s")
        if self._subscriptions.overdue(now_ms):
            return outputs + self._give_up("a subscription was not confirmed")
        return outputs

    def _give_up(self, reason: str) -> list[Output]:
        self._open = False
        self._trouble = reason
        return [Reconnect(reason)]

    def health(self, now_ms: int) -> Health:
        """Up: connected, everything subscribed, a head at most 10 s old and not behind others."""
        detail = self._trouble
        if not detail and not self._subscriptions.confirmed:
            detail = "subscribing"
        if not detail and (self._ts_head == 0 or now_ms - self._ts_head > HEAD_SILENCE_MS_MAX):
            detail = "waiting for a head"
        if not detail and self._lag.proven:
            detail = f"{self._lag.blocks} blocks behind another endpoint"
        story = detail or f"listening for {len(self._leaders)} wallets"
        return Health(
            up=detail == "",
            detail="; ".join(filter(None, (story, self._contracts.note))),
            ts_connected=self._ts_connected,
            ts_last_event=self._ts_last_event,
            last_block=self._last_block,
            ts_last_block=self._ts_last_block,
        )
