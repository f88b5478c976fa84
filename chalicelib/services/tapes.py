"""Tapes in the store: the watcher writes segments, execution reads them and asks for more."""

from __future__ import annotations

from collections.abc import Iterable

from chalicelib.domain.errors import Conflict, InvalidInput
from chalicelib.domain.registry import TapeRequest
from chalicelib.domain.tape import Segment, Tape, tape_of
from chalicelib.domain.tape_text import TapeSegment, rows_of, unpacked
from chalicelib.keyspace import key_of, tape_pk
from chalicelib.ports import QUERY_LIMIT_MAX, Metrics, Put, Store

SEGMENT_MS_MAX = 10_000
"""No stored segment is longer."""
ROWS_MAX = 400
"""Rows of one tape that are read at most: an hour without interruption."""
PAGE = 50
REQUEST_MS_MAX = 300_000
REQUESTS_MAX = QUERY_LIMIT_MAX
REQUEST_LATE_MS = 30_000
"""A request that ended this long ago may still be served from a ring."""


def write_segments(store: Store, segments: Iterable[Segment], metrics: Metrics) -> None:
    """Store segments, each once. Raises Retryable; writing them again is harmless."""
    for segment in segments:
        try:
            rows = rows_of(segment)
        except InvalidInput:
            metrics.count("tape_too_large")
            continue
        for row in rows:
            try:
                store.commit([Put(row)])
            except Conflict:
                # The same watcher wrote this moment before.
                metrics.count("tape_written_before")
            else:
                metrics.count("tape_segments")


def tape_rows(store: Store, token_id: str, t0: int, t1: int) -> list[TapeSegment]:
    """Stored segments of a token that touch the span, in order of start."""
    start, end = f"{max(0, t0 - SEGMENT_MS_MAX):013d}", f"{t1 + 1:013d}"
    rows: list[TapeSegment] = []
    while len(rows) < ROWS_MAX:
        page = store.query(
            TapeSegment, "activity", tape_pk(token_id), start=start, end=end, limit=PAGE
        )
        rows += [row for row in page if row.ts_end >= t0]
        if len(page) < PAGE:
            break
        start = key_of(page[-1]).sk + "\x00"
    return rows


def read_tape(store: Store, token_id: str, t0: int, t1: int) -> Tape:
    """The tape of a token over a span of venue time, empty where nothing was written.

    A row that does not hold what its digest says is left out. Raises Retryable.
    """
    segments: list[Segment] = []
    for row in tape_rows(store, token_id, t0, t1):
        try:
            segments.append(unpacked(row))
        except InvalidInput:
            continue
    return tape_of(token_id, segments)


def request_tape(store: Store, token_id: str, ts_from: int, ts_until: int) -> None:
    """Have the watcher write a token's tape over a span, at most REQUEST_MS_MAX long.

    Asking twice is harmless. Raises Retryable.
    """
    until = min(ts_until, ts_from + REQUEST_MS_MAX)
    try:
        store.commit([Put(TapeRequest(token_id, ts_from, until))])
    except Conflict:
        return


def tape_requests(store: Store, now_ms: int) -> list[TapeRequest]:
    """What is wanted now, those that end first first; at most REQUESTS_MAX. Raises Retryable."""
    start = f"{max(0, now_ms - REQUEST_LATE_MS):013d}"
    return store.query(TapeRequest, "activity", "tape_requests", start=start, limit=REQUESTS_MAX)
