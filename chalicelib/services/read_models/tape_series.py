"""A recorded book as a few hundred points to draw: best prices, levels, trades, and where it has
gaps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from chalicelib.domain.tape import Segment, Tape, set_level
from chalicelib.services.read_models.listing import Json

BEST_POINTS_MAX = 400
DEPTH_MOMENTS_MAX = 100
LEVELS_MAX = 20
"""Per side and moment, best first."""
PRINTS_MAX = 200


@dataclass(frozen=True, slots=True)
class _Piece:
    """A stretch of time held by one complete segment, or by none."""

    ts_from: int
    ts_until: int
    segment: Segment | None


@dataclass(slots=True)
class _State:
    """The book from `ts` on; both sides are the fold's own and change as it goes on."""

    ts: int
    bids: dict[int, int]
    asks: dict[int, int]

    @property
    def best(self) -> tuple[int | None, int | None]:
        return max(self.bids, default=None), min(self.asks, default=None)


def series_of(tape: Tape, t0: int, t1: int) -> Json:
    """What the tape shows from t0 to t1 (milliseconds, venue time), prices and shares in micros.

    `best` holds from each point to the next; None on both sides begins a gap. `thinned` says that
    there was more to tell than points allowed.
    """
    pieces = list(_pieces(tape, t0, t1))
    best, times = _best(pieces)
    prints = [
        p
        for piece in pieces
        if piece.segment
        for p in piece.segment.prints
        if piece.ts_from < p.ts_venue <= piece.ts_until
    ]
    moments = _chosen(times, t0, t1, DEPTH_MOMENTS_MAX)
    points = _thinned(best, t0, t1)
    return {
        "best": [{"ts": ts, "bid_micros": bid, "ask_micros": ask} for ts, bid, ask in points],
        "depth": _depths(pieces, moments),
        "prints": [
            {"ts": p.ts_venue, "side": p.side, "price_micros": p.price, "shares_micros": p.shares}
            for p in sorted(prints, key=lambda p: -p.shares)[:PRINTS_MAX]
        ],
        "gaps": [[p.ts_from, p.ts_until] for p in pieces if p.segment is None],
        "thinned": len(points) < len(best) or len(moments) < len(times) or len(prints) > PRINTS_MAX,
    }


def _pieces(tape: Tape, t0: int, t1: int) -> Iterator[_Piece]:
    """Consecutive pieces from t0 to t1, each from the segment that reaches furthest."""
    complete = [s for s in tape.segments if s.complete]
    ts = t0
    for _ in range(2 * len(complete) + 1):
        segment = tape.segment_at(ts)
        if segment and segment.ts_end > ts:
            yield _Piece(ts, min(segment.ts_end, t1), segment)
            ts = segment.ts_end
        else:
            later = [s.ts_start for s in complete if s.ts_start > ts]
            until = min([*later, t1])
            if until > ts:
                yield _Piece(ts, until, None)
            ts = until
        if ts >= t1:
            return


def _states(pieces: Sequence[_Piece]) -> Iterator[_State | None]:
    """The book at the start of every piece and after each change; None where a gap begins."""
    for piece in pieces:
        book = piece.segment.book_at(piece.ts_from) if piece.segment else None
        if piece.segment is None or book is None:
            yield None
            continue
        state = _State(
            piece.ts_from,
            {level.price: level.shares for level in book.bids},
            {level.price: level.shares for level in book.asks},
        )
        yield state
        changes = piece.segment.changes_between(piece.ts_from, piece.ts_until)
        for ts, at in groupby(changes, key=lambda change: change.ts_venue):
            for change in at:
                levels = state.bids if change.side == "BUY" else state.asks
                set_level(levels, change.price, change.shares)
            state.ts = ts
            yield state


_Point = tuple[int, int | None, int | None]


def _best(pieces: Sequence[_Piece]) -> tuple[list[_Point], list[int]]:
    """Where the best prices changed, and every moment at which anything did."""
    points: list[_Point] = []
    times: list[int] = []
    gaps = iter([piece.ts_from for piece in pieces if piece.segment is None])
    for state in _states(pieces):
        if state is None:
            points.append((next(gaps), None, None))
            continue
        if not times or times[-1] != state.ts:
            times.append(state.ts)
        bid, ask = state.best
        if not points or points[-1][1:] != (bid, ask):
            points.append((state.ts, bid, ask))
    return points, times


def _chosen(times: Sequence[int], t0: int, t1: int, most: int) -> set[int]:
    """All of the times, or the last of each of `most` equal slots."""
    if len(times) <= most:
        return set(times)
    width = t1 - t0 + 1
    return set({(ts - t0) * most // width: ts for ts in times}.values())


def _thinned(points: list[_Point], t0: int, t1: int) -> list[_Point]:
    """All of the points, or of each equal slot the first and the last."""
    if len(points) <= BEST_POINTS_MAX:
        return points
    slots, width = BEST_POINTS_MAX // 2, t1 - t0 + 1
    kept: list[_Point] = []
    for _, at in groupby(points, key=lambda point: (point[0] - t0) * slots // width):
        some = list(at)
        kept += some[:1] if len(some) == 1 else [some[0], some[-1]]
    return kept


def _depths(pieces: Sequence[_Piece], moments: set[int]) -> list[Json]:
    found: dict[int, Json] = {}
    for state in _states(pieces):
        if state and state.ts in moments:
            found[state.ts] = _depth(state)
    return list(found.values())


def _depth(state: _State) -> Json:
    bids = sorted(state.bids.items(), reverse=True)[:LEVELS_MAX]
    asks = sorted(state.asks.items())[:LEVELS_MAX]
    return {"ts": state.ts, "bids": [list(b) for b in bids], "asks": [list(a) for a in asks]}
