"""The listing of copy attempts, one of them in full, and the tape around it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from chalicelib.domain.completeness import ts_block_of_attempt
from chalicelib.domain.lane import Attempt
from chalicelib.domain.money import price_nearest
from chalicelib.domain.slippage import Slippage, slippage
from chalicelib.ports import Rules, Store
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolios import ACCOUNT, portfolio_ref, portfolios_of
from chalicelib.services.read_models.attempt_detail import read_detail
from chalicelib.services.read_models.attempt_ref import key_of_ref, ref_of
from chalicelib.services.read_models.attempt_tape import read_attempt_tape
from chalicelib.services.read_models.listing import (
    EVER,
    Json,
    MarketTexts,
    Range,
    explained,
    names_of_leaders,
    page_of,
    tokens_of,
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which attempts a listing shows; None lets all through. `market` is a condition id."""

    portfolio: str | None = None
    decision: str | None = None
    leader: str | None = None
    market: str | None = None
    reason: str | None = None
    status: str | None = None
    within: Range = EVER


def list_attempts(
    store: Store, texts: MarketTexts, now: int, cursor: str | None, limit: int, which: Wanted
) -> Json:
    """Attempts of the current epochs newest first.

    Costs at most ROWS_PER_PAGE_MAX rows of the listing, whatever is wanted.
    """
    names = names_of_leaders(store)
    tokens = tokens_of(store, which.market)
    current = {ref.portfolio_id: ref.epoch for ref in portfolios_of(store)}
    found, following = page_of(
        store,
        Attempt,
        "portfolio",
        f"attempts#{ACCOUNT}#",
        now=now,
        cursor=cursor,
        limit=limit,
        wanted=lambda a: (
            current.get(a.portfolio_id) == a.epoch
            and which.portfolio in (None, a.portfolio_id)
            and which.decision in (None, a.decision.verdict)
            and which.leader in (None, a.leader)
            and which.status in (None, a.status)
            and (which.reason is None or which.reason in a.reasons)
            and (tokens is None or a.token_id in tokens)
        ),
        within=which.within,
    )
    items = [_row(texts, attempt, names) for attempt in found]
    return {"items": items, "next_cursor": following}


def read_attempt(
    store: Store, directory: MarketDirectory, rules: Rules, now: int, ref: str
) -> Json | None:
    """One attempt in full, None where there is none. Raises InvalidInput for a foreign name."""
    attempt = _current(store, ref)
    if attempt is None:
        return None
    evaluated = rules.rules_for(attempt.leader)
    texts = MarketTexts(directory, now, evaluated.close_guard_ms)
    row = _row(texts, attempt, names_of_leaders(store))
    return read_detail(attempt, row, directory.known(attempt.token_id), evaluated, now)


def read_tape_of(store: Store, now: int, ref: str) -> Json | None:
    """The tape around one attempt, None where there is none. Raises InvalidInput as above."""
    attempt = _current(store, ref)
    return read_attempt_tape(store, attempt, now) if attempt else None


def _current(store: Store, ref: str) -> Attempt | None:
    """The attempt of that name, unless its epoch was ended by a reset."""
    attempt = store.get(Attempt, key_of_ref(ref))
    portfolio = portfolio_ref(store, attempt.portfolio_id) if attempt else None
    return attempt if attempt and portfolio and portfolio.epoch == attempt.epoch else None


def _row(texts: MarketTexts, attempt: Attempt, names: Mapping[str, str]) -> Json:
    decision, outcome, order = attempt.decision, attempt.outcome, attempt.order
    shares = outcome.shares if outcome else 0
    vwap = price_nearest(outcome.cash, shares) if outcome and shares else None
    fared = _slippage(attempt, vwap)
    kind = "global" if attempt.portfolio_id.endswith("/global") else "leader"
    rests = bool(outcome and outcome.rests)
    return {
        "attempt_id": attempt.attempt_id,
        "ref": ref_of(attempt),
        "group_id": attempt.group_id,
        "portfolio_id": attempt.portfolio_id,
        "portfolio_kind": kind,
        "leader": attempt.leader,
        "leader_name": names.get(attempt.leader, ""),
        **texts.fields(attempt.token_id),
        "side": attempt.side,
        "decision": decision.verdict,
        "status": attempt.status,
        "reasons": explained(attempt.reasons),
        "target_shares_micros": decision.target_shares,
        "limit_micros": decision.limit,
        "filled_shares_micros": shares,
        "vwap_micros": vwap,
        "cash_micros": outcome.cash if outcome else 0,
        "fee_micros": outcome.fee if outcome else 0,
        "leader_price_micros": decision.leader_price,
        "leader_shares_micros": decision.leader_shares,
        "best_micros": decision.best,
        "mid_micros": decision.mid,
        "spread_micros": decision.spread,
        "slippage_leader_micros": fared.leader if fared else None,
        "slippage_mid_micros": fared.mid if fared else None,
        "slippage_arrival_micros": fared.arrival if fared else None,
        "ts_block": ts_block_of_attempt(attempt),
        "ts_opened": attempt.ts_opened,
        "ts_decided": decision.ts_decided,
        "ts_placed": order.ts_placed if order else None,
        "ts_first_fill": outcome.slices[0].ts if outcome and outcome.slices else None,
        "ts_done": outcome.ts_done if outcome and not rests else None,
        "ts_expiry": order.ts_expiry if order else None,
        "known_until": outcome.ts_done if outcome and rests else None,
        "book_source": outcome.book_source if outcome else None,
        "late_by_ms": attempt.late_by_ms,
    }


def _slippage(attempt: Attempt, vwap: int | None) -> Slippage | None:
    """As stored; worked out for an outcome that is not in the ledger yet."""
    if vwap is None or attempt.slippage:
        return attempt.slippage
    decision, outcome = attempt.decision, attempt.outcome
    arrival = outcome.best if outcome else None
    return slippage(attempt.side, vwap, decision.leader_price, decision.mid, arrival)
