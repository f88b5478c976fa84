"""Short tapes written by hand: prices in cents, shares in whole shares, times after a start."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Level
from chalicelib.domain.tape import BookChange, Segment, Tape, TradePrint, tape_of
from tests.unit.wire import NOW_MS, YES

M = 1_000_000
Event = tuple[int, str, float, int]
"""Milliseconds after the start, what (bid, ask, buy, sell), price, shares."""


def levels(pairs: Sequence[tuple[float, int]]) -> tuple[Level, ...]:
    return tuple(Level(round(price * 10_000), shares * M) for price, shares in pairs)


def segment(
    bids: Sequence[tuple[float, int]],
    asks: Sequence[tuple[float, int]],
    events: Sequence[Event] = (),
    *,
    start: int = NOW_MS,
    length: int = 60_000,
    token: str = YES,
    complete: bool = True,
    proofs: Sequence[int] | None = None,
) -> Segment:
    changes, prints = [], []
    for ms, what, price, shares in events:
        side: Side = "BUY" if what in ("bid", "buy") else "SELL"
        fields = (start + ms, start + ms, side, round(price * 10_000), shares * M)
        if what in ("bid", "ask"):
            changes.append(BookChange(*fields))
        else:
            prints.append(TradePrint(*fields))
    return Segment(
        token,
        "w",
        start,
        start + length,
        start,
        levels(bids),
        levels(asks),
        tuple(changes),
        tuple(prints),
        (start,) if proofs is None else tuple(proofs),
        complete,
    )


def tape(*segments: Segment, token: str = YES) -> Tape:
    return tape_of(token, segments)
