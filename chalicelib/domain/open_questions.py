"""What about a trade only a receipt can answer, and whether it still has to be asked."""

from __future__ import annotations

from chalicelib.domain.trade import (
    Question,
    QuestionKind,
    Trade,
    api_totals,
    chain_totals,
    spoken,
    state_of,
)

API_LARGER_MS = 0
CHAIN_LARGER_MS = 20_000
API_ONLY_MS = 20_000
SECOND_LOOK_MS = 60_000
"""How long a receipt is waited with: whether more evidence is likely to answer by itself."""


def questions(trade: Trade, ts_seen: int, *, both: bool) -> tuple[Question, ...]:
    """What about this trade only a receipt can answer now; `both`: both sources are listened to.

    A fill that only the chain knows is no question: the API is simply slower.
    """
    found: list[Question] = []
    state = state_of(trade)
    if is_open(trade, "removed"):
        at_once = _ts_read(trade) < trade.ts_removed
        due = ts_seen if at_once else trade.ts_removed + SECOND_LOOK_MS
        found.append(Question("removed", due))
    elif state == "disagreeing":
        larger = api_totals(trade).shares > chain_totals(trade).shares
        wait = API_LARGER_MS if larger else CHAIN_LARGER_MS
        found.append(Question("disagreement", ts_seen + wait))
    if state == "api_only" and both and not trade.backfill:
        found.append(Question("api_only", ts_seen + API_ONLY_MS))
    asked = {question.kind for question in trade.asked}
    return tuple(question for question in found if question.kind not in asked)


def _ts_read(trade: Trade) -> int:
    receipt = spoken(trade)
    return receipt.ts_read if receipt else 0


def is_open(trade: Trade, kind: QuestionKind) -> bool:
    """Whether a question that was asked still needs a receipt.

    What was removed is looked at once more SECOND_LOOK_MS after the last removal.
    """
    if kind == "removed":
        return trade.ts_removed > 0 and _ts_read(trade) < trade.ts_removed + SECOND_LOOK_MS
    if kind == "unshown":
        return bool(trade.rows) and spoken(trade) is None
    if kind == "still_shown":
        receipt = spoken(trade)
        return receipt is not None and not receipt.legs
    if kind == "disagreement":
        return state_of(trade) == "disagreeing"
    return state_of(trade) == "api_only"
