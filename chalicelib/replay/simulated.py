"""A simulated period as a recording: real logs, real books, detected by the chain alone."""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterator
from decimal import Decimal
from hashlib import sha256
from importlib import import_module
from typing import Any

from chalicelib.adapters.polymarket.market_shape import gamma_fee, market_of_gamma
from chalicelib.domain.exchange_log import Side, decode_order_filled
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.latency_model import settle_ms
from chalicelib.domain.orderbook import Level
from chalicelib.domain.registry import Leader, PortfolioRef
from chalicelib.domain.tape import BookChange, Segment, TradePrint, best_first, set_level
from chalicelib.domain.tape_text import packed
from chalicelib.domain.witness import Arrival, witness_of
from chalicelib.replay.files import Unreadable
from chalicelib.services.portfolios import (
    ACCOUNT,
    global_id,
    leader_portfolio_id,
    opening,
    opening_head,
    shadow_id,
)
from chalicelib.services.recordings import Header, Recording
from chalicelib.services.tapes import SEGMENT_MS_MAX
from chalicelib.settings import evaluate
from chalicelib.watcher.messages import evidence_of

PREFIX = "simulator:"
FILLS_MAX = 1_000_000
CASH = 10_000_000_000
SEEN_MS = 400
"""From a block's time until the watcher has its log; the same in every run."""
SPREAD_MS = 600
"""And up to this much more, drawn from the log's hash."""
INGESTED_MS = 30
HEARD_MS = 25
"""From the venue's time of a book event until we have it."""
PROOF_MS = 1_000
LEAD_MS = 2_000
TAIL_MS = 1_000


def simulated(text: str) -> Recording:
    """The recording of `simulator:SEED:FILLS`, the same for the same text. Raises Unreadable."""
    parts = text.removeprefix(PREFIX).split(":")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise Unreadable(f"{text[:60]!r}: simulator:SEED:FILLS was expected, two whole numbers")
    seed, fills = (int(part[:19]) for part in parts)
    if not 1 <= fills <= FILLS_MAX:
        raise Unreadable(f"{text[:60]!r}: 1 to {FILLS_MAX} fills were expected")
    try:
        world = import_module("simulator.recording").record_world(seed, fills)
    except ModuleNotFoundError as error:
        raise Unreadable("the simulator is not part of this installation") from error
    return recording_of(world, text)


def recording_of(world: Any, source: str) -> Recording:
    """The recording of a simulated period (see `simulator.recording.RecordedWorld`)."""
    start = world.genesis_ms - 1_000
    recording = Recording(Header(start, world.end_ms, source=source, settings=(("global", "{}"),)))
    owners: dict[str, Leader] = {}
    for name, wallets in world.leaders:
        leader = Leader(wallets[0], name, tuple(wallets), "on", start)
        owners |= dict.fromkeys(wallets, leader)
        recording.facts.append(witness_of(leader))
        open_portfolios(recording, leader.leader, start)
    for raw in json.loads(json.dumps(world.markets), parse_float=Decimal):
        recording.markets.append(market_of_gamma(raw, gamma_fee(raw) or FeeSchedule()))
    facts = {row.leader.leader: row.digest for row in recording.facts if row.leader}
    for number, (ts_block, log) in enumerate(world.logs):
        fill = decode_order_filled(log, owners)
        if fill is None:
            continue
        name = owners[fill.wallet].leader
        seen = _seen_at(ts_block, fill.block_hash or "")
        message = evidence_of(fill, name, seen)
        recording.arrivals.append(
            Arrival(name, seen + INGESTED_MS, number, str(number), message, None, facts[name])
        )
    _record_books(recording, world)
    return recording


def _seen_at(ts_block: int, block_hash: str) -> int:
    drawn = int(sha256(block_hash.encode()).hexdigest()[:8], 16) % SPREAD_MS
    return ts_block + SEEN_MS + drawn


def open_portfolios(recording: Recording, leader: str, ts: int) -> None:
    """A leader's portfolios and, once, the global one."""
    known = {r.portfolio_id for r in recording.opening if isinstance(r, PortfolioRef)}
    wanted = (
        PortfolioRef(global_id(), ACCOUNT, "global", "", 1),
        PortfolioRef(shadow_id(leader), "shadow", "shadow", leader, 1),
        PortfolioRef(leader_portfolio_id(leader), ACCOUNT, "leader", leader, 1),
    )
    for ref in wanted:
        if ref.portfolio_id in known:
            continue
        cash = 0 if ref.kind == "shadow" else CASH
        _, first = opening(ref, cash, ts)
        recording.opening += [ref, opening_head(ref.portfolio_id, ref.kind, ref.leader, cash)]
        recording.entries.append(first)


def _record_books(recording: Recording, world: Any) -> None:
    """Tapes from shortly before each fill is seen until every order it may cause is over."""
    rules = evaluate().rules()
    reach = settle_ms(rules, 0) + rules.order_ttl_ms + TAIL_MS
    wanted: dict[str, list[tuple[int, int]]] = {}
    for arrival in recording.arrivals:
        for item in arrival.message.chain if arrival.message else ():
            seen = arrival.ts - INGESTED_MS
            wanted.setdefault(item.token_id, []).append((seen - LEAD_MS, seen + reach))
    for history in world.books:
        for place, token in enumerate(history.tokens):
            spans = _merged(wanted.get(token, []))
            for segment in _segments(history, token, place == 1, spans):
                recording.segments.append(packed(segment))


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged


def _segments(
    history: Any, token: str, mirrored: bool, spans: list[tuple[int, int]]
) -> Iterator[Segment]:
    times = [change[0] for change in history.changes]
    traded = [trade[0] for trade in history.prints]
    levels: dict[Side, dict[int, int]] = {"BUY": dict(history.bids), "SELL": dict(history.asks)}
    folded = 0
    for first, last in spans:
        for start in range(first, last, SEGMENT_MS_MAX):
            end = min(start + SEGMENT_MS_MAX, last)
            if history.ts_closed is not None and history.ts_closed <= end:
                return
            upto = bisect_right(times, start)
            for _, is_bid, price, size in history.changes[folded:upto]:
                set_level(levels["BUY" if is_bid else "SELL"], price, size)
            folded = upto
            changes = [
                BookChange(
                    ts, ts + HEARD_MS, *_mirror("BUY" if is_bid else "SELL", price, mirrored), size
                )
                for ts, is_bid, price, size in history.changes[upto : bisect_right(times, end)]
            ]
            prints = [
                TradePrint(ts, ts + HEARD_MS, *_mirror(side, price, mirrored), shares)
                for ts, side, price, shares in history.prints[
                    bisect_right(traded, start) : bisect_right(traded, end)
                ]
            ]
            yield Segment(
                token,
                "simulator",
                start,
                end,
                times[upto - 1] if upto else start,
                _side(levels, "BUY", mirrored),
                _side(levels, "SELL", mirrored),
                tuple(changes),
                tuple(prints),
                tuple(range(start - PROOF_MS, end, PROOF_MS)),
            )


def _mirror(side: Side, price: int, mirrored: bool) -> tuple[Side, int]:
    if not mirrored:
        return side, price
    return ("SELL" if side == "BUY" else "BUY"), 1_000_000 - price


def _side(levels: dict[Side, dict[int, int]], side: Side, mirrored: bool) -> tuple[Level, ...]:
    if not mirrored:
        return best_first(levels[side], side)
    other = levels["SELL" if side == "BUY" else "BUY"]
    return best_first({1_000_000 - price: size for price, size in other.items()}, side)
