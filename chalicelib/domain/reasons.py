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
    PAUSED = "PAUSED"
    BREAKER_DAILY_LOSS = "BREAKER_DAILY_LOSS"
    BREAKER_WEEKLY_LOSS = "BREAKER_WEEKLY_LOSS"
    BREAKER_DRAWDOWN = "BREAKER_DRAWDOWN"
    POLYGON_UNHEALTHY = "POLYGON_UNHEALTHY"
    API_UNHEALTHY = "API_UNHEALTHY"
    UNKNOWN_TOKEN = "UNKNOWN_TOKEN"
    MARKET_CLOSED = "MARKET_CLOSED"
    MARKET_CLOSES_SOON = "MARKET_CLOSES_SOON"
    MARKET_BLACKLISTED = "MARKET_BLACKLISTED"
    NOT_WHITELISTED = "NOT_WHITELISTED"
    LEADER_DENIED = "LEADER_DENIED"
    LEADER_TRADE_TOO_SMALL = "LEADER_TRADE_TOO_SMALL"
    LEADER_TRADE_BELOW_PERCENTILE = "LEADER_TRADE_BELOW_PERCENTILE"
    MAKER_LEADER = "MAKER_LEADER"
    LEADER_EQUITY_UNKNOWN = "LEADER_EQUITY_UNKNOWN"
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
    RISK_CAP_TOTAL = "RISK_CAP_TOTAL"
    RISK_CAP_MARKET = "RISK_CAP_MARKET"
    RISK_CAP_EVENT = "RISK_CAP_EVENT"
    RISK_CAP_CATEGORY = "RISK_CAP_CATEGORY"
    RISK_CAP_LEADER = "RISK_CAP_LEADER"
    RISK_CAP_POSITIONS = "RISK_CAP_POSITIONS"
    ORDER_CAP = "ORDER_CAP"
    DAILY_CAP = "DAILY_CAP"
    HOURLY_CAP = "HOURLY_CAP"
    SAFETY_CAP = "SAFETY_CAP"
    NO_LIQUIDITY_WITHIN_BOUNDS = "NO_LIQUIDITY_WITHIN_BOUNDS"
    REMAINDER_KILLED = "REMAINDER_KILLED"
    REMAINDER_CANCELLED = "REMAINDER_CANCELLED"
    TAPE_INCOMPLETE = "TAPE_INCOMPLETE"
    SPLIT_NO_CASH = "SPLIT_NO_CASH"
    SPLIT_SOLD_BEFORE = "SPLIT_SOLD_BEFORE"
    MERGE_NO_POSITION = "MERGE_NO_POSITION"
    CONVERSION_UNSUPPORTED = "CONVERSION_UNSUPPORTED"
    PORTFOLIO_RESET = "PORTFOLIO_RESET"


EXPLANATIONS: dict[Reason, str] = {
    Reason.SKIP_BACKFILL: "The fill is history recovered later; history never trades.",
    Reason.NO_FOLLOWER: "No portfolio follows this leader.",
    Reason.INCREMENT_TOO_SMALL: "The fill is smaller than the smallest part of a share we trade.",
    Reason.COMBO_NOT_COPYABLE: "The token is a combination of markets, which is never copied.",
    Reason.SELF_TRADE: "The leader's own wallets traded with each other; he moved nothing.",
    Reason.LEADER_FILL_RETRACTED: "The chain took the leader's trade back before we decided.",
    Reason.SETTINGS_REFUSED: "A stored setting is unusable; nothing is copied until it is mended.",
    Reason.PAUSED: "The portfolio is paused: it places no orders until it is resumed.",
    Reason.BREAKER_DAILY_LOSS: "Today's loss reached its limit; no position is opened today.",
    Reason.BREAKER_WEEKLY_LOSS: "This week's loss reached its limit; no position is opened.",
    Reason.BREAKER_DRAWDOWN: "The fall from the highest equity reached its limit; reset by hand.",
    Reason.POLYGON_UNHEALTHY: "The watch on the chain is not healthy; no position is opened.",
    Reason.API_UNHEALTHY: "The Data API does not answer; no position is opened.",
    Reason.UNKNOWN_TOKEN: "The market of this token is not known yet.",
    Reason.MARKET_CLOSED: "The market is closed or does not accept orders.",
    Reason.MARKET_CLOSES_SOON: "The market closes too soon for a new position.",
    Reason.MARKET_BLACKLISTED: "The market or its category is on the blacklist.",
    Reason.NOT_WHITELISTED: "Only the whitelist may be copied, and this market is not on it.",
    Reason.LEADER_DENIED: "Copying this leader is switched off: only his sells are followed.",
    Reason.LEADER_TRADE_TOO_SMALL: "The leader's trade is below the smallest notional we follow.",
    Reason.LEADER_TRADE_BELOW_PERCENTILE: "The trade is not among the leader's larger ones.",
    Reason.MAKER_LEADER: "The leader was maker, and his resting orders are not copied.",
    Reason.LEADER_EQUITY_UNKNOWN: "The size follows the leader's equity, which is not known.",
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
    Reason.RISK_CAP_TOTAL: "The portfolio's exposure would exceed its part of the equity.",
    Reason.RISK_CAP_MARKET: "The exposure to this market would exceed its part of the equity.",
    Reason.RISK_CAP_EVENT: "The exposure to this event would exceed its part of the equity.",
    Reason.RISK_CAP_CATEGORY: "The exposure to this category would exceed its part of the equity.",
    Reason.RISK_CAP_LEADER: "The exposure to this leader would exceed its part of the equity.",
    Reason.RISK_CAP_POSITIONS: "The portfolio holds as many positions as it may.",
    Reason.ORDER_CAP: "The order is larger than any single order may be.",
    Reason.DAILY_CAP: "With this order the portfolio would spend more than it may in one day.",
    Reason.HOURLY_CAP: "The portfolio had as many fills in this hour as it may have.",
    Reason.SAFETY_CAP: "The order went beyond a safety cap and was refused where it is placed.",
    Reason.NO_LIQUIDITY_WITHIN_BOUNDS: "Nothing was offered inside the limit while it stood.",
    Reason.REMAINDER_KILLED: "The part that could not be filled at once was cancelled.",
    Reason.REMAINDER_CANCELLED: "The part that rested was cancelled before it was filled.",
    Reason.TAPE_INCOMPLETE: "The recording of the book has a gap, so what rested was cancelled.",
    Reason.SPLIT_NO_CASH: "The portfolio's free cash does not cover the sets to be split.",
    Reason.SPLIT_SOLD_BEFORE: "The leader had sold what he split before we knew of the split.",
    Reason.MERGE_NO_POSITION: "We do not hold every outcome of this leader, so nothing merges.",
    Reason.CONVERSION_UNSUPPORTED: "The venue does not state what a conversion moved.",
    Reason.PORTFOLIO_RESET: "The portfolio was reset before this was finished.",
}
