"""How much worse an order fared than three prices it may be held against."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.exchange_log import Side


@dataclass(frozen=True, slots=True)
class Slippage:
    """Micros per share, positive to our disadvantage; None where the price is not known.

    Against the leader's average price, the midpoint at the decision, and the arrival price: the
    best offer that the order met at its placement.
    """

    leader: int
    mid: int | None
    arrival: int | None


def slippage(
    side: Side, vwap: int, leader_price: int, mid: int | None, arrival: int | None
) -> Slippage:
    """The slippage of an average fill price."""

    def worse(price: int) -> int:
        return vwap - price if side == "BUY" else price - vwap

    return Slippage(
        worse(leader_price),
        None if mid is None else worse(mid),
        None if arrival is None else worse(arrival),
    )
