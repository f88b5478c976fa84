"""Every reason a decision or an attempt can carry, with the sentence shown to people."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something was skipped or ended as it did."""

    SKIP_BACKFILL = "SKIP_BACKFILL"
    SETTINGS_REFUSED = "SETTINGS_REFUSED"
    UNKNOWN_TOKEN = "UNKNOWN_TOKEN"
    MARKET_CLOSED = "MARKET_CLOSED"
    MARKET_CLOSES_SOON = "MARKET_CLOSES_SOON"
    LEADER_TRADE_TOO_SMALL = "LEADER_TRADE_TOO_SMALL"
    LEADER_SELL_ONLY = "LEADER_SELL_ONLY"
    BELOW_MINIMUM = "BELOW_MINIMUM"
    BELOW_MARKETABLE_MINIMUM = "BELOW_MARKETABLE_MINIMUM"
    NO_POSITION = "NO_POSITION"
    DUST = "DUST"
    TOO_OLD = "TOO_OLD"
    CATCH_UP_NOT_BETTER = "CATCH_UP_NOT_BETTER"
    BOOK_MISSING = "BOOK_MISSING"
    BOOK_STALE = "BOOK_STALE"
    BOOK_TOO_LATE = "BOOK_TOO_LATE"
    OUTSIDE_PRICE_BAND = "OUTSIDE_PRICE_BAND"
    WORSE_THAN_LEADER = "WORSE_THAN_LEADER"
    BEYOND_MID = "BEYOND_MID"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE"
    DEPTH_TOO_THIN = "DEPTH_TOO_THIN"
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    NO_LIQUIDITY_WITHIN_BOUNDS = "NO_LIQUIDITY_WITHIN_BOUNDS"
    REMAINDER_KILLED = "REMAINDER_KILLED"


EXPLANATIONS: dict[Reason, str] = {
    Reason.SKIP_BACKFILL: "The fill is history recovered later; history never trades.",
    Reason.SETTINGS_REFUSED: "A stored setting is unusable; nothing is copied until it is mended.",
    Reason.UNKNOWN_TOKEN: "The market of this token is not known yet.",
    Reason.MARKET_CLOSED: "The market is closed or does not accept orders.",
    Reason.MARKET_CLOSES_SOON: "The market closes too soon for a new position.",
    Reason.LEADER_TRADE_TOO_SMALL: "The leader's trade is below the smallest notional we follow.",
    Reason.LEADER_SELL_ONLY: "This leader is being unfollowed: only his sells are copied.",
    Reason.BELOW_MINIMUM: "Our largest allowed size is below the smallest order we place.",
    Reason.BELOW_MARKETABLE_MINIMUM: "The order is below the venue's minimum for taking.",
    Reason.NO_POSITION: "We hold nothing of this leader in this token.",
    Reason.DUST: "What the sell asks of us is too small to place.",
    Reason.TOO_OLD: "The trade was detected too late to open a position.",
    Reason.CATCH_UP_NOT_BETTER: "Detected late, and the price is now worse than the leader's.",
    Reason.BOOK_MISSING: "The venue shows no order book for this token.",
    Reason.BOOK_STALE: "Our copy of the order book was too old to decide on.",
    Reason.BOOK_TOO_LATE: "We came too late to know the order book of that moment.",
    Reason.OUTSIDE_PRICE_BAND: "The price is outside the band in which we open positions.",
    Reason.WORSE_THAN_LEADER: "The best price is too much worse than the leader's.",
    Reason.BEYOND_MID: "The best price is too far from the midpoint.",
    Reason.SPREAD_TOO_WIDE: "The spread is wider than allowed.",
    Reason.DEPTH_TOO_THIN: "Too few shares are offered inside the price limit.",
    Reason.INSUFFICIENT_CASH: "The portfolio's free cash does not cover the order and its fee.",
    Reason.NO_LIQUIDITY_WITHIN_BOUNDS: "Nothing was offered inside the limit when we placed.",
    Reason.REMAINDER_KILLED: "The part that could not be filled at once was cancelled.",
}
