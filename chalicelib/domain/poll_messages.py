"""Evidence of one poll as messages the queue can carry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from chalicelib.domain.activity_raw import raw_weight
from chalicelib.domain.evidence import (
    EVIDENCE_MAX,
    RAW_CHARS_MAX,
    ROWS_MAX,
    ActivityEvidence,
    ApiEvidence,
    FillMessage,
)
from chalicelib.domain.poll_memory import Evidence, ts_of

BACKFILL_AGE_MS = 86_400_000
"""Activity older than this is history, whatever the reason for reading it."""


def poll_messages(
    leader: str, wallet: str, ts_seen: int, items: Sequence[Evidence]
) -> Iterator[FillMessage]:
    """Messages of `items`, in their order; what is history travels apart from what is not.

    The rows of one trade are never divided, because their count is the evidence.
    """
    part: list[Evidence] = []
    rows = chars = 0
    old = False
    for item in items:
        its_rows = len(item.rows) if isinstance(item, ApiEvidence) else 0
        is_old = ts_seen - ts_of(item) > BACKFILL_AGE_MS
        full = (
            len(part) == EVIDENCE_MAX
            or rows + its_rows > ROWS_MAX
            or chars + raw_weight(item.raw) > RAW_CHARS_MAX
        )
        if part and (full or is_old != old):
            yield _message(leader, wallet, ts_seen, old, part)
            part, rows, chars = [], 0, 0
        old = is_old
        part.append(item)
        rows += its_rows
        chars += raw_weight(item.raw)
    if part:
        yield _message(leader, wallet, ts_seen, old, part)


def _message(
    leader: str, wallet: str, ts_seen: int, old: bool, part: Sequence[Evidence]
) -> FillMessage:
    return FillMessage(
        leader,
        wallet,
        ts_seen,
        backfill=old,
        api=tuple(item for item in part if isinstance(item, ApiEvidence)),
        events=tuple(item for item in part if isinstance(item, ActivityEvidence)),
    )
