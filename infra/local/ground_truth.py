"""What papercopy stored against what the simulated venue knows to be true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chalicelib.adapters.clock import SystemClock
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.lane import Attempt
from chalicelib.domain.trade import Trade, effective, live_legs, role_of, state_of
from chalicelib.keyspace import day
from chalicelib.ports import Store
from chalicelib.services.check_ledger import CheckLedgers
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.portfolios import (
    ACCOUNT,
    all_portfolios,
    positions_of,
)
from infra.local.simulator_process import SimulatorProcess

PAGE = 500
PAGES_MAX = 400
DAY_MS = 86_400_000


@dataclass(slots=True)
class Verdict:
    """Leader fills counted against the truth; each list names what was found."""

    truth: int = 0
    seen_chain: int = 0
    seen_api: int = 0
    missed: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def clean(self) -> bool:
        """Whether nothing was missed, counted twice, or recorded wrongly."""
        return not (self.missed or self.duplicated or self.wrong)


def stored_trades(store: Store, now_ms: int) -> list[Trade]:
    """Every trade of today and yesterday."""
    return [t for d in _days(now_ms) for t in _feed(store, Trade, "activity", f"trades#{d}")]


def stored_attempts(store: Store, now_ms: int) -> list[Attempt]:
    """Every attempt of today and yesterday."""
    return [
        a
        for d in _days(now_ms)
        for a in _feed(store, Attempt, "portfolio", f"attempts#{ACCOUNT}#{d}")
    ]


def _days(now_ms: int) -> tuple[str, str]:
    return day(now_ms), day(now_ms - DAY_MS)


def _feed(store: Store, kind: Any, table: Any, feed_pk: str) -> Iterator[Any]:
    before: str | None = None
    for _ in range(PAGES_MAX):
        rows = store.feed(kind, table, feed_pk, before=before, limit=PAGE)
        yield from (record for _, record in rows)
        if len(rows) < PAGE:
            return
        before = rows[-1][0]


def true_fills(simulator: SimulatorProcess) -> list[dict[str, Any]]:
    """Every leader fill on the simulator's canonical chain."""
    fills: list[dict[str, Any]] = []
    for _ in range(PAGES_MAX):
        # Fills of transactions that never came back leave gaps in the numbers.
        after = fills[-1]["n"] if fills else 0
        page = simulator.control("truth", after=after, limit=PAGE)["fills"]
        fills += page
        if len(page) < PAGE:
            break
    return fills


def compare(
    store: Store, simulator: SimulatorProcess, mode: str, now_ms: int, rounding: int = 0
) -> Verdict:
    """Hold every stored trade, leg and shadow position against the truth.

    `rounding` is how many micro-shares a position may differ: where differences of holdings were
    booked, the venue's four decimals are all there is.
    """
    fills = true_fills(simulator)
    verdict = Verdict(truth=len(fills))
    expected: dict[str, list[dict[str, Any]]] = {}
    for fill in fills:
        key = trade_id(fill["wallet"], fill["tx_hash"], fill["token_id"], fill["side"])
        expected.setdefault(key, []).append(fill)
    trades = {trade.trade_id: trade for trade in stored_trades(store, now_ms)}
    for key, parts in expected.items():
        _check(verdict, trades.get(key), parts, mode)
    verdict.wrong += [
        f"trade {key[:12]} of {trade.tx_hash[:12]} is not in the truth"
        for key, trade in trades.items()
        if key not in expected and effective(trade).shares
    ]
    _check_positions(verdict, store, simulator, rounding)
    return verdict


def _check(verdict: Verdict, trade: Trade | None, parts: list[dict[str, Any]], mode: str) -> None:
    name = f"{parts[0]['tx_hash'][:12]} {parts[0]['side']} of {parts[0]['wallet'][:8]}"
    shares = sum(p["shares_micros"] for p in parts)
    if trade is None:
        verdict.missed += [name] * len(parts)
        return
    totals = effective(trade)
    if totals.shares < shares:
        verdict.missed.append(f"{name}: {totals.shares} of {shares} micro-shares")
    if totals.shares > shares:
        verdict.duplicated.append(f"{name}: {totals.shares} instead of {shares} micro-shares")
    verdict.seen_chain += len(parts) if trade.ts_seen_chain else 0
    verdict.seen_api += len(parts) if trade.ts_seen_api else 0
    if mode == "api":
        return
    legs = {(leg.block_hash, leg.log_index) for leg in live_legs(trade)}
    if legs and legs != {(p["block_hash"], p["log_index"]) for p in parts}:
        verdict.wrong.append(f"{name}: other logs than the chain has")
    # Without a receipt, a log that states what an operator passed too much is what is known.
    logged = sum(p["logged_cash_micros"] for p in parts)
    paid = sum(p["cash_micros"] for p in parts)
    fee = sum(p["fee_micros"] for p in parts)
    if legs and (totals.cash not in (paid, logged) or totals.fee != fee):
        verdict.wrong.append(f"{name}: cash or fee differ")
    roles = {p["role"] for p in parts}
    if legs and len(roles) == 1 and role_of(trade) not in roles:
        verdict.wrong.append(f"{name}: role {role_of(trade)}")
    if state_of(trade) == "disagreeing":
        verdict.wrong.append(f"{name}: sources disagree")


def _check_positions(
    verdict: Verdict, store: Store, simulator: SimulatorProcess, rounding: int
) -> None:
    owners = {wallet: leader.leader for leader in leaders(store) for wallet in leader.wallets}
    truth: dict[tuple[str, str], int] = {}
    for wallet, tokens in simulator.control("positions").items():
        for token, position in tokens.items():
            key = (owners.get(wallet, wallet), token)
            truth[key] = truth.get(key, 0) + position["shares_micros"]
    held: dict[tuple[str, str], int] = {}
    for ref in all_portfolios(store):
        if ref.kind == "shadow":
            for position in positions_of(store, ref.portfolio_id, ref.epoch):
                if position.token_id:
                    held[(ref.leader, position.token_id)] = position.shares
    for key in truth.keys() | held.keys():
        if abs(truth.get(key, 0) - held.get(key, 0)) > rounding:
            verdict.wrong.append(
                f"shadow of {key[0][:8]} holds {held.get(key, 0)} instead of {truth.get(key, 0)}"
            )


def ledgers_hold(store: Store) -> list[str]:
    """What differs between portfolios and the folds of their ledgers."""
    check = CheckLedgers(store, SystemClock(), CountingMetrics())
    return [
        f"{ref.portfolio_id}: {what}"
        for ref in all_portfolios(store)
        for what in check.check(ref).wrong
    ]
