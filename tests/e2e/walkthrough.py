"""One story on either engine at its real pace: logs over a socket, rows of the same fills, books.

Old fills come first, then the rows that confirm them, then a fill of this very second that is
copied, then a sale of half of it. The payloads are a test's own or the venue's real ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from chalicelib.domain.exchange_log import TOPIC_V2
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import Head
from chalicelib.domain.trade import Trade, effective, state_of
from chalicelib.ports import Store
from chalicelib.services.portfolios import all_portfolios
from infra.local.ground_truth import ledgers_hold
from infra.local.stack import EngineName, Stack, open_stack, wait_until
from tests.e2e.ledgers import (
    attempts_of,
    entries_of,
    follow_since,
    head,
    paced_digests,
    trade,
    work_of,
)
from tests.e2e.venue import FeedNode, Script, VenueServer

Json = dict[str, Any]
TradeName = tuple[str, str, str, str]
"""Wallet, transaction, token, side."""

EXCHANGE = "0xe111180000d2663c0091e4f400237545b87b996b"
FOLLOWED_FROM = 1_767_225_600_000
SOMEBODY = "0x" + "5b" * 20
ENGINES: tuple[EngineName, ...] = ("embedded", "aws")
STEP_SECONDS_MAX = 25.0


def hash_of(label: object) -> str:
    return "0x" + sha256(str(label).encode()).hexdigest()


def order_filled(
    wallet: str,
    side: str,
    token: str,
    shares: int,
    cash: int,
    *,
    label: str,
    seconds: int,
    taker: str = EXCHANGE,
    fee: int = 0,
    index: int = 5,
) -> Json:
    """An OrderFilled log as a node sends it; amounts in micros, `label` names the transaction."""
    making, taking = (cash, shares) if side == "BUY" else (shares, cash)
    words = (int(side == "SELL"), int(token), making, taking, fee, 0, 0)
    return {
        "address": EXCHANGE,
        "topics": [
            TOPIC_V2,
            hash_of(f"order {label} {index}"),
            "0x" + wallet[2:].rjust(64, "0"),
            "0x" + taker[2:].rjust(64, "0"),
        ],
        "data": "0x" + "".join(f"{word:064x}" for word in words),
        "blockNumber": hex(90_000_000 + seconds % 1_000_000),
        "transactionHash": hash_of(f"tx {label}"),
        "transactionIndex": "0x3",
        "blockHash": hash_of(f"block {label}"),
        "blockTimestamp": hex(seconds),
        "logIndex": hex(index),
        "removed": False,
    }


def trade_row(
    wallet: str, tx: str, token: str, side: str, size: float, price: float, usdc: float, ts: int
) -> Json:
    """A TRADE row of the Data API."""
    return {
        "proxy_wallet": wallet,
        "timestamp": ts,
        "condition_id": hash_of("any"),
        "type": "TRADE",
        "size": size,
        "usdc_size": usdc,
        "transaction_hash": tx,
        "price": price,
        "token_id": token,
        "side": side,
    }


@dataclass
class Story:
    """The payloads of one run; `leader` makes the fresh fills of `token` in whole shares."""

    script: Script
    leaders: list[str]
    logs: list[Json]
    rows: dict[str, list[Json]]
    both: list[TradeName]
    leader: str
    token: str
    bought: int
    price: int
    sold_at: int
    api_only: list[TradeName] = field(default_factory=list)


@dataclass
class Ending:
    """What an engine had on its books at the end."""

    states: dict[TradeName, str]
    totals: dict[TradeName, tuple[int, int, int]]
    attempts: dict[str, list[Attempt]]
    entries: dict[str, list[Entry]]
    heads: dict[str, Head]
    digests: dict[str, str]
    ledger_errors: list[str]
    left: int


def _found(store: Store, name: TradeName) -> Trade | None:
    return trade(store, trade_id(*name))


def _wait(condition: Callable[[], object], what: str) -> None:
    assert wait_until(condition, STEP_SECONDS_MAX, 0.1), f"never happened: {what}"


def play(story: Story, folder: Path) -> dict[EngineName, Ending]:
    """The story on both engines at once, fed by one node and one venue, from empty stores."""
    stacks: dict[EngineName, Stack] = {}
    with VenueServer(story.script) as venue, FeedNode() as node:
        variables = {
            **venue.environment(),
            **node.environment(),
            "TRIGGER_MODE": "both",
            "POLL_INTERVAL_S": "5",
        }
        try:
            for engine in ENGINES:
                stacks[engine] = open_stack(engine, variables, folder)
                for leader in story.leaders:
                    follow_since(stacks[engine].store, FOLLOWED_FROM, [leader])
            node.push(*story.logs)
            for stack in stacks.values():
                stack.start()
            names = _tell(list(stacks.values()), node, story)
            return {engine: _ending(stack.store, names) for engine, stack in stacks.items()}
        finally:
            for stack in stacks.values():
                stack.stop()


def _tell(stacks: list[Stack], node: FeedNode, story: Story) -> list[TradeName]:
    """Everything that happens; the names of all trades of it."""
    stores = [stack.store for stack in stacks]

    def known(names: list[TradeName], seen: Callable[[Trade], object]) -> bool:
        found = [_found(store, name) for store in stores for name in names]
        return all(t and seen(t) for t in found)

    def booked(entries: int) -> bool:
        return all(len(entries_of(s, f"main/leader/{story.leader}")) >= entries for s in stores)

    _wait(lambda: known(story.both, lambda t: t.ts_seen_chain), "every log became a trade")
    # Rows come after the logs, as at the venue; the other order books fees as corrections.
    story.script.activity = dict(story.rows)
    fresh: list[TradeName] = []
    orders = (
        ("buy", "BUY", story.bought, story.price),
        ("sell", "SELL", story.bought // 2, story.sold_at),
    )
    for number, (label, side, shares, price) in enumerate(orders, start=1):
        log = order_filled(
            story.leader,
            side,
            story.token,
            shares * 1_000_000,
            shares * price,
            label=f"fresh {label}",
            seconds=int(time.time()),
            taker=SOMEBODY,
        )
        node.push(log)
        fresh.append((story.leader, log["transactionHash"], story.token, side))
        # The opening entry, and per order a fill and its fee.
        _wait(lambda: booked(1 + 2 * number), f"the fresh {label} is on the ledger")  # noqa: B023
    confirmed = [*story.both, *story.api_only]
    _wait(lambda: known(confirmed, lambda t: t.ts_seen_api), "every row was counted")
    _wait(lambda: not any(work_of(s) for s in stores), "no work is left")
    _wait(lambda: all(stack.idle() for stack in stacks), "both engines are idle")
    return [*confirmed, *fresh]


def _ending(store: Store, names: list[TradeName]) -> Ending:
    ids = [ref.portfolio_id for ref in all_portfolios(store)]
    trades = {name: found for name in names if (found := _found(store, name))}
    totals = {name: effective(found) for name, found in trades.items()}
    return Ending(
        states={name: state_of(found) for name, found in trades.items()},
        totals={name: (t.shares, t.cash, t.fee) for name, t in totals.items()},
        attempts={portfolio: attempts_of(store, portfolio) for portfolio in ids},
        entries={portfolio: entries_of(store, portfolio) for portfolio in ids},
        heads={portfolio: head(store, portfolio) for portfolio in ids},
        digests=paced_digests(store),
        ledger_errors=ledgers_hold(store),
        left=len(work_of(store)),
    )
