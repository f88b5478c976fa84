"""The venue of the cost benchmark: groups of fills, their API rows, and recorded books."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Literal

from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Level
from chalicelib.domain.tape import BookChange, Segment
from chalicelib.domain.tape_text import split_at
from chalicelib.domain.trade import ChainLeg
from chalicelib.services.tapes import SEGMENT_MS_MAX
from tests.e2e.venue import Script, VenueServer
from tests.e2e.walkthrough import order_filled

M = 1_000_000
LEADERS = tuple(f"0x{number:040x}" for number in range(0xA1, 0xA1 + 10))
TOKENS_PER_LEADER = 20
LEVELS = 30
CHANGES_PER_S = 4
SHARES = 4_000
"""Of one fill."""
TAKEN_MS = 2_150
GONE = 8
"""Levels that are taken from a book whose copies rest."""
Ending = Literal["skipped", "filled", "rests"]


def _digits(label: str) -> str:
    return str(int(sha256(label.encode()).hexdigest(), 16) | 1 << 255)[:77]


def token_of(leader: str, number: int) -> tuple[str, str, str]:
    """Condition and both tokens of one of the markets that a leader trades."""
    name = f"{leader} {number}"
    condition = "0x" + sha256(name.encode()).hexdigest()
    return condition, _digits(name + " yes"), _digits(name + " no")


@dataclass(frozen=True)
class Copied:
    """One group: a leader's fills of one token within a window, and what becomes of its copies."""

    number: int
    leader: str
    market: int
    side: Side
    fills: int
    ending: Ending

    @property
    def token(self) -> str:
        return token_of(self.leader, self.market)[1]

    def tx(self, fill: int) -> str:
        return "0x" + sha256(f"{self.number} {fill} {self.leader}".encode()).hexdigest()


def groups(fills: int, first: int = 0) -> Iterator[Copied]:
    """Groups with so many fills: 1.5 each, 40 % executed, half of which rest with a remainder.

    Leaders take turns; each trades TOKENS_PER_LEADER markets in turn and sells every fourth time
    what he bought before.
    """
    endings: tuple[Ending, ...] = ("filled", "skipped", "rests", "skipped", "skipped")
    number = first
    while fills > 0:
        size = min(fills, 1 + number % 2)
        turn, place = divmod(number, len(LEADERS))
        side: Side = "SELL" if turn % 4 == 3 else "BUY"
        market = (turn - 3 if side == "SELL" else turn) % TOKENS_PER_LEADER
        # The mix must not go with the leader: ten leaders and five endings would.
        ending = endings[(number + turn) % len(endings)]
        yield Copied(number, LEADERS[place], market, side, size, ending)
        fills -= size
        number += 1


def script() -> Script:
    """All markets, with a book each."""
    made = Script()
    for leader in LEADERS:
        for number in range(TOKENS_PER_LEADER):
            condition, yes, no = token_of(leader, number)
            made.add_market(condition, (yes, no))
            for token in (yes, no):
                bids = [(f"{0.50 - i * 0.01:.2f}", "9000") for i in range(LEVELS)]
                asks = [(f"{0.51 + i * 0.01:.2f}", "9000") for i in range(LEVELS)]
                made.set_book(token, bids, asks)
    return made


def message(group: Copied, fill: int, now_ms: int) -> FillMessage:
    """A fill as the watcher tells it, seen now and mined two seconds ago."""
    price = 505_000
    tx = group.tx(fill)
    leg = ChainLeg(
        block_hash="0x" + sha256(f"block {group.number}".encode()).hexdigest(),
        block_number=90_000_000 + group.number,
        log_index=100 + fill,
        ts_block=(now_ms // 1000 - 2) * 1000,
        shares=SHARES * M,
        cash=SHARES * price,
        fee=0,
        fee_asset="collateral",
        role="maker",
        order_hash="0x" + sha256(f"order {tx}".encode()).hexdigest(),
        removed=False,
    )
    raw = json.dumps(
        order_filled(
            group.leader, group.side, group.token, leg.shares, leg.cash,
            label=f"{group.number} {fill}", seconds=leg.ts_block // 1000,
        )
    )  # fmt: skip
    item = ChainEvidence(tx, group.token, group.side, leg, raw)
    return FillMessage(group.leader, group.leader, now_ms, chain=(item,))


def row(group: Copied, fill: int, now_ms: int) -> dict[str, Any]:
    """The same fill as the Data API shows it."""
    return {
        "proxy_wallet": group.leader,
        "timestamp": now_ms // 1000 - 2,
        "condition_id": token_of(group.leader, group.market)[0],
        "type": "TRADE",
        "size": float(SHARES),
        "usdc_size": SHARES * 0.505,
        "transaction_hash": group.tx(fill),
        "price": 0.505,
        "token_id": group.token,
        "side": group.side,
        "title": "Will the number of fills be counted to the last one by the end of this month?",
        "slug": "will-the-number-of-fills-be-counted-to-the-last-one",
        "outcome": "Yes",
        "outcome_index": 0,
    }


def recorded(group: Copied, opened: int, t0: int, t1: int) -> list[Segment]:
    """The book over a span as it is stored: LEVELS levels a side, CHANGES_PER_S changes.

    It has what the group's ending takes: depth at the leader's price, a price that ran away, or
    depth that goes between decision and placement, TAKEN_MS after the group `opened`.
    """
    taken = opened + TAKEN_MS if group.ending == "rests" else t1 + 1
    bid, ask = 500_000, 510_000
    if group.ending == "skipped":
        bid, ask = (600_000, 610_000) if group.side == "BUY" else (400_000, 410_000)

    def levels(first: int, sign: int) -> tuple[Level, ...]:
        prices = [first + sign * i * 10_000 for i in range(LEVELS)]
        return tuple(
            Level(p, _depth(i, taken <= t0) * M) for i, p in enumerate(prices) if 0 < p < M
        )

    drawn = random.Random(group.number)
    changes = []
    for ts in range(t0 + 250, t1, 1_000 // CHANGES_PER_S):
        shares = drawn.randrange(1, 99_999) * 10_000
        price = bid - drawn.randrange(GONE, LEVELS) * 10_000
        changes.append(BookChange(ts, ts + 40, "BUY", max(10_000, price), shares))
    if t0 < taken <= t1:
        for i in range(GONE):
            left = _depth(i, True) * M
            changes.append(BookChange(taken, taken + 40, "BUY", bid - i * 10_000, left))
            changes.append(BookChange(taken, taken + 40, "SELL", ask + i * 10_000, left))
    changes.sort(key=lambda change: change.ts_venue)
    proofs = tuple(range(t0, t1, 1_000))
    whole = Segment(
        group.token, "bench", t0, t1, t0, levels(bid, -1), levels(ask, 1),
        tuple(changes), (), proofs,
    )  # fmt: skip
    made = []
    while whole.ts_end - whole.ts_start > SEGMENT_MS_MAX:
        first, whole = split_at(whole, whole.ts_start + SEGMENT_MS_MAX)
        made.append(first)
    return [*made, whole]


def _depth(level: int, taken: bool) -> int:
    """Whole shares at a level, counted from the touch."""
    if not taken:
        return 9_000
    return 40 if level == 0 else 0 if level < GONE else 9_000


__all__ = ["Copied", "VenueServer", "groups", "message", "recorded", "row", "script"]
