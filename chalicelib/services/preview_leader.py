"""What is worth knowing of somebody before he is followed: a few calls to the venue, no writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chalicelib.domain.activity import TRADE, ActivityEvent
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.fee import taker_fee
from chalicelib.domain.identifiers import address
from chalicelib.domain.market import Market
from chalicelib.domain.money import MICROS, price_nearest
from chalicelib.domain.registry import Leader
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.sizing import buy_shares, buy_size
from chalicelib.keyspace import leader_key
from chalicelib.ports import Clock, Profile, Profiles, Rules, Store, WalletHoldings
from chalicelib.services.market_directory import MarketDirectory

T = TypeVar("T")

QUERY_CHARS_MAX = 80
TOKENS_MAX = 60
"""Tokens whose market is looked up in the registry; never at the venue."""
CANDIDATES_MAX = 5
TRADES_SHOWN = 20
HOLDINGS_SHOWN = 20
LABEL = (
    "Estimate from the trades below at today's global settings: every purchase copied at his own "
    "price with the market's taker fee, and at worst at the price guard. Depth, latency, skips, "
    "caps and what the positions earned are left out."
)


@dataclass(frozen=True, slots=True)
class _Copied:
    """What copying would have bought; amounts in micros."""

    buys: int = 0
    cash: int = 0
    fees: int = 0
    guard: int = 0
    unknown: int = 0


class PreviewLeader:
    """At most four requests to the venue: profile, activity, trades as a taker, holdings."""

    def __init__(
        self,
        store: Store,
        directory: MarketDirectory,
        profiles: Profiles,
        rules: Rules,
        clock: Clock,
        equity: int,
    ) -> None:
        """`equity` in micros is that of a portfolio when it opens."""
        self._store = store
        self._directory = directory
        self._profiles = profiles
        self._rules = rules
        self._clock = clock
        self._equity = equity

    def found(self, text: str) -> list[Profile]:
        """Who an address or a profile name may mean, an exact name first.

        An address needs no answer of the venue. Raises InvalidInput for what can be neither,
        Retryable or Permanent when nobody can say whose a name is.
        """
        asked = text.strip()
        if not 1 <= len(asked) <= QUERY_CHARS_MAX or not asked.isprintable():
            raise InvalidInput("q", f"an address or a name of 1 to {QUERY_CHARS_MAX} characters")
        if asked.lower().startswith("0x"):
            wallet = address(asked, "q")
            return [_softly(lambda: self._profiles.profile(wallet)) or Profile(wallet)]
        named = self._profiles.search(asked, CANDIDATES_MAX)
        return sorted(named, key=lambda p: p.name.lower() != asked.lower())

    def wallet_of(self, text: str) -> Profile:
        """Whom an address or an exact profile name means. Raises InvalidInput unless it is one."""
        found = self.found(text)
        if text.strip().lower().startswith("0x"):
            return found[0]
        same = [p for p in found if p.name.lower() == text.strip().lower()]
        if len(same) != 1:
            several = "several users have" if same else "no user has"
            raise InvalidInput("who", f"{several} exactly this name; use the address")
        return same[0]

    def __call__(self, text: str) -> dict[str, object]:
        """The preview of whom `text` names best, and who else it may mean.

        Costs four requests to the venue and at most two reads per token of TOKENS_MAX. A part that
        the venue did not answer is None. Raises as `found` does.
        """
        found = self.found(text)
        if not found:
            return {"now": self._clock.now_ms(), "candidates": [], "leader": None}
        wallet = found[0].wallet
        known = self._store.get(Leader, leader_key(wallet))
        events = _softly(lambda: self._profiles.recent(wallet))
        held = _softly(lambda: self._profiles.holdings(wallet))
        trades = [e for e in events or () if e.kind == TRADE and e.side and e.shares > 0]
        makers = _softly(lambda: self._maker_share(wallet, trades))
        markets = self._markets(trades)
        rules = self._rules.rules_for("")
        return {
            "now": self._clock.now_ms(),
            "candidates": [_who(profile) for profile in found],
            "leader": {
                **_who(found[0]),
                "state": known.state if known else None,
                "activity": None if events is None else _activity(events, trades, markets),
                "holdings": None if held is None else self._holdings(held),
                "maker_share_micros": makers,
                "categories": _categories(trades, markets),
                "copying": None
                if events is None
                else _estimate(trades, markets, rules, self._equity),
            },
        }

    def _holdings(self, held: WalletHoldings) -> dict[str, object]:
        return {
            "count": held.count,
            "more": held.more,
            "value_micros": held.value,
            "items": [
                {
                    "token_id": one.token_id,
                    "question": market.question if market else "",
                    "outcome": market.outcome_of(one.token_id) if market else "",
                    "shares_micros": one.shares,
                    "value_micros": one.shares * one.price // MICROS,
                }
                for one in held.largest[:HOLDINGS_SHOWN]
                for market in (self._directory.known(one.token_id),)
            ],
        }

    def _maker_share(self, wallet: str, trades: Sequence[ActivityEvent]) -> int | None:
        """In micros, over the span of these trades; a trade is a row per transaction and role."""
        if not trades:
            return None
        taken = self._profiles.taker_trades(wallet, min(trade.timestamp for trade in trades))
        return max(0, len(trades) - taken) * MICROS // len(trades)

    def _markets(self, trades: Sequence[ActivityEvent]) -> dict[str, Market | None]:
        tokens = [token for token, _ in Counter(t.token_id for t in trades).most_common(TOKENS_MAX)]
        return {token: self._directory.known(token) for token in tokens}


def _softly(ask: Callable[[], T]) -> T | None:
    """The answer, None when the venue gave none."""
    try:
        return ask()
    except PapercopyError:
        return None


def _who(profile: Profile) -> dict[str, object]:
    return {"wallet": profile.wallet, "name": profile.name, "pseudonym": profile.pseudonym}


def _activity(
    events: Sequence[ActivityEvent],
    trades: Sequence[ActivityEvent],
    markets: dict[str, Market | None],
) -> dict[str, object]:
    sizes = sorted(trade.cash for trade in trades)
    times = [event.timestamp * 1000 for event in events]
    return {
        "events": len(events),
        "trades": len(trades),
        "buys": sum(trade.side == "BUY" for trade in trades),
        "from": min(times, default=None),
        "until": max(times, default=None),
        "cash_micros": sum(sizes),
        "median_cash_micros": sizes[len(sizes) // 2] if sizes else None,
        "p90_cash_micros": sizes[len(sizes) * 9 // 10] if sizes else None,
        "items": [
            {
                "ts_block": trade.timestamp * 1000,
                "side": trade.side,
                "question": market.question if market else "",
                "outcome": market.outcome_of(trade.token_id) if market else "",
                "shares_micros": trade.shares,
                "cash_micros": trade.cash,
            }
            for trade in trades[:TRADES_SHOWN]
            for market in (markets.get(trade.token_id),)
        ],
    }


def _categories(
    trades: Sequence[ActivityEvent], markets: dict[str, Market | None]
) -> list[dict[str, object]]:
    cash: Counter[str] = Counter()
    for trade in trades:
        market = markets.get(trade.token_id)
        cash[market.category if market else ""] += trade.cash
    return [{"category": name, "cash_micros": sum_} for name, sum_ in cash.most_common(10)]


def _estimate(
    trades: Sequence[ActivityEvent],
    markets: dict[str, Market | None],
    rules: CopyRules,
    equity: int,
) -> dict[str, object]:
    """Costs of copying his purchases: taker fees, and what the price guard allows at most."""
    total = _Copied()
    for trade in trades:
        if trade.side == "BUY":
            total = _added(total, trade, markets.get(trade.token_id), rules, equity)
    return {
        "label": LABEL,
        "buys": total.buys,
        "cash_micros": total.cash,
        "fees_micros": total.fees,
        "guard_cost_micros": total.guard,
        "fees_unknown": total.unknown,
    }


def _added(
    total: _Copied, trade: ActivityEvent, market: Market | None, rules: CopyRules, equity: int
) -> _Copied:
    size = buy_size(trade.cash, equity, rules, leader_equity=None, role=trade.role)
    price = price_nearest(trade.cash, trade.shares)
    if size is None or size.cash is None or price <= 0 or trade.cash < rules.leader_notional_min:
        return total
    shares = buy_shares(size.cash, price)
    cash = shares * price // MICROS
    return _Copied(
        buys=total.buys + 1,
        cash=total.cash + cash,
        fees=total.fees + (taker_fee(market.fee, shares, cash) if market else 0),
        guard=total.guard + shares * rules.buy_leader_guard // MICROS,
        unknown=total.unknown + (market is None),
    )
