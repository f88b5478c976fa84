"""The exchanges on a node: matches in, blocks and reorganisations out, and the truth of both."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chalicelib.domain.exchange_log import EXCHANGES, LIVE_EXCHANGES
from tests.chain.anvil import Anvil
from tests.chain.clock import ShiftedClock
from tests.chain.matches import LOGGER_CODE, V1_EXCHANGE, Fill, Match

BLOCK_S = 1
GAS = 3_000_000
TradeKey = tuple[str, str, str, str]
RawLog = Mapping[str, Any]


@dataclass(slots=True)
class Block:
    """A mined block; `timestamp` in seconds."""

    number: int
    block_hash: str
    timestamp: int
    transactions: list[str] = field(default_factory=list)


class Chain:
    """Sends matches to a node and knows the truth about them.

    Blocks are a second apart and never later than `clock`, which is moved when tests mine faster.
    """

    def __init__(self, node: Anvil, rng: random.Random, clock: ShiftedClock) -> None:
        self.node = node
        self._clock = clock
        self._rng = rng
        self._accounts = itertools.cycle(node.call("eth_accounts"))
        for exchange in (*LIVE_EXCHANGES, V1_EXCHANGE):
            node.call("anvil_setCode", exchange, LOGGER_CODE)
        self.blocks = [self._head()]
        self.sent: dict[str, tuple[Match, ...]] = {}
        self._waiting: list[str] = []

    def _head(self) -> Block:
        raw = self.node.call("eth_getBlockByNumber", "latest", False)
        number, timestamp = int(raw["number"], 16), int(raw["timestamp"], 16)
        return Block(number, raw["hash"], timestamp, list(raw["transactions"]))

    @property
    def head(self) -> Block:
        """The latest block."""
        return self.blocks[-1]

    def send(self, match: Match) -> str:
        """A transaction with one match, for the next block; its hash."""
        request = {
            "from": next(self._accounts),
            "to": match.exchange,
            "data": match.calldata,
            "gas": hex(GAS),
        }
        tx_hash: str = self.node.call("eth_sendTransaction", request)
        self.sent[tx_hash] = (match,)
        self._waiting.append(tx_hash)
        return tx_hash

    def mine(self, *matches: Match) -> Block:
        """The next block with these matches, a transaction each, and whatever waits."""
        for match in matches:
            self.send(match)
        return self._mine(self._next_second())

    def _next_second(self) -> int:
        second = max(self.head.timestamp + BLOCK_S, self._clock.now_ms() // 1000)
        self._clock.reach(second * 1000)
        return second

    def _mine(self, timestamp: int) -> Block:
        self.node.call("evm_setNextBlockTimestamp", timestamp)
        self.node.call("evm_mine")
        block = self._head()
        assert block.number == self.head.number + 1
        assert block.transactions == self._waiting, "every transaction sent must be mined"
        self._waiting = []
        self.blocks.append(block)
        return block

    def reorganise(self, depth: int, *, dropped: Sequence[str] = ()) -> list[RawLog]:
        """Replace the last `depth` blocks by one more than that; the logs of the old ones.

        Transactions keep their hashes, change their places, and may slip into a later block;
        `dropped` ones are never mined again.
        """
        assert 0 < depth < len(self.blocks)
        old = self.blocks[-depth:]
        logs = self.logs(old[0].number, old[-1].number)
        waiting = [tx for block in old for tx in block.transactions if tx not in dropped]
        raw = {tx: self.node.call("eth_getRawTransactionByHash", tx) for tx in waiting}
        self.node.call("anvil_rollback", depth)
        del self.blocks[-depth:]
        # Another producer: otherwise a block with the same content would get the same hash.
        self.node.call("anvil_setCoinbase", f"0x{self._rng.getrandbits(160):040x}")
        for number in range(depth + 1):
            last = number == depth
            keep = len(waiting) if last else self._rng.randint(0, len(waiting))
            mined, waiting = waiting[:keep], waiting[keep:]
            self._rng.shuffle(mined)
            for tx_hash in mined:
                assert self.node.call("eth_sendRawTransaction", raw[tx_hash]) == tx_hash
                self._waiting.append(tx_hash)
            self._mine(self._next_second() if last else old[number].timestamp)
        return logs

    def logs(self, first: int, last: int) -> list[RawLog]:
        """All logs of all exchanges in a range of blocks, as the node gives them."""
        query = {"fromBlock": hex(first), "toBlock": hex(last), "address": list(EXCHANGES)}
        found: list[RawLog] = self.node.call("eth_getLogs", query)
        return found

    def mined(self) -> list[tuple[str, Block, tuple[Fill, ...]]]:
        """Every canonical transaction in order: hash, block and everybody's fills."""
        return [
            (tx_hash, block, tuple(f for match in self.sent[tx_hash] for f in match.fills))
            for block in self.blocks
            for tx_hash in block.transactions
        ]

    def truth(self, wallets: Sequence[str]) -> dict[TradeKey, tuple[int, int]]:
        """(shares, cash) per trade of these wallets, by what the node's receipts confirm."""
        shares: Counter[TradeKey] = Counter()
        cash: Counter[TradeKey] = Counter()
        for tx_hash, matches in self.sent.items():
            if self.node.call("eth_getTransactionReceipt", tx_hash) is None:
                continue
            for fill in (f for match in matches for f in match.fills if f.wallet in wallets):
                key = (fill.wallet, tx_hash, fill.token_id, fill.side)
                shares[key] += fill.shares
                cash[key] += fill.cash
        return {key: (shares[key], cash[key]) for key in shares}
