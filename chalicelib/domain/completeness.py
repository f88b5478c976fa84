"""One leader's hour of detection, held against the venue's own record of it.

The unit is the trade (wallet, transaction, token, side). Only trades whose block is older than
SETTLED_MS are judged: until then the venue's own record is still being written.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.evidence import ApiEvidence
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.lag import NO_LAGS, Lags, Stage, histogram
from chalicelib.domain.lane import Attempt
from chalicelib.domain.trade import Source, Trade, effective, state_of, ts_block_of

HOUR_MS = 3_600_000
SETTLED_MS = 120_000
LIVE_MS = 60_000

Verdict = Literal["live", "recovered", "missed", "duplicated"]


@dataclass(frozen=True, slots=True)
class Shown:
    """What the venue's record says of one trade: shares in micros, block time in milliseconds."""

    trade_id: str
    shares: int
    ts_block: int


@dataclass(frozen=True, slots=True)
class HourTally:
    """How completely and how fast one leader's trades of one hour were detected.

    `ts_hour` is the hour's start; trades with ts_from ≤ block time < ts_until were judged
    (milliseconds). live + recovered + missed + duplicated is the number of trades in the venue's
    record; `missed` are those we have too few shares of, `duplicated` those we have too many of,
    `recovered` those first seen more than LIVE_MS after their block. `unconfirmed` are ours that
    the record does not show; `disagreeing` counts trades whose sources state different totals.
    """

    leader: str
    ts_hour: int
    ts_from: int
    ts_until: int
    live: int = 0
    recovered: int = 0
    missed: int = 0
    duplicated: int = 0
    unconfirmed: int = 0
    disagreeing: int = 0
    chain_first: int = 0
    api_first: int = 0
    lags: Lags = NO_LAGS
    version: int = 0

    @property
    def final(self) -> bool:
        """Whether the whole hour was judged."""
        return self.ts_until >= self.ts_hour + HOUR_MS

    @property
    def clean(self) -> bool:
        """Whether nothing is missing, counted twice or in dispute."""
        return self.missed == self.duplicated == self.disagreeing == 0


def hour_of(ts_ms: int) -> int:
    """The start of the hour of a time, both in milliseconds."""
    return ts_ms - ts_ms % HOUR_MS


def shown_by(wallet: str, evidence: ApiEvidence) -> Shown:
    """What one trade's rows of a complete poll add up to."""
    return Shown(
        trade_id(wallet, evidence.tx_hash, evidence.token_id, evidence.side),
        sum(row.shares * row.count for row in evidence.rows),
        min(row.ts_block for row in evidence.rows),
    )


def first_seen(trade: Trade) -> tuple[Source, int] | None:
    """Who saw the trade first and when; on a tie the chain. None before any evidence."""
    chain, api = trade.ts_seen_chain, trade.ts_seen_api
    if chain is None and api is None:
        return None
    if chain is not None and (api is None or chain <= api):
        return "chain", chain
    return "api", api or 0


def judge(trade: Trade | None, shown: Shown) -> Verdict:
    """How a trade of the venue's record was detected.

    Where a receipt has answered what the trade is, the record is no longer the measure of it.
    """
    if trade is None:
        return "missed"
    ours = effective(trade).shares
    if ours != shown.shares and state_of(trade) != "resolved":
        return "missed" if ours < shown.shares else "duplicated"
    seen = first_seen(trade)
    return "live" if seen and seen[1] - shown.ts_block <= LIVE_MS else "recovered"


def _detection_lags(trades: Iterable[Trade]) -> Iterator[tuple[Stage, int]]:
    for trade in trades:
        block, seen = ts_block_of(trade), first_seen(trade)
        if trade.ts_seen_chain is not None:
            yield "chain", trade.ts_seen_chain - block
        if trade.ts_seen_api is not None:
            yield "api", trade.ts_seen_api - block
        if seen:
            yield "first_seen", seen[1] - block


def ts_block_of_attempt(attempt: Attempt) -> int:
    """Block time of the first fill the attempt copies, in milliseconds."""
    return attempt.decision.ts_decided - attempt.decision.age_ms


def _copy_lags(attempts: Iterable[Attempt]) -> Iterator[tuple[Stage, int]]:
    for attempt in attempts:
        block, outcome = ts_block_of_attempt(attempt), attempt.outcome
        yield "decided", attempt.decision.ts_decided - block
        if attempt.order:
            yield "placed", attempt.order.ts_placed - block
        if outcome and outcome.slices:
            yield "first_fill", outcome.slices[0].ts - block
        if outcome and not outcome.rests:
            yield "done", outcome.ts_done - block


def lags_of(trades: Iterable[Trade], attempts: Iterable[Attempt]) -> Lags:
    """Delays after the block's time of these trades and of the attempts to copy them."""
    found: dict[Stage, list[int]] = {}
    for stage, lag in (*_detection_lags(trades), *_copy_lags(attempts)):
        found.setdefault(stage, []).append(lag)
    return Lags(**{stage: histogram(lags) for stage, lags in found.items()})


def tally_hour(
    leader: str,
    ts_hour: int,
    ts_from: int,
    ts_until: int,
    shown: Mapping[str, Shown],
    ours: Mapping[str, Trade],
    attempts: Iterable[Attempt],
) -> HourTally:
    """The hour's tally from the venue's record, our trades and our attempts, all by trade id.

    What lies outside ts_from ≤ block time < ts_until is left out: by the venue's block time where
    the record shows the trade, else by ours.
    """

    def judged(ts_block: int) -> bool:
        return ts_from <= ts_block < ts_until

    record = {key: s for key, s in shown.items() if judged(s.ts_block)}
    verdicts = [judge(ours.get(key), s) for key, s in record.items()]
    held = [
        trade
        for key, trade in ours.items()
        if effective(trade).shares
        and (key in record or (key not in shown and judged(ts_block_of(trade))))
    ]
    # A trade without shares is no longer one of ours, but its sources may still be in dispute.
    disputed = [
        trade
        for key, trade in ours.items()
        if state_of(trade) == "disagreeing" and (key in record or judged(ts_block_of(trade)))
    ]
    firsts = [seen[0] for seen in map(first_seen, held) if seen]
    copies = [a for a in attempts if judged(ts_block_of_attempt(a))]
    return HourTally(
        leader=leader,
        ts_hour=ts_hour,
        ts_from=ts_from,
        ts_until=ts_until,
        live=verdicts.count("live"),
        recovered=verdicts.count("recovered"),
        missed=verdicts.count("missed"),
        duplicated=verdicts.count("duplicated"),
        unconfirmed=sum(trade.trade_id not in record for trade in held),
        disagreeing=len(disputed),
        chain_first=firsts.count("chain"),
        api_first=firsts.count("api"),
        lags=lags_of(held, copies),
    )
