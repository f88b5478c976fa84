"""Every reason a decision or an attempt can carry, with the sentence shown to people."""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """Why something was skipped or ended as it did."""

    SKIP_BACKFILL = "SKIP_BACKFILL"
    NO_FOLLOWER = "NO_FOLLOWER"
    INCREMENT_TOO_SMALL = "INCREMENT_TOO_SMALL"
    COMBO_NOT_COPYABLE = "COMBO_NOT_COPYABLE"
    SELF_TRADE = "SELF_TRADE"
    LEADER_FILL_RETRACTED = "LEADER_FILL_RETRACTED"
    SETTINGS_REFUSED = "SETTINGS_REFUSED"
    POLYGON_UNHEALTHY = "POLYGON_UNHEALTHY"
    API_UNHEALTHY = "API_UNHEALTHY"
    UNKNOWN_TOKEN = "UNKNOWN_TOKEN"
    MARKET_CLOSED = "MARKET_CLOSED"
    MARKET_CLOSES_SOON = "MARKET_CLOSES_SOON"
    MARKET_BLACKLISTED = "MARKET_BLACKLISTED"
    NOT_WHITELISTED = "NOT_WHITELISTED"
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
    PRICE_MOVED = "PRICE_MOVED"
    SPREAD_TOO_WIDE = "SPREAD_TOO_WIDE"
    DEPTH_TOO_THIN = "DEPTH_TOO_THIN"
    INSUFFICIENT_CASH = "INSUFFICIENT_CASH"
    NO_LIQUIDITY_WITHIN_BOUNDS = "NO_LIQUIDITY_WITHIN_BOUNDS"
    REMAINDER_KILLED = "REMAINDER_KILLED"
    REMAINDER_CANCELLED = "REMAINDER_CANCELLED"
    TAPE_INCOMPLETE = "TAPE_INCOMPLETE"


EXPLANATIONS: dict[Reason, str] = {
    Reason.SKIP_BACKFILL: "The fill is history recovered later; history never trades.",
    Reason.NO_FOLLOWER: "No portfolio follows this leader.",
    Reason.INCREMENT_TOO_SMALL: "The fill is smaller than the smallest part of a share we trade.",
    Reason.COMBO_NOT_COPYABLE: "The token is a combination of markets, which is never copied.",
    Reason.SELF_TRADE: "The leader's own wallets traded with each other; he moved nothing.",
    Reason.LEADER_FILL_RETRACTED: "The chain took the leader's trade back before we decided.",
    Reason.SETTINGS_REFUSED: "A stored setting is unusable; nothing is copied until it is mended.",
    Reason.POLYGON_UNHEALTHY: "The watch on the chain is not healthy; no position is opened.",
    Reason.API_UNHEALTHY: "The Data API does not answer; no position is opened.",
    Reason.UNKNOWN_TOKEN: "The market of this token is not known yet.",
    Reason.MARKET_CLOSED: "The market is closed or does not accept orders.",
    Reason.MARKET_CLOSES_SOON: "The market closes too soon for a new position.",
    Reason.MARKET_BLACKLISTED: "The market or its category is on the blacklist.",
    Reason.NOT_WHITELISTED: "Only the whitelist may be copied, and this market is not on it.",
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
    Reason.PRICE_MOVED: "The price moved too far from the leader's.",
    Reason.SPREAD_TOO_WIDE: "The spread is wider than allowed.",
    Reason.DEPTH_TOO_THIN: "Too few shares are offered inside the price limit.",
    Reason.INSUFFICIENT_CASH: "The portfolio's free cash does not cover the order and its fee.",
    Reason.NO_LIQUIDITY_WITHIN_BOUNDS: "Nothing was offered inside the limit when we placed.",
    Reason.REMAINDER_KILLED: "The part that could not be filled at once was cancelled.",
    Reason.REMAINDER_CANCELLED: "The part that rested was cancelled before it was filled.",
    Reason.TAPE_INCOMPLETE: "The recording of the book has a gap, so what rested was cancelled.",
}
