"""Value what is held: midpoints, payouts and last trades onto one sheet per scope."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.errors import Conflict, PapercopyError
from chalicelib.domain.mark_sheet import MARKS_MAX, mark_sheet, marks_on
from chalicelib.domain.market import Market
from chalicelib.domain.money import MICROS, price_nearest
from chalicelib.domain.registry import Heartbeat, Mark, MarkScope, MarkSheet, PortfolioRef
from chalicelib.keyspace import mark_sheet_key
from chalicelib.ports import Clock, LastTrades, Metrics, Midpoints, Put, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.kept_marks import keep_sheet
from chalicelib.services.look_back import awaiting_marks
from chalicelib.services.portfolio_states import PortfolioStates
from chalicelib.services.portfolios import all_portfolios
from chalicelib.services.resolve_markets import ResolveMarkets

SHADOWS_MS = 300_000
EARLY_MS = 5_000
"""A cycle that starts this much before its time is on time: schedules are not exact."""
PAID_MAX = 20_000
_MINUTE_MS = 60_000


@dataclass(slots=True)
class _Held:
    """Shares of one token in all portfolios of a scope, and what was paid for a share."""

    shares: int
    price: int


class MarkPortfolios:
    """One marking cycle: what executables hold each time, what only shadows hold every 5 minutes.

    A token is worth its midpoint; without a book what its market paid, or would pay unless that
    is disputed, else its last trade, else its last mark. Positions are read again only when their
    portfolio's head changed. Shadows' cycles also mark what skipped signals will be valued at.
    """

    def __init__(
        self,
        store: Store,
        midpoints: Midpoints,
        clock: Clock,
        metrics: Metrics,
        resolve: ResolveMarkets | None = None,
        last_trades: LastTrades | None = None,
        states: PortfolioStates | None = None,
    ) -> None:
        self._store = store
        self._states = states or PortfolioStates(store)
        self._midpoints = midpoints
        self._clock = clock
        self._metrics = metrics
        self._resolve = resolve
        self._last_trades = last_trades
        self._kept: dict[MarkScope, int] = {}
        self._paid: dict[str, int] = {}

    def __call__(self, *, shadows: bool = True, afresh: bool = False) -> int:
        """The number of tokens marked; `shadows` False leaves those of shadows to another cycle.

        That one also keeps the minute's sheets. Raises Retryable when the venue did not answer.
        """
        now = self._clock.now_ms()
        portfolios = all_portfolios(self._store)
        executed = self._held(ref for ref in portfolios if ref.kind != "shadow")
        marked, left_out = self._mark("latest", executed, now, keep=shadows)
        if shadows and (afresh or self._shadows_due(now)):
            held = self._held(ref for ref in portfolios if ref.kind == "shadow")
            for row in awaiting_marks(self._store):
                held.setdefault(row.token_id, _Held(row.shares, 0))
            only = {token: part for token, part in held.items() if token not in executed}
            more, less = self._mark("shadows", only, now, keep=True)
            marked, left_out = marked + more, left_out + less
        detail = f"{marked} tokens" + (f", {left_out} left out" if left_out else "")
        beat(self._store, Heartbeat("marks", now, True, detail))
        return marked

    def _shadows_due(self, now: int) -> bool:
        sheet = self._sheet("shadows")
        return sheet is None or now - sheet.ts >= SHADOWS_MS - EARLY_MS

    def _mark(
        self, scope: MarkScope, held: Mapping[str, _Held], now: int, *, keep: bool
    ) -> tuple[int, int]:
        """(tokens with a fresh mark, tokens beyond MARKS_MAX, the least valuable ones)."""
        sheet = self._sheet(scope)
        known = {mark.token_id: mark for mark in marks_on(sheet)} if sheet else {}
        tokens = _most_valuable(held, known)
        left_out = len(held) - len(tokens)
        if left_out:
            self._metrics.count("marks_left_out", left_out)
        prices = self._prices(tokens, held, known)
        fresh = {token: Mark(token, price, now) for token, price in prices.items()}
        marks = [{**known, **fresh}[t] for t in sorted(tokens) if t in fresh or t in known]
        made = mark_sheet(marks, now, scope, sheet.version if sheet else 0)
        try:
            self._store.commit([Put(made)])
        except Conflict:
            # Another cycle marked the same tokens moments ago.
            return 0, left_out
        if keep:
            self._keep(made)
        return len(fresh), left_out

    def _keep(self, sheet: MarkSheet) -> None:
        minute = sheet.ts // _MINUTE_MS
        if self._kept.get(sheet.scope) != minute:
            keep_sheet(self._store, sheet)
            self._kept[sheet.scope] = minute

    def _sheet(self, scope: MarkScope) -> MarkSheet | None:
        return self._store.get(MarkSheet, mark_sheet_key(scope))

    def _held(self, portfolios: Iterable[PortfolioRef]) -> dict[str, _Held]:
        """Held tokens of these portfolios, from memory where the head did not change."""
        held: dict[str, _Held] = {}
        for ref in portfolios:
            for token, part in self._positions(ref).items():
                known = held.get(token)
                if known:
                    known.shares += part.shares
                else:
                    held[token] = _Held(part.shares, part.price)
        return held

    def _positions(self, ref: PortfolioRef) -> dict[str, _Held]:
        state = self._states.of(ref)
        held: dict[str, _Held] = {}
        for position in state.positions if state else ():
            if not position.shares:
                continue
            paid = max(0, price_nearest(position.cost, position.shares))
            part = held.setdefault(position.token_id, _Held(0, min(paid, MICROS)))
            part.shares += abs(position.shares)
        return held

    def _prices(
        self, tokens: Sequence[str], held: Mapping[str, _Held], known: Mapping[str, Mark]
    ) -> dict[str, int]:
        prices = {token: self._paid[token] for token in tokens if token in self._paid}
        asked = [token for token in tokens if token not in prices]
        prices.update(self._midpoints.midpoints(asked) if asked else {})
        bookless = [token for token in asked if token not in prices]
        if not bookless:
            return prices
        markets = self._resolve(bookless) if self._resolve else {}
        for token, market in markets.items():
            payout = self._payout(token, market)
            if payout is not None:
                prices[token] = payout
        left = [token for token in bookless if token not in prices]
        expected = {t: known[t].price if t in known else held[t].price for t in left}
        prices.update(self._traded(expected, markets))
        return prices

    def _payout(self, token: str, market: Market) -> int | None:
        """What the token pays for good, or will if nobody objects to what was proposed."""
        final = market.payout_of(token)
        if final is not None:
            self._paid[token] = final
            while len(self._paid) > PAID_MAX:
                del self._paid[next(iter(self._paid))]
            return final
        told = market.resolution
        if not market.closed or told.state == "disputed" or not told.payouts:
            return None
        return told.payouts[market.tokens.index(token)] if token in market.tokens else None

    def _traded(
        self, expected: Mapping[str, int], markets: Mapping[str, Market]
    ) -> Mapping[str, int]:
        """Last trades of tokens; `expected` is about what each should be worth.

        A failure leaves the last marks: this is the last resort already.
        """
        if self._last_trades is None or not expected:
            return {}
        others = {t: _other(t, markets.get(t)) for t in expected}
        asked = [*expected, *(other for other in others.values() if other)]
        try:
            trades = self._last_trades.last_trades(asked)
        except PapercopyError:
            self._metrics.count("last_trades_failed")
            return {}
        return {
            token: _own_price(trades[token], trades.get(others[token]), expected[token])
            for token in expected
            if token in trades
        }


def _other(token: str, market: Market | None) -> str:
    """The opposite outcome's token, empty while the market is not known."""
    if market is None or token not in market.tokens:
        return ""
    return market.tokens[1 - market.tokens.index(token)]


def _own_price(stated: int, of_other: int | None, expected: int) -> int:
    """The token's own price in what the venue states as the last trade of it.

    The venue states a trade of the market, the same number for both outcomes, so it may be the
    other outcome's price. Two numbers that make up one are each outcome's own; otherwise the one
    counts that is nearer to what was expected.
    """
    if of_other is not None and abs(stated + of_other - MICROS) < abs(stated - of_other):
        return stated
    return min((stated, MICROS - stated), key=lambda price: abs(price - expected))


def _most_valuable(held: Mapping[str, _Held], known: Mapping[str, Mark]) -> list[str]:
    """At most MARKS_MAX tokens, those worth most first."""

    def worth(token: str) -> int:
        mark = known.get(token)
        return held[token].shares * (mark.price if mark else held[token].price)

    return sorted(held, key=lambda token: (-worth(token), token))[:MARKS_MAX]
