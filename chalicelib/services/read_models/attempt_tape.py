"""The recorded book around one attempt, ready to be drawn."""

from __future__ import annotations

from chalicelib.domain.completeness import ts_block_of_attempt
from chalicelib.domain.lane import Attempt
from chalicelib.ports import Store
from chalicelib.services.read_models.listing import Json
from chalicelib.services.read_models.tape_series import series_of
from chalicelib.services.tapes import read_tape

BEFORE_MS = 5_000
AFTER_MS = 2_000
SPAN_MS_MAX = 600_000
"""No order of ours lives longer than its time to live; a broken row must not read an hour."""
FILLS_MAX = 400


def read_attempt_tape(store: Store, attempt: Attempt, now: int) -> Json:
    """The book from BEFORE_MS before the decision to AFTER_MS after the order's end so far.

    `source` is what the simulation used; `complete` says that the recording holds every moment
    from the decision to `ts_end`. Raises Retryable.
    """
    decision, order, outcome = attempt.decision, attempt.order, attempt.outcome
    end = _end(attempt, now)
    t0 = decision.ts_decided - BEFORE_MS
    t1 = min(end + AFTER_MS, t0 + SPAN_MS_MAX)
    tape = read_tape(store, attempt.token_id, t0, t1)
    return {
        "now": now,
        "attempt_id": attempt.attempt_id,
        "source": _source(attempt),
        "recorded": any(s.complete and s.ts_end >= t0 and s.ts_start <= t1 for s in tape.segments),
        "complete": tape.covers(decision.ts_decided, end),
        "ts_from": t0,
        "ts_until": t1,
        "ts_decided": decision.ts_decided,
        "ts_placed": order.ts_placed if order else None,
        "ts_end": end,
        "ts_expiry": order.ts_expiry if order else None,
        "rests": bool(outcome and outcome.rests),
        "over": attempt.status not in ("SUBMITTED", "PARTIAL"),
        "side": attempt.side,
        "limit_micros": decision.limit,
        "leader": {"ts": ts_block_of_attempt(attempt), "price_micros": decision.leader_price},
        "snapshot": _snapshot(attempt),
        "fills": [
            {"ts": part.ts, "price_micros": level.price, "shares_micros": level.shares}
            for part in (outcome.slices if outcome else ())
            for level in part.levels
        ][:FILLS_MAX],
        **series_of(tape, t0, t1),
    }


def _end(attempt: Attempt, now: int) -> int:
    """Until when the order worked, as far as that is known; the decision where none was placed."""
    order, outcome = attempt.order, attempt.outcome
    if order is None:
        return attempt.decision.ts_decided
    if outcome is None:
        return order.ts_placed
    return max(order.ts_placed, min(now, order.ts_expiry) if outcome.rests else outcome.ts_done)


def _source(attempt: Attempt) -> str | None:
    if attempt.outcome and attempt.outcome.ts_book is not None:
        return attempt.outcome.book_source
    if attempt.decision.ts_book is None:
        return None
    return "tape" if attempt.decision.segment else "rest"


def _snapshot(attempt: Attempt) -> Json | None:
    """The best prices the decision saw."""
    decision = attempt.decision
    if decision.best is None or decision.spread is None:
        return None
    buy = attempt.side == "BUY"
    bid = decision.best - decision.spread if buy else decision.best
    ask = decision.best if buy else decision.best + decision.spread
    return {"ts": decision.ts_decided, "bid_micros": bid, "ask_micros": ask}
