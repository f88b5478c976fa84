"""What a decided market pays a portfolio for the shares it still holds."""

from __future__ import annotations

from chalicelib.domain.ledger import Entry
from chalicelib.domain.money import cash_floor
from chalicelib.domain.portfolio import Head, Position


def settlement_reference(condition_id: str, position: Position, number: int) -> str:
    """The name of a settlement entry: `number` is 0, unless the position was opened again."""
    return f"settlement/{condition_id}/{position.token_id}/{position.leader}/{number}"


def settlement_entry(
    head: Head, position: Position, reference: str, payout: int, ts_resolved: int
) -> Entry:
    """All shares against their payout (micros per share), rounded down to the micro.

    The loser's shares leave for nothing; what they cost is realized as a loss.
    """
    return Entry(
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        seq=head.entries,
        kind="SETTLEMENT",
        reference=reference,
        token_id=position.token_id,
        leader=position.leader,
        shares=-position.shares,
        cash=cash_floor(position.shares, payout),
        ts_effective=ts_resolved,
    )
