"""What of a poll's evidence was handed over before, remembered in a bounded number of digests.

Evidence is remembered one by one where rows may still come late, and by whole minutes where they
are settled, so that reaching far back does not mean sending everything again and again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from hashlib import sha256

from chalicelib.domain.evidence import ActivityEvidence, ApiEvidence

BUCKET_SECONDS = 60
DIGESTS_MAX = 2_000
"""With room for the rest of the row this keeps a cursor under a tenth of the store's limit."""
REFUSED_MAX = 200

Evidence = ApiEvidence | ActivityEvidence


def digest_of(text: str) -> str:
    """Names a text among some thousands of others."""
    return sha256(text.encode()).hexdigest()[:16]


def evidence_digest(item: Evidence) -> str:
    """Names what an item says; another count is another statement."""
    if isinstance(item, ApiEvidence):
        rows = ",".join(f"{r.shares}/{r.price_e10}x{r.count}" for r in item.rows)
        return digest_of(f"{item.tx_hash}|{item.token_id}|{item.side}|{rows}")
    return digest_of(
        f"{item.kind}|{item.tx_hash}|{item.condition_id}|{item.token_id}|{item.outcome_index}"
        f"|{item.shares}|{item.cash}x{item.count}"
    )


def ts_of(item: Evidence) -> int:
    """The block time of an item in milliseconds."""
    return item.rows[0].ts_block if isinstance(item, ApiEvidence) else item.ts_block


def _buckets(shown: Iterable[Evidence]) -> Iterator[tuple[int, str, list[tuple[str, Evidence]]]]:
    """(start in seconds, digest, named items) of each minute that has any, oldest first."""
    minutes: dict[int, list[tuple[str, Evidence]]] = {}
    for item in shown:
        minutes.setdefault(ts_of(item) // 1000 // BUCKET_SECONDS, []).append(
            (evidence_digest(item), item)
        )
    for minute in sorted(minutes):
        items = minutes[minute]
        names = ",".join(sorted(name for name, _ in items))
        yield minute * BUCKET_SECONDS, digest_of(f"minute|{minute}|{names}"), items


def unsent(shown: Iterable[Evidence], sent: Collection[str]) -> list[Evidence]:
    """The items that were not handed over as they are now, in order of time."""
    known = set(sent)
    return [
        item
        for _, bucket, items in _buckets(shown)
        if bucket not in known
        for name, item in items
        if name not in known
    ]


def remembered(
    shown: Iterable[Evidence], refused: Iterable[str], settled_seconds: int
) -> tuple[str, ...]:
    """Digests that stand for everything in a poll; when there are too many the oldest go.

    Minutes that ended before `settled_seconds` become one digest each, so such minutes must be
    shown whole or not at all. `refused` are digests of rows that could not be read.
    """
    digests: list[str] = []
    for start, bucket, items in _buckets(shown):
        if start + BUCKET_SECONDS <= settled_seconds:
            digests.append(bucket)
        else:
            digests += [name for name, _ in items]
    kept = list(refused)[-REFUSED_MAX:]
    return (*kept, *digests[-(DIGESTS_MAX - len(kept)) :])
