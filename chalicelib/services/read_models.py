"""What the dashboard and the API show, as plain JSON-ready dictionaries.

Amounts carry the suffix `_micros`; times are milliseconds UTC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.lane import Attempt
from chalicelib.domain.money import price_nearest
from chalicelib.domain.portfolio import Head, Position, positions_value
from chalicelib.domain.reasons import EXPLANATIONS
from chalicelib.domain.registry import Heartbeat, Leader, PortfolioRef
from chalicelib.domain.trade import Trade, effective, live_legs, role_of, state_of, ts_block_of
from chalicelib.keyspace import Record, Table, day
from chalicelib.ports import Clock, Store
from chalicelib.services.heartbeats import heartbeats
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolios import (
    ACCOUNT,
    all_portfolios,
    head_of,
    marks,
    positions_of,
)

Json = dict[str, Any]
R = TypeVar("R", bound=Record)

PAGE_MAX = 200
DAYS_BACK_MAX = 7
READS_PER_PAGE_MAX = 20
_DAY_MS = 86_400_000
_END_OF_DAY = "9999999999999#"
_SILENT_MS = 90_000
_CHAIN_SILENT_MS = 20_000


class ReadModels:
    """Views for the dashboard; listings read a bounded number of pages."""

    def __init__(self, store: Store, directory: MarketDirectory, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._clock = clock

    def overview(self) -> Json:
        """Leaders, portfolios with equity, and totals."""
        known = leaders(self._store)
        names = {leader.leader: leader.name for leader in known}
        prices, marked_at = marks(self._store)
        refs = all_portfolios(self._store)
        heads = [head_of(self._store, ref) for ref in refs]
        held = [positions_of(self._store, ref.portfolio_id, ref.epoch) for ref in refs]
        rows = [
            _portfolio(ref, head, positions, prices, marked_at, names)
            for ref, head, positions in zip(refs, heads, held, strict=True)
        ]
        order = {"global": 0, "leader": 1, "shadow": 2}
        rows.sort(key=lambda row: (order[row["kind"]], row["portfolio_id"]))
        shadows = {head.leader: head for head in heads if head.kind == "shadow"}
        return {
            "now": self._clock.now_ms(),
            "leaders": [_leader(leader, shadows.get(leader.leader)) for leader in known],
            "portfolios": rows,
            "counts": _counts(heads),
        }

    def health(self, mode: str, origin: str, facts: Json, queues: Json) -> Json:
        """What works, what does not, and since when. `facts` name engine, stage and venue."""
        beats = heartbeats(self._store)
        now = self._clock.now_ms()
        waiting = not {"watcher", "data_api"} <= beats.keys() and self._just_began(now)
        chain = _chain(beats.get("watcher"), mode, now, waiting)
        api = _api(beats.get("data_api"), mode, now, waiting)
        registry, settings = beats.get("registry"), beats.get("settings")
        reasons = [
            *([f"Polygon: {chain['detail']}"] if chain["state"] == "down" else []),
            *([f"Data API: {api['detail']}"] if api["state"] == "down" else []),
            *([f"Settings: {settings.detail}"] if settings and not settings.up else []),
            *([f"{queues['dead']} messages could not be processed."] if queues["dead"] else []),
        ]
        states = [s for s in (chain["state"], api["state"]) if s != "off"]
        all_down = all(state == "down" for state in states)
        status = "down" if all_down else "degraded" if reasons else "ok"
        return {
            "status": status,
            **facts,
            "now": now,
            "mode": {"effective": mode, "source": origin},
            "chain": chain,
            "api": api,
            "registry": {
                "markets": registry.last_block if registry else 0,
                "synced_at": registry.ts if registry else None,
            },
            "queues": queues,
            "reasons": reasons,
        }

    def _just_began(self, now: int) -> bool:
        """Whether the first leader was followed so lately that first signs may still be due."""
        followed = min((leader.followed_from for leader in leaders(self._store)), default=now)
        return now - followed < _SILENT_MS

    def trades(self, cursor: str | None, limit: int, leader: str | None) -> Json:
        """Trades newest first. Raises InvalidInput for a cursor that is not ours."""
        names = {known.leader: known.name for known in leaders(self._store)}
        found, following = self._page(
            Trade,
            "activity",
            "trades#",
            cursor,
            limit,
            lambda trade: leader is None or trade.leader == leader,
        )
        return {"items": [self._trade(t, names) for t in found], "next_cursor": following}

    def copy_attempts(
        self, cursor: str | None, limit: int, portfolio: str | None, decision: str | None
    ) -> Json:
        """Attempts newest first. Raises InvalidInput for a cursor that is not ours."""
        names = {known.leader: known.name for known in leaders(self._store)}
        found, following = self._page(
            Attempt,
            "portfolio",
            f"attempts#{ACCOUNT}#",
            cursor,
            limit,
            lambda a: (
                portfolio in (None, a.portfolio_id) and decision in (None, a.decision.verdict)
            ),
        )
        return {"items": [self._attempt(a, names) for a in found], "next_cursor": following}

    def _page(
        self,
        kind: type[R],
        table: Table,
        prefix: str,
        cursor: str | None,
        limit: int,
        wanted: Callable[[R], bool],
    ) -> tuple[list[R], str | None]:
        """One page of a day-partitioned feed, walking back at most DAYS_BACK_MAX days.

        A page may be shorter than `limit` when a filter lets little through: the cursor then
        stands where reading stopped.
        """
        now = self._clock.now_ms()
        day_, before = (day(now), None) if cursor is None else _parse_cursor(cursor)
        days = [d for back in range(DAYS_BACK_MAX) if (d := day(now - back * _DAY_MS)) <= day_]
        found: list[R] = []
        for _ in range(READS_PER_PAGE_MAX):
            if not days:
                return found, None
            start = before if days[0] == day_ else None
            rows = self._store.feed(kind, table, prefix + days[0], before=start, limit=limit)
            for sk, record in rows:
                if wanted(record):
                    found.append(record)
                    if len(found) == limit:
                        return found, f"{days[0]}~{sk}"
            day_, before = days[0], rows[-1][0] if rows else start
            if len(rows) < limit:
                days.pop(0)
                before = None
        return found, f"{days[0]}~{before or _END_OF_DAY}" if days else None

    def _market(self, token_id: str) -> Json:
        market = self._directory.known(token_id)
        return {
            "token_id": token_id,
            "outcome": market.outcome_of(token_id) if market else "",
            "question": market.question if market else "",
            "slug": market.slug if market else "",
        }

    def _trade(self, trade: Trade, names: Mapping[str, str]) -> Json:
        totals, legs = effective(trade), live_legs(trade)
        last = max(legs, key=lambda leg: leg.log_index) if legs else None
        return {
            "trade_id": trade.trade_id,
            "leader": trade.leader,
            "leader_name": names.get(trade.leader, ""),
            "wallet": trade.wallet,
            "tx_hash": trade.tx_hash,
            **self._market(trade.token_id),
            "side": trade.side,
            "shares_micros": totals.shares,
            "cash_micros": totals.cash,
            "fee_micros": totals.fee,
            "price_micros": price_nearest(totals.cash, totals.shares) if totals.shares else None,
            "role": role_of(trade),
            "block_number": last.block_number if last else None,
            "block_hash": last.block_hash if last else None,
            "log_index": last.log_index if last else None,
            "order_hash": last.order_hash if last else None,
            "ts_block": ts_block_of(trade),
            "ts_seen_chain": trade.ts_seen_chain,
            "ts_seen_api": trade.ts_seen_api,
            "first_source": trade.first_source,
            "state": state_of(trade),
            "backfill": trade.backfill,
        }

    def _attempt(self, attempt: Attempt, names: Mapping[str, str]) -> Json:
        decision, outcome, order = attempt.decision, attempt.outcome, attempt.order
        shares = outcome.shares if outcome else 0
        vwap = price_nearest(outcome.cash, shares) if outcome and shares else None
        worse = None if vwap is None else vwap - decision.leader_price
        kind = "global" if attempt.portfolio_id.endswith("/global") else "leader"
        return {
            "attempt_id": attempt.attempt_id,
            "group_id": attempt.group_id,
            "portfolio_id": attempt.portfolio_id,
            "portfolio_kind": kind,
            "leader": attempt.leader,
            "leader_name": names.get(attempt.leader, ""),
            **self._market(attempt.token_id),
            "side": attempt.side,
            "decision": decision.verdict,
            "status": attempt.status,
            "reasons": [{"code": r.value, "text": EXPLANATIONS[r]} for r in attempt.reasons],
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
            "slippage_leader_micros": _slippage(attempt, worse),
            "ts_opened": attempt.ts_opened,
            "ts_decided": decision.ts_decided,
            "ts_placed": order.ts_placed if order else None,
            "ts_first_fill": outcome.slices[0].ts if outcome and outcome.slices else None,
            "ts_done": outcome.ts_done if outcome else None,
            "book_source": outcome.book_source if outcome else None,
            "late_by_ms": attempt.late_by_ms,
        }


def _slippage(attempt: Attempt, worse: int | None) -> int | None:
    """How much worse than the leader per share; positive is to our disadvantage."""
    if worse is None:
        return None
    return worse if attempt.side == "BUY" else -worse


def _parse_cursor(cursor: str) -> tuple[str, str | None]:
    day_, _, sk = cursor.partition("~")
    if len(day_) != 10 or not sk or len(cursor) > 200:
        raise InvalidInput("cursor", "is not a cursor of this listing")
    return day_, sk


def _leader(leader: Leader, shadow: Head | None) -> Json:
    return {
        "leader": leader.leader,
        "name": leader.name,
        "wallets": list(leader.wallets),
        "state": leader.state,
        "trades": shadow.trades if shadow else 0,
        "last_trade_at": (shadow.ts_last_trade or None) if shadow else None,
    }


def _counts(heads: Sequence[Head]) -> Json:
    executable = [head for head in heads if head.kind != "shadow"]
    return {
        "trades": sum(head.trades for head in heads),
        "attempts": sum(head.attempts for head in executable),
        "executed": sum(head.executed for head in executable),
        "skipped": sum(head.skipped for head in executable),
        "filled": sum(head.filled for head in executable),
        "partial": sum(head.partial for head in executable),
        "no_fill": sum(head.no_fill for head in executable),
    }


def _portfolio(
    ref: PortfolioRef,
    head: Head,
    positions: Sequence[Position],
    prices: Mapping[str, int],
    marked_at: int | None,
    names: Mapping[str, str],
) -> Json:
    value = positions_value(positions, prices)
    equity = head.cash + value
    cost = sum(position.cost for position in positions)
    return {
        "portfolio_id": ref.portfolio_id,
        "kind": ref.kind,
        "leader": ref.leader or None,
        "leader_name": names.get(ref.leader),
        "epoch": ref.epoch,
        "starting_cash_micros": head.starting_cash,
        "cash_micros": head.cash,
        "reserved_micros": head.reserved,
        "positions_value_micros": value,
        "equity_micros": equity,
        "realized_micros": head.realized,
        "unrealized_micros": value - cost,
        "fees_micros": head.fees,
        "open_positions": sum(position.shares > 0 for position in positions),
        "marked_at": marked_at,
    }


def _chain(heartbeat: Heartbeat | None, mode: str, now: int, waiting: bool) -> Json:
    if mode == "api":
        return _source("off", "not used in mode api")
    if heartbeat is None and waiting:
        return _source("starting", "waiting for the watcher's first sign of life")
    if heartbeat is None:
        return _source("down", "no watcher was ever heard of")
    silent = now - heartbeat.ts > _CHAIN_SILENT_MS
    detail = f"the watcher is silent for {(now - heartbeat.ts) // 1000} s" if silent else ""
    return {
        **_source("down" if silent or not heartbeat.up else "up", detail or heartbeat.detail),
        "last_block": heartbeat.last_block or None,
        "last_block_at": heartbeat.ts_last_block or None,
        "last_log_at": heartbeat.ts_last_event or None,
        "connected_at": heartbeat.ts_connected or None,
    }


def _source(state: str, detail: str) -> Json:
    return {
        "state": state,
        "last_block": None,
        "last_block_at": None,
        "last_log_at": None,
        "connected_at": None,
        "detail": detail,
    }


def _api(heartbeat: Heartbeat | None, mode: str, now: int, waiting: bool) -> Json:
    if mode == "polygon":
        return {"state": "off", "last_poll_at": None, "detail": "not polled in mode polygon"}
    if heartbeat is None:
        state, detail = ("starting", "waiting for") if waiting else ("down", "there never was")
        return {"state": state, "last_poll_at": None, "detail": f"{detail} a first poll"}
    silent = now - heartbeat.ts > _SILENT_MS
    detail = f"no poll for {(now - heartbeat.ts) // 1000} s" if silent else heartbeat.detail
    return {
        "state": "down" if silent or not heartbeat.up else "up",
        "last_poll_at": heartbeat.ts,
        "detail": detail,
    }
