"""Ethereum JSON-RPC methods over the simulated chain (no transport)."""

from __future__ import annotations

from typing import Any

from simulator import ids
from simulator.activity import OtherTransaction
from simulator.chain import Block, Transaction
from simulator.log_delivery import as_served
from simulator.logs import (
    FEE_CHARGED,
    ORDER_FILLED,
    ORDERS_MATCHED,
    Log,
    block_header,
    block_logs,
    transaction_logs,
)
from simulator.venue import Venue

CHAIN_ID = 137
RESULT_LOGS_MAX = 20_000
TOPIC_VALUES_MAX = 1_000
OPERATOR = "0x6ff1a7b0c2d84e59b3a6c1d2e3f4051627384950"
MATCH_ORDERS_SELECTOR = {"v2": "0x3c2b4399", "v3": "0x0fb25ba4"}
EXECUTE_SELECTOR = "0x6a761202"
EXCHANGE_TOPICS = frozenset({ORDER_FILLED, ORDERS_MATCHED, FEE_CHARGED})
RECEIPT_MISSING_MS = 5_000
RECEIPTS_HELD_MAX = 20_000

AnyTransaction = Transaction | OtherTransaction


class RpcError(Exception):
    """A JSON-RPC error answer with its code and message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class LogFilter:
    """Address list and topic alternatives of a log query, lower-cased and checked.

    `addresses` empty means any; a topic position of None means any value.
    """

    def __init__(self, query: object) -> None:
        if not isinstance(query, dict):
            raise RpcError(-32602, "invalid argument 0: expected a filter object")
        address = query.get("address") or []
        listed = address if isinstance(address, list) else [address]
        self.addresses = frozenset(_hex(a, 20) for a in listed)
        topics = query.get("topics") or []
        if not isinstance(topics, list) or len(topics) > 4:
            raise RpcError(-32602, "exceed max topics")
        self.topics = [self._alternatives(position) for position in topics]

    @staticmethod
    def _alternatives(position: object) -> frozenset[str] | None:
        if position is None or position == []:
            return None
        values = position if isinstance(position, list) else [position]
        if len(values) > TOPIC_VALUES_MAX:
            raise RpcError(-32602, "exceed max topics")
        if any(value is None for value in values):
            return None
        return frozenset(_hex(value, 32) for value in values)

    @property
    def takes_all_fills(self) -> bool:
        """True when fills of every wallet match: neither the event nor a wallet is restricted."""
        events = self.topics[0] if self.topics else None
        if events is not None and events.isdisjoint(EXCHANGE_TOPICS):
            return False
        return all(position is None for position in self.topics[2:])

    def matches(self, log: Log) -> bool:
        if self.addresses and log["address"] not in self.addresses:
            return False
        topics = log["topics"]
        if len(self.topics) > len(topics):
            return False
        return all(
            wanted is None or topics[n] in wanted for n, wanted in enumerate(self.topics)
        )  # fmt: skip


def _hex(value: object, size: int) -> str:
    if isinstance(value, str) and value[:2] in ("0x", "0X") and len(value) == 2 + 2 * size:
        try:
            int(value, 16)
        except ValueError:
            pass
        else:
            return value.lower()
    raise RpcError(-32602, f"invalid argument 0: expected {size} bytes of hex")


class PolygonRpc:
    """Answers single JSON-RPC calls. `call` raises RpcError; unknown methods give -32601."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._lag_blocks = 0
        self._receipt_asked: dict[str, int] = {}
        self._methods = {
            "eth_chainId": lambda _: hex(CHAIN_ID),
            "net_version": lambda _: str(CHAIN_ID),
            "web3_clientVersion": lambda _: "bor/v2.9.0-simulated",
            "eth_syncing": lambda _: False,
            "eth_blockNumber": lambda _: hex(self._head()),
            "eth_getBlockByNumber": self._block_by_number,
            "eth_getBlockByHash": self._block_by_hash,
            "eth_getLogs": self._get_logs,
            "eth_getTransactionReceipt": self._receipt,
            "eth_getTransactionByHash": self._transaction,
        }

    def call(self, method: str, params: list[Any], *, over_http: bool = False) -> Any:
        """Answer a call; the node behind HTTP may see an older head than the socket's."""
        handler = self._methods.get(method)
        if handler is None:
            raise RpcError(-32601, f"the method {method} does not exist/is not available")
        self._lag_blocks = self.venue.faults.http_head_lag_blocks if over_http else 0
        if self._lag_blocks:
            self.venue.acted("http_head_lag_blocks")
        return handler(params)

    def _head(self) -> int:
        """The newest block this call may know."""
        return max(next(iter(self.venue.world.blocks)), self.venue.head.number - self._lag_blocks)

    def _block_by_number(self, params: list[Any]) -> dict[str, Any] | None:
        number = self._height(_first(params))
        block = self.venue.world.blocks.get(number) if number <= self._head() else None
        return None if block is None else self._header(block, params)

    def _block_by_hash(self, params: list[Any]) -> dict[str, Any] | None:
        block = self.venue.world.block_by_hash.get(_hex(_first(params), 32))
        if block is None or block.number > self._head():
            return None
        return self._header(block, params)

    def _header(self, block: Block, params: list[Any]) -> dict[str, Any]:
        header = block_header(block)
        if len(params) > 1 and params[1] is True:
            header["transactions"] = [self._body(tx) for tx in block.included()]
        return header

    def _height(self, tag: object, *, default: str = "latest") -> int:
        """The block number a tag or hex quantity means. May lie beyond the head."""
        tag = default if tag is None else tag
        if tag in ("latest", "pending"):
            return self._head()
        if tag in ("finalized", "safe"):
            return min(self._head(), self.venue.finalized_number())
        if tag == "earliest":
            return next(iter(self.venue.world.blocks))
        if isinstance(tag, str) and tag.startswith("0x"):
            try:
                return int(tag, 16)
            except ValueError:
                pass
        raise RpcError(-32602, "invalid argument 0: hex string without 0x prefix")

    def _get_logs(self, params: list[Any]) -> list[Log]:
        query = _first(params)
        wanted = LogFilter(query)
        found: list[Log] = []
        for block in self._blocks_of(query):
            found += [
                as_served(log, self.venue.faults) for log in block_logs(block)
                if wanted.matches(log)
            ]  # fmt: skip
            if len(found) > RESULT_LOGS_MAX:
                raise RpcError(-32005, f"query returned more than {RESULT_LOGS_MAX} results")
        return found

    def _blocks_of(self, query: dict[str, Any]) -> list[Block]:
        world, head = self.venue.world, self._head()
        if query.get("blockHash") is not None:
            if query.get("fromBlock") is not None or query.get("toBlock") is not None:
                raise RpcError(-32602, "cannot specify both blockHash and fromBlock/toBlock")
            block = world.block_by_hash.get(_hex(query["blockHash"], 32))
            if block is None or block.number > head:
                raise RpcError(-32000, "unknown block")
            return [block]
        first = self._height(query.get("fromBlock"))
        last = self._height(query.get("toBlock"))
        if first > last or first > head:
            self.venue.counters["rpc invalid block range"] += 1
            raise RpcError(-32000, "invalid block range params")
        limit = self.venue.faults.logs_range_max
        if limit and last - first + 1 > limit:
            self.venue.acted("logs_range_max")
            raise RpcError(-32600, f"eth_getLogs is limited to a {limit} block range")
        oldest = next(iter(world.blocks))
        numbers = range(max(first, oldest), min(last, head) + 1)
        return [world.blocks[number] for number in numbers]

    def _published_tx(self, params: list[Any]) -> AnyTransaction | None:
        tx_hash, world = _hex(_first(params), 32), self.venue.world
        tx = world.transactions.get(tx_hash) or world.others.get(tx_hash)
        return None if tx is None or tx.block.number > self._head() else tx

    def _withheld(self, tx: AnyTransaction) -> bool:
        """True for a seeded part of the transactions until a while after the first question."""
        rate = self.venue.faults.receipt_missing_rate
        if not rate or int(ids.hash32("receipt", tx.hash)[2:10], 16) / 2**32 >= rate:
            return False
        if len(self._receipt_asked) >= RECEIPTS_HELD_MAX:
            self._receipt_asked.clear()
        asked = self._receipt_asked.setdefault(tx.hash, self.venue.now)
        if self.venue.now - asked >= RECEIPT_MISSING_MS:
            return False
        self.venue.acted("receipt_missing_rate")
        return True

    def _receipt(self, params: list[Any]) -> dict[str, Any] | None:
        tx = self._published_tx(params)
        if tx is None or self._withheld(tx):
            return None
        logs = [as_served(log, self.venue.faults) for log in transaction_logs(tx)]
        gas = 180_000 + 95_000 * len(logs)
        return {
            "transactionHash": tx.hash,
            "transactionIndex": hex(tx.index),
            "blockHash": tx.block.hash,
            "blockNumber": hex(tx.block.number),
            "from": OPERATOR,
            "to": _called(tx)[0],
            "cumulativeGasUsed": hex(gas * (tx.index + 1)),
            "gasUsed": hex(gas),
            "effectiveGasPrice": hex(60_000_000_000),
            "contractAddress": None,
            "logs": logs,
            "logsBloom": "0x" + "00" * 256,
            "status": "0x1",
            "type": "0x2",
        }

    def _transaction(self, params: list[Any]) -> dict[str, Any] | None:
        tx = self._published_tx(params)
        return None if tx is None else self._body(tx)

    def _body(self, tx: AnyTransaction) -> dict[str, Any]:
        """A transaction with shortened call data: the selector and the market's condition."""
        called, call_data = _called(tx)
        return {
            "hash": tx.hash,
            "blockHash": tx.block.hash,
            "blockNumber": hex(tx.block.number),
            "transactionIndex": hex(tx.index),
            "from": OPERATOR,
            "to": called,
            "value": "0x0",
            "nonce": hex(tx.block.number % 1_000_000),
            "gas": hex(3_000_000),
            "gasPrice": hex(60_000_000_000),
            "maxFeePerGas": hex(90_000_000_000),
            "maxPriorityFeePerGas": hex(30_000_000_000),
            "input": call_data,
            "type": "0x2",
            "chainId": hex(CHAIN_ID),
            "accessList": [],
            "v": "0x0",
            "r": ids.hash32(tx.hash, "r"),
            "s": ids.hash32(tx.hash, "s"),
        }


def _called(tx: AnyTransaction) -> tuple[str, str]:
    """(contract, call data) of a transaction."""
    if isinstance(tx, OtherTransaction):
        return (tx.logs[0].address if tx.logs else ids.ZERO20), EXECUTE_SELECTOR
    market = tx.match.market
    return tx.match.exchange, MATCH_ORDERS_SELECTOR[market.generation] + market.condition_id[2:]


def _first(params: list[Any]) -> Any:
    if not params:
        raise RpcError(-32602, "missing value for required argument 0")
    return params[0]
