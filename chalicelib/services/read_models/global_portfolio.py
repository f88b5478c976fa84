"""The global portfolio: what it holds, what is at risk with whom, and how near its limits it is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chalicelib.domain.lane import Work
from chalicelib.domain.market import Market
from chalicelib.domain.money import ratio_floor
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import PortfolioRef
from chalicelib.domain.rules import CopyRules
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import QUERY_LIMIT_MAX, Rules, Store
from chalicelib.services.market_directory import MarketDirectory
from chalicelib.services.portfolios import global_id, head_of, marks, portfolio_ref
from chalicelib.services.read_models.listing import Json, MarketTexts, names_of_leaders
from chalicelib.services.read_models.portfolio import read_portfolio
from chalicelib.services.read_models.positions import POSITIONS_MAX, open_of, position_row, worth
from chalicelib.services.read_models.standing import losses, standing_of
from chalicelib.services.watch_breakers import breakers_of

SHARES_SHOWN = 50
"""Markets, events, categories and leaders listed by exposure; the largest come first."""
_BUYING = frozenset({"attempt", "resting"})


@dataclass(frozen=True, slots=True)
class _Stake:
    cash: int
    leader: str
    market: Market | None
    token_id: str


def read_global(
    store: Store, directory: MarketDirectory, rules: Rules, texts: MarketTexts, now: int
) -> Json | None:
    """The global portfolio; None before the first leader was followed.

    Costs one read of at most POSITIONS_MAX positions, one of as many orders under way, a dozen
    more, and two per token whose market this process did not see within a minute.
    """
    ref = portfolio_ref(store, global_id())
    if ref is None:
        return None
    head, copied = head_of(store, ref), rules.rules_for("")
    prices, marked_at = marks(store)
    names = names_of_leaders(store)
    positions, more = open_of(store, ref, POSITIONS_MAX - 1)
    rows = [position_row(position, prices, texts, names) for position in positions]
    rows.sort(key=lambda row: -row["value_micros"])
    stakes = [*_held(positions, prices, directory), *_ordered(store, ref, directory)]
    equity = head.cash + sum(worth(position, prices) for position in positions)
    breakers = breakers_of(store, head)
    summary = read_portfolio(store, global_id().replace("/", "."), now) or {}
    return {
        **summary,
        "now": now,
        "equity_micros": equity,
        "positions_value_micros": equity - head.cash,
        "prices_at": marked_at,
        **standing_of(head, breakers, now),
        "positions": rows,
        "positions_more": more,
        "exposure": _exposure(stakes, names),
        "limits": [
            *_caps(stakes, equity, copied, len({p.token_id for p in positions})),
            *_spending(head, copied, now),
            *losses(breakers, equity, copied),
        ],
    }


def _held(
    positions: Iterable[Position], prices: Mapping[str, int], directory: MarketDirectory
) -> Iterable[_Stake]:
    for position in positions:
        market = directory.known(position.token_id)
        yield _Stake(worth(position, prices), position.leader, market, position.token_id)


def _ordered(store: Store, ref: PortfolioRef, directory: MarketDirectory) -> Iterable[_Stake]:
    """What unfinished BUYs hold back."""
    rows = store.query(
        Work,
        "portfolio",
        portfolio_pk(ref.portfolio_id, ref.epoch),
        start="work#",
        end="work$",
        limit=QUERY_LIMIT_MAX,
    )
    for row in rows:
        if row.side == "BUY" and row.kind in _BUYING:
            yield _Stake(row.reserved, row.leader, directory.known(row.token_id), row.token_id)


def _exposure(stakes: Sequence[_Stake], names: Mapping[str, str]) -> Json:
    titles = {_market(s): s.market.question for s in stakes if s.market}
    return {
        "total_micros": sum(stake.cash for stake in stakes),
        "markets": _shares(((_market(s), s.cash) for s in stakes), titles),
        "events": _shares((_event(s), s.cash) for s in stakes),
        "categories": _shares((_category(s), s.cash) for s in stakes),
        "leaders": _shares(((s.leader, s.cash) for s in stakes), names),
    }


def _market(stake: _Stake) -> str:
    return stake.market.condition_id if stake.market else stake.token_id


def _event(stake: _Stake) -> str:
    return (stake.market.event_id if stake.market else "") or _market(stake)


def _category(stake: _Stake) -> str:
    return stake.market.category if stake.market else ""


def _sums(parts: Iterable[tuple[str, int]]) -> Counter[str]:
    sums: Counter[str] = Counter()
    for name, cash in parts:
        sums[name] += cash
    return sums


def _shares(
    parts: Iterable[tuple[str, int]], titles: Mapping[str, str] | None = None
) -> list[Json]:
    largest = _sums(parts).most_common(SHARES_SHOWN)
    return [
        {"name": name, "title": (titles or {}).get(name, ""), "cash_micros": cash}
        for name, cash in largest
    ]


def _caps(stakes: Sequence[_Stake], equity: int, rules: CopyRules, tokens: int) -> list[Json]:
    """The largest exposure of each kind beside what it may be."""
    worth_ = max(equity, 0)

    def largest(parts: Iterable[tuple[str, int]]) -> int:
        return max(_sums(parts).values(), default=0)

    caps = (
        ("exposure", sum(s.cash for s in stakes), rules.exposure_fraction_max),
        ("market", largest((_market(s), s.cash) for s in stakes), rules.market_fraction_max),
        ("event", largest((_event(s), s.cash) for s in stakes), rules.event_fraction_max),
        ("category", largest((_category(s), s.cash) for s in stakes), rules.category_fraction_max),
        ("leader", largest((s.leader, s.cash) for s in stakes), rules.leader_fraction_max),
    )
    rows: list[Json] = [
        {"limit": name, "used_micros": used, "max_micros": ratio_floor(worth_, part, 1_000_000)}
        for name, used, part in caps
    ]
    return [*rows, {"limit": "open_positions", "used": tokens, "max": rules.open_positions_max}]


def _spending(head: Head, rules: CopyRules, now: int) -> list[Json]:
    spent = head.spending.at(now)
    return [
        {"limit": "daily_cash", "used_micros": spent.cash, "max_micros": rules.daily_cash_max},
        {"limit": "hourly_fills", "used": spent.fills, "max": rules.hourly_fills_max},
    ]
