"""What a replay came to, and whether it is what was recorded."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from hashlib import sha256
from pathlib import Path
from typing import Any

from chalicelib.adapters import codec
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import digest
from chalicelib.domain.portfolio import Head, Position, positions_value
from chalicelib.replay.played import Played
from chalicelib.services.record_period import over_at
from chalicelib.services.recordings import Recording

MISMATCHES_MAX = 1_000
"""Differences that are listed; all are counted."""
NOT_COMPARED = frozenset(
    {
        "ran_at",
        "late_by_ms",
        "stress",
        "seen",
        "retracted_shares",
        "version",
    }
)
"""Fields of an attempt that decide nothing, or note what came later."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """One difference between what was recorded and what was recomputed, as text."""

    subject: str
    field: str
    recorded: str
    recomputed: str


def digests_of(played: Played) -> dict[str, str]:
    """The digest of each portfolio's ledger."""
    return {ref.portfolio_id: played.left.digest(ref) for ref in played.refs}


def digest_of_all(digests: Mapping[str, str]) -> str:
    """One digest over all portfolios."""
    text = "".join(f"{name}|{value}\n" for name, value in sorted(digests.items()))
    return sha256(text.encode()).hexdigest()


def summary(recording: Recording, played: Played) -> dict[str, Any]:
    """Figures of a replay; amounts in micros, unrealized gains at the last marks known to it."""
    digests = digests_of(played)
    prices = played.left.prices()
    reasons: Counter[str] = Counter()
    verdicts: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    portfolios: dict[str, Any] = {}
    for ref in played.refs:
        head = None if ref.kind == "shadow" else played.left.head(ref)
        if head is None:
            continue
        attempts = played.left.attempts(ref)
        verdicts.update(a.decision.verdict for a in attempts)
        statuses.update(a.status for a in attempts)
        reasons.update(r for a in attempts for r in a.reasons)
        held = played.left.positions(ref)
        portfolios[ref.portfolio_id] = _figures(head, held, prices, len(attempts))
    header = recording.header
    return {
        "source": header.source,
        "ts_from": header.ts_from,
        "ts_until": header.ts_until,
        "arrivals": len(recording.arrivals),
        "fills": sum(_fills(a.message) for a in recording.arrivals if a.message),
        "groups": len({a.group_id for ref in played.refs for a in played.left.attempts(ref)}),
        "attempts": sum(verdicts.values()),
        "verdicts": dict(sorted(verdicts.items())),
        "statuses": dict(sorted(statuses.items())),
        "reasons": dict(sorted(reasons.items())),
        "portfolios": dict(sorted(portfolios.items())),
        "digests": dict(sorted(digests.items())),
        "digest": digest_of_all(digests),
        "refused": len(played.refused),
    }


def _fills(message: FillMessage) -> int:
    return len(message.chain) + sum(row.count for item in message.api for row in item.rows)


def _figures(
    head: Head, held: list[Position], prices: Mapping[str, int], attempts: int
) -> dict[str, int]:
    value = positions_value(held, prices)
    equity = head.cash + value
    return {
        "attempts": attempts,
        "executed": head.executed,
        "skipped": head.skipped,
        "filled": head.filled + head.partial,
        "no_fill": head.no_fill,
        "fees_micros": head.fees,
        "cash_micros": head.cash,
        "equity_micros": equity,
        "realized_micros": head.realized,
        "pnl_micros": equity - head.starting_cash - head.brought,
    }


def compare(recording: Recording, played: Played) -> tuple[int, list[Mismatch]]:
    """How many differences there are, and the first MISMATCHES_MAX of them.

    Every recorded attempt is compared with the one that was recomputed, and every ledger's digest.
    A recording without attempts and closing digests has nothing to compare; of one that ends while
    orders are open only what was over by then is compared.
    """
    found: list[Mismatch] = []
    total = 0
    for mismatch in _differences(recording, played):
        total += 1
        if len(found) < MISMATCHES_MAX:
            found.append(mismatch)
    return total, found


def _differences(recording: Recording, played: Played) -> Iterator[Mismatch]:
    if recording.attempts:
        made = {a.attempt_id: a for ref in played.refs for a in played.left.attempts(ref)}
        header = recording.header
        for told in sorted(recording.attempts, key=lambda a: (a.ran_at, a.attempt_id)):
            again = made.pop(told.attempt_id, None)
            if not header.quiet and over_at(told) > header.ts_until:
                continue
            if again is None:
                yield Mismatch(f"attempt {told.attempt_id}", "", "decided", "never decided")
            else:
                yield from _apart(f"attempt {told.attempt_id}", told, again)
        for extra in sorted(made) if header.quiet else ():
            yield Mismatch(f"attempt {extra}", "", "never decided", "decided")
    refs = {ref.portfolio_id: ref for ref in played.refs}
    for closing in recording.header.closing:
        ref = refs.get(closing.portfolio_id)
        entries = played.left.ledger(ref) if ref else []
        if len(entries) != closing.entries:
            yield Mismatch(closing.portfolio_id, "entries", str(closing.entries), str(len(entries)))
        if digest(entries) != closing.digest:
            yield Mismatch(closing.portfolio_id, "digest", closing.digest, digest(entries))


def _apart(subject: str, told: Attempt, again: Attempt) -> Iterator[Mismatch]:
    """Every field in which two attempts differ, one level into decision, order and outcome."""
    for field in fields(Attempt):
        if field.name in NOT_COMPARED:
            continue
        one, two = getattr(told, field.name), getattr(again, field.name)
        if one == two:
            continue
        if field.name in ("decision", "order", "outcome") and one and two:
            for inner in fields(one):
                a, b = getattr(one, inner.name), getattr(two, inner.name)
                if a != b:
                    yield Mismatch(subject, f"{field.name}.{inner.name}", f"{a!r}", f"{b!r}")
        else:
            yield Mismatch(subject, field.name, f"{one!r}", f"{two!r}")


def write_out(played: Played, folder: Path) -> None:
    """Ledger, attempts and decisions as JSON lines, one file each, portfolios by name.

    Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    refs = sorted(played.refs, key=lambda ref: ref.portfolio_id)
    with (folder / "ledger.jsonl").open("w") as ledger:
        for ref in refs:
            ledger.writelines(f"{codec.to_text(entry)}\n" for entry in played.left.ledger(ref))
    with (
        (folder / "attempts.jsonl").open("w") as attempts,
        (folder / "decisions.jsonl").open("w") as decisions,
    ):
        for ref in refs:
            for attempt in played.left.attempts(ref):
                attempts.write(f"{codec.to_text(attempt)}\n")
                decision = codec.to_plain(attempt.decision)
                named = {"attempt_id": attempt.attempt_id, "portfolio_id": ref.portfolio_id}
                decisions.write(f"{json.dumps({**named, **decision})}\n")
