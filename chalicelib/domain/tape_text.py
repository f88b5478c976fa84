"""Segments as compact text of bounded size and back, exactly."""

from __future__ import annotations

import json
import zlib
from base64 import b64decode, b64encode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import accumulate, pairwise
from typing import Any

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.orderbook import Level
from chalicelib.domain.tape import BookChange, Segment, TradePrint

DATA_CHARS_MAX = 100_000
"""Deflated and in base64."""
NEAR = 100_000
"""How far from the touch levels stay when a segment is too large: 0.10."""
TEXT_BYTES_MAX = 16 * 1024 * 1024
_SPLITS_MAX = 12
FORM = 1


@dataclass(frozen=True, slots=True)
class TapeSegment:
    """A segment as it is stored; `digest` is SHA-256 of its content before packing."""

    token_id: str
    watcher: str
    ts_start: int
    ts_end: int
    complete: bool
    truncated: bool
    digest: str
    data: str
    version: int = 0


def segment_text(segment: Segment) -> str:
    """The content as one line of JSON: equal segments give equal text."""
    content = [
        FORM,
        segment.token_id,
        segment.watcher,
        segment.ts_start,
        segment.ts_end,
        segment.ts_book,
        int(segment.complete),
        int(segment.truncated),
        _level_columns(segment.bids),
        _level_columns(segment.asks),
        _event_columns(segment.changes, segment.ts_start),
        _event_columns(segment.prints, segment.ts_start),
        _steps(segment.proofs, segment.ts_start),
    ]
    return json.dumps(content, separators=(",", ":"))


def segment_digest(segment: Segment) -> str:
    """SHA-256 of the content, in hexadecimal."""
    return sha256(segment_text(segment).encode()).hexdigest()


def packed(segment: Segment) -> TapeSegment:
    """The row of one segment, whatever its size."""
    text = segment_text(segment).encode()
    return TapeSegment(
        segment.token_id,
        segment.watcher,
        segment.ts_start,
        segment.ts_end,
        segment.complete,
        segment.truncated,
        sha256(text).hexdigest(),
        b64encode(zlib.compress(text, 9)).decode(),
    )


def rows_of(segment: Segment) -> list[TapeSegment]:
    """Rows of at most DATA_CHARS_MAX each that together hold the segment.

    One that is too large loses its levels farther than NEAR from the touch, and says so; what is
    still too large is divided in time. Raises InvalidInput when even that does not help.
    """
    row = packed(segment)
    if len(row.data) <= DATA_CHARS_MAX:
        return [row]
    return _divided(near_touch(segment), _SPLITS_MAX)


def _divided(segment: Segment, splits: int) -> list[TapeSegment]:
    row = packed(segment)
    if len(row.data) <= DATA_CHARS_MAX:
        return [row]
    middle = segment.changes[len(segment.changes) // 2].ts_venue if segment.changes else 0
    # Both parts must be shorter, and every change of one moment stays in one part.
    middle = min(max(middle, segment.ts_start + 1), segment.ts_end - 1)
    if splits == 0 or not segment.ts_start < middle < segment.ts_end:
        raise InvalidInput("segment", "is too large to be stored")
    first, second = split_at(segment, middle)
    return [*_divided(first, splits - 1), *_divided(second, splits - 1)]


def split_at(segment: Segment, ts: int) -> tuple[Segment, Segment]:
    """The segment up to a venue time inside it, and from then on."""
    book = segment.book_at(ts)
    if book is None:
        raise InvalidInput("ts", "lies outside of the segment")
    earlier = segment.changes_between(segment.ts_start, ts)
    later = segment.changes_between(ts, segment.ts_end)
    # Either part's changes prove the other's copy too, by when they were received.
    proofs = {*segment.proofs, *(change.ts_received for change in segment.changes)}
    known = max((proof for proof in proofs if proof <= ts), default=None)
    first = replace(
        segment,
        ts_end=ts,
        changes=earlier,
        prints=tuple(p for p in segment.prints if p.ts_venue <= ts),
        proofs=tuple(sorted({*segment.proofs, *_received(later, 0, ts)})),
    )
    second = replace(
        segment,
        ts_start=ts,
        ts_book=book.ts_venue,
        bids=book.bids,
        asks=book.asks,
        changes=later,
        prints=tuple(p for p in segment.prints if p.ts_venue > ts),
        proofs=tuple(
            sorted(
                {
                    *([] if known is None else [known]),
                    *(proof for proof in segment.proofs if proof > ts),
                    *_received(earlier, ts + 1, segment.ts_end),
                }
            )
        ),
    )
    return first, second


def _received(changes: Iterable[BookChange], start: int, end: int) -> set[int]:
    return {c.ts_received for c in changes if start <= c.ts_received <= end}


def near_touch(segment: Segment) -> Segment:
    """The segment without levels farther than NEAR from where the touch ever was."""
    prices = list(_touches(segment))
    if not prices:
        return segment
    low, high = min(prices) - NEAR, max(prices) + NEAR
    changes = tuple(c for c in segment.changes if low <= c.price <= high)
    dropped = {c.ts_received for c in segment.changes if not low <= c.price <= high}
    return replace(
        segment,
        bids=tuple(level for level in segment.bids if low <= level.price <= high),
        asks=tuple(level for level in segment.asks if low <= level.price <= high),
        changes=changes,
        proofs=tuple(sorted(dropped.union(segment.proofs))),
        truncated=True,
    )


def _touches(segment: Segment) -> Iterable[int]:
    """Midpoints at every moment of the segment."""
    bids = {level.price: level.shares for level in segment.bids}
    asks = {level.price: level.shares for level in segment.asks}
    sides: dict[Side, dict[int, int]] = {"BUY": bids, "SELL": asks}
    if bids and asks:
        yield (max(bids) + min(asks)) // 2
    for change in segment.changes:
        totals = sides[change.side]
        if change.shares:
            totals[change.price] = change.shares
        else:
            totals.pop(change.price, None)
        if bids and asks:
            yield (max(bids) + min(asks)) // 2


def unpacked(row: TapeSegment) -> Segment:
    """The segment in a row. Raises InvalidInput when it does not hold what its digest says."""
    try:
        packer = zlib.decompressobj()
        text = packer.decompress(b64decode(row.data, validate=True), TEXT_BYTES_MAX)
        if not packer.eof:
            raise InvalidInput("segment", "is cut short or too large")
        if sha256(text).hexdigest() != row.digest:
            raise InvalidInput("segment", "does not match its digest")
        return _segment(json.loads(text))
    except (ValueError, TypeError, zlib.error) as error:
        raise InvalidInput("segment", f"cannot be read: {error}") from error


def _segment(content: Any) -> Segment:
    form, token_id, watcher, start, end, ts_book, complete, truncated, *columns = content
    if form != FORM or len(columns) != 5:
        raise InvalidInput("segment", "has a form that is not known")
    bids, asks, changes, prints, proofs = columns
    return Segment(
        token_id,
        watcher,
        start,
        end,
        ts_book,
        _levels(bids),
        _levels(asks),
        tuple(BookChange(*event) for event in _events(changes, start)),
        tuple(TradePrint(*event) for event in _events(prints, start)),
        tuple(_sums(proofs, start)),
        bool(complete),
        bool(truncated),
    )


def _steps(values: Sequence[int], start: int) -> list[int]:
    """Differences between neighbours; they are small and deflate well."""
    return [b - a for a, b in pairwise((start, *values))]


def _sums(steps: Sequence[int], start: int) -> list[int]:
    return list(accumulate(steps, initial=start))[1:]


def _level_columns(levels: Sequence[Level]) -> list[list[int]]:
    return [_steps([level.price for level in levels], 0), [level.shares for level in levels]]


def _levels(columns: Any) -> tuple[Level, ...]:
    prices, shares = columns
    return tuple(Level(p, s) for p, s in zip(_sums(prices, 0), shares, strict=True))


def _event_columns(events: Sequence[BookChange] | Sequence[TradePrint], start: int) -> list[Any]:
    return [
        _steps([e.ts_venue for e in events], start),
        [e.ts_received - e.ts_venue for e in events],
        "".join(e.side[0] for e in events),
        [e.price for e in events],
        [e.shares for e in events],
    ]


_SIDES: dict[str, Side] = {"B": "BUY", "S": "SELL"}


def _events(columns: Any, start: int) -> Iterable[tuple[int, int, Side, int, int]]:
    steps, lags, sides, prices, shares = columns
    times = _sums(steps, start)
    for ts, lag, side, price, total in zip(times, lags, sides, prices, shares, strict=True):
        yield ts, ts + lag, _SIDES[side], price, total
