"""ABI encoding: fills and matches as the JSON logs a Polygon node returns.

OrderFilled and OrdersMatched have the same signature on the V2 and V3 exchanges, hence the
same topic 0. FeeCharged precedes the taker's OrderFilled when there is a fee.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from simulator.activity import OtherTransaction
from simulator.chain import Block, Fill, Part, Transaction
from simulator.ids import ZERO32
from simulator.matching import BUY

ORDER_FILLED = "0xd543adfd945773f1a62f74f0ee55a5e3b9b1a28262980ba90b1a89f2ea84d8ee"
ORDERS_MATCHED = "0x174b3811690657c217184f89418266767c87e4805d09680c39fc9c031c0cab7c"
FEE_CHARGED = "0x55bb3cade9d43b798a4fe5ffdd05024b2d7870df53920673bfc7e68047cd0ab1"
FEE_RECEIVER = "0x115f48dc2a731aa16251c6d6e1befc42f92accc9"

Log = dict[str, Any]


def topic_of_address(address: str) -> str:
    return "0x" + "00" * 12 + address[2:]


def _word(value: int) -> str:
    return f"{value:064x}"


def _amounts(side: str, shares: int, cash: int) -> tuple[int, int]:
    """(makerAmountFilled, takerAmountFilled): what the order's owner gives and gets."""
    return (cash, shares) if side == BUY else (shares, cash)


def block_logs(block: Block) -> Iterator[Log]:
    """All logs of a block in log-index order."""
    for tx in block.included():
        yield from transaction_logs(tx)


def transaction_logs(tx: Transaction | OtherTransaction) -> Iterator[Log]:
    """All logs of one transaction in log-index order."""
    if isinstance(tx, OtherTransaction):
        for place, raw in enumerate(tx.logs):
            yield _log(tx, tx.log_index + place, raw.address, list(raw.topics), raw.body)
        return
    for part in tx.parts:
        yield from _match_logs(tx, part)


def _match_logs(tx: Transaction, part: Part) -> Iterator[Log]:
    exchange = part.match.exchange
    for fill in part.fills[:-1]:
        yield order_filled(fill)
    taker = part.fills[-1]
    if part.fee_log_index >= 0:
        topics = [FEE_CHARGED, topic_of_address(FEE_RECEIVER)]
        yield _log(tx, part.fee_log_index, exchange, topics, _word(taker.fee))
    yield order_filled(taker)
    given, got = _amounts(taker.side, taker.shares, taker.logged_cash)
    body = _word(taker.side != BUY) + _word(int(taker.token.id)) + _word(given) + _word(got)
    topics = [ORDERS_MATCHED, taker.order_hash, topic_of_address(taker.wallet)]
    yield _log(tx, taker.log_index + 1, exchange, topics, body)


def order_filled(fill: Fill) -> Log:
    """One OrderFilled log. A taker's own log names the exchange as its taker."""
    match = fill.match
    taker = match.exchange if fill.role == "taker" else match.taker.wallet
    given, got = _amounts(fill.side, fill.shares, fill.logged_cash)
    body = (
        _word(fill.side != BUY)
        + _word(int(fill.token.id))
        + _word(given)
        + _word(got)
        + _word(fill.fee)
        + _word(0) * 2
    )
    topics = [ORDER_FILLED, fill.order_hash, topic_of_address(fill.wallet), topic_of_address(taker)]
    return _log(fill.tx, fill.log_index, match.exchange, topics, body)


def _log(
    tx: Transaction | OtherTransaction, log_index: int, address: str, topics: list[str], body: str
) -> Log:
    block = tx.block
    return {
        "address": address,
        "topics": topics,
        "data": "0x" + body,
        "blockNumber": hex(block.number),
        "transactionHash": tx.hash,
        "transactionIndex": hex(tx.index),
        "blockHash": block.hash,
        "blockTimestamp": hex(block.timestamp),
        "logIndex": hex(log_index),
        "removed": False,
    }


def block_header(block: Block) -> dict[str, Any]:
    """A block without transaction bodies; extraData is 32 bytes, as standard clients demand."""
    hashes = [tx.hash for tx in block.included()]
    return {
        "number": hex(block.number),
        "hash": block.hash,
        "parentHash": block.parent_hash,
        "timestamp": hex(block.timestamp),
        "nonce": "0x0000000000000000",
        "sha3Uncles": "0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347",
        "logsBloom": "0x" + "00" * 256,
        "transactionsRoot": ZERO32,
        "stateRoot": ZERO32,
        "receiptsRoot": ZERO32,
        "miner": "0x0000000000000000000000000000000000000000",
        "mixHash": ZERO32,
        "difficulty": "0x1",
        "totalDifficulty": hex(block.number),
        "extraData": ZERO32,
        "size": hex(1_200 + 900 * len(hashes)),
        "gasLimit": hex(60_000_000),
        "gasUsed": hex(400_000 * len(hashes)),
        "baseFeePerGas": hex(30_000_000_000),
        "transactions": hashes,
        "uncles": [],
    }
