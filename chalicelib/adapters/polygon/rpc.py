"""Polygon over HTTP JSON-RPC: heads, block times, receipts and bounded log queries.

Besides the families of the HTTP client, `logs` raises RangeTooWide: fewer blocks may be answered.

Built on the same HTTP client as the venue rather than on web3: one retry, budget and breaker
policy for every host, exact JSON, and no 60 MB import in Lambdas that read one receipt.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from chalicelib.adapters.polymarket.http import JsonHttp
from chalicelib.domain.errors import InvalidInput, Permanent, RateLimited, Retryable
from chalicelib.domain.exchange_log import quantity
from chalicelib.domain.identifiers import hash32

RATE_PER_S = 5.0
BURST = 5
LOGS_RANGE_MAX = 10_000
"""Blocks of one log query; free plans of some providers allow 10."""
LOGS_MAX = 20_000

_REFUSED = frozenset({-32700, -32600, -32601, -32602})
_LIMITED = frozenset({429, -32005, -32029})
RETRY_AFTER_MS = 1_000

_NOT_YET = re.compile(
    r"invalid block range|beyond|greater than|after last|not found|unknown block"
    r"|out ?of ?range|but requested was"
)
"""What nodes say of blocks they do not have yet."""
_TOO_WIDE = re.compile(r"range|too many|too large|more than|limit|exceed|response size")
_BUSY = re.compile(
    r"rate|per (second|minute|day)|too many requests|throttl|capacity|quota|credit|units"
)
_BLOCKS = re.compile(r"(\d[\d,]{0,8})[ -]?blocks?\b")

RawLog = Mapping[str, object]


class RangeTooWide(Permanent):
    """The node answers fewer blocks at once; `blocks` is its own bound, 0 when it names none."""

    def __init__(self, blocks: int = 0) -> None:
        super().__init__("polygon: the node answers fewer blocks at once")
        self.blocks = blocks


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """A block; `ts_block` in milliseconds."""

    number: int
    block_hash: str
    ts_block: int


def parse_header(raw: object) -> BlockHeader:
    """The header in a block object. Raises InvalidInput naming the field."""
    if not isinstance(raw, Mapping):
        raise InvalidInput("block", "an object was expected")
    return BlockHeader(
        number=quantity(raw.get("number"), "number"),
        block_hash=hash32(raw.get("hash"), "hash"),
        ts_block=quantity(raw.get("timestamp"), "timestamp") * 1000,
    )


class PolygonRpc:
    """One node. Every call raises Retryable or Permanent."""

    def __init__(self, http: JsonHttp, *, range_max: int = LOGS_RANGE_MAX) -> None:
        self._http = http
        self._range_max = range_max
        self._ids = itertools.count(1)

    def _call(self, method: str, params: Sequence[object]) -> object:
        request_id = next(self._ids)
        request = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": list(params)}
        answer = self._http.post("", request)
        if not isinstance(answer, dict):
            raise Retryable(f"polygon: {method} was not answered with an object")
        if answer.get("error") is not None:
            raise self._failure(method, answer["error"])
        if answer.get("id") != request_id or "result" not in answer:
            raise Retryable(f"polygon: {method} was answered with another request's result")
        result: object = answer["result"]
        return result

    @staticmethod
    def _failure(method: str, error: object) -> Exception:
        code = error.get("code") if isinstance(error, dict) else None
        said = f"polygon: {method} failed with code {code}"
        if method == "eth_getLogs" and isinstance(error, dict):
            text = str(error.get("message"))[:500].lower()
            if _NOT_YET.search(text):
                return Retryable(said)
            if _TOO_WIDE.search(text) and not _BUSY.search(text):
                named = _BLOCKS.search(text)
                return RangeTooWide(int(named[1].replace(",", "")) if named else 0)
        if code in _LIMITED:
            return RateLimited(said, RETRY_AFTER_MS)
        # Everything unknown may be one backend among several being behind the others.
        return Permanent(said) if code in _REFUSED else Retryable(said)

    def block_number(self) -> int:
        """The node's head."""
        try:
            return quantity(self._call("eth_blockNumber", []), "blockNumber")
        except InvalidInput as error:
            raise Retryable(f"polygon: {error}") from error

    def block(self, at: int | str) -> BlockHeader | None:
        """A block by number, or by hash; None when the node does not have it."""
        if isinstance(at, int):
            result = self._call("eth_getBlockByNumber", [hex(at), False])
        else:
            result = self._call("eth_getBlockByHash", [hash32(at, "blockHash"), False])
        if result is None:
            return None
        try:
            return parse_header(result)
        except InvalidInput as error:
            raise Retryable(f"polygon: {error}") from error

    def canonical(self, number: int) -> str | None:
        """The hash of the block with this number, or None when the node does not have it."""
        header = self.block(number)
        return None if header is None else header.block_hash

    def block_time(self, block_hash: str) -> int | None:
        """Milliseconds of a block's time, or None when the node does not have it."""
        header = self.block(block_hash)
        return None if header is None else header.ts_block

    def receipt_logs(self, tx_hash: str) -> tuple[RawLog, ...] | None:
        """The raw logs of a mined, successful transaction; None when it is not mined here.

        A transaction that was mined and reverted has no logs.
        """
        result = self._call("eth_getTransactionReceipt", [hash32(tx_hash, "transactionHash")])
        if result is None:
            return None
        if not isinstance(result, dict):
            raise Retryable("polygon: the receipt is not an object")
        return _raw_logs(result.get("logs"))

    def logs(
        self,
        first: int,
        last: int,
        addresses: Sequence[str],
        topics: Sequence[Sequence[str] | None],
    ) -> tuple[RawLog, ...]:
        """Raw logs of the blocks `first` to `last`, both included.

        Refuses (Permanent) a range above the bound and a query that is not filtered by address:
        unfiltered queries cost a provider's whole budget. Raises RangeTooWide when the node
        answers fewer blocks, Retryable when it does not have them yet.
        """
        if not addresses:
            raise Permanent("polygon: a log query needs addresses")
        if not 0 <= last - first < self._range_max:
            raise Permanent(f"polygon: a log query of 1 to {self._range_max} blocks was expected")
        query = {
            "fromBlock": hex(first),
            "toBlock": hex(last),
            "address": list(addresses),
            "topics": [None if position is None else list(position) for position in topics],
        }
        return _raw_logs(self._call("eth_getLogs", [query]))


def _raw_logs(value: object) -> tuple[RawLog, ...]:
    if not isinstance(value, list) or len(value) > LOGS_MAX:
        raise Retryable(f"polygon: a list of at most {LOGS_MAX} logs was expected")
    if not all(isinstance(log, dict) for log in value):
        raise Retryable("polygon: a log is not an object")
    return tuple(value)
