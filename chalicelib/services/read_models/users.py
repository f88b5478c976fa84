"""Followed users: all of them by address, and one in full."""

from __future__ import annotations

from collections.abc import Mapping

from chalicelib.domain.identifiers import address
from chalicelib.domain.registry import (
    Cursor,
    Leader,
    PortfolioRef,
    wallet_as_of,
    wallet_start,
)
from chalicelib.keyspace import cursor_key, leader_key
from chalicelib.ports import Rules, Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.portfolios import (
    head_of,
    leader_portfolio_id,
    marks,
    portfolio_ref,
    shadow_id,
)
from chalicelib.services.read_models.listing import Json, MarketTexts, names_of_leaders
from chalicelib.services.read_models.overview import Present, leader_row, portfolio_row
from chalicelib.services.read_models.positions import open_of, position_row

POSITIONS_SHOWN = 100


def list_users(
    store: Store, rules: Rules, now: int, cursor: str | None, limit: int, state: str | None
) -> Json:
    """Users by address, those behind the address `cursor`.

    Costs the list of leaders and about ten reads per user shown. Raises InvalidInput for a cursor
    that is not ours.
    """
    after = address(cursor, "cursor") if cursor is not None else ""
    known = leaders(store)
    every = [each for each in known if each.leader > after and state in (None, each.state)]
    names = {leader.leader: leader.name for leader in every}
    present = Present(store)
    items = [_row(store, rules, leader, names, present, now) for leader in every[:limit]]
    following = every[limit - 1].leader if len(every) > limit else None
    return {"items": items, "next_cursor": following}


def read_user(
    store: Store, rules: Rules, texts: MarketTexts, now: int, leader_address: str
) -> Json | None:
    """One user in full, None for somebody who was never followed.

    Costs about a dozen reads, one per wallet, and at most four per position shown.
    """
    leader = store.get(Leader, leader_key(leader_address))
    if leader is None:
        return None
    names = names_of_leaders(store)
    prices, marked_at = marks(store)
    refs = {
        "shadow": portfolio_ref(store, shadow_id(leader.leader)),
        "copy": portfolio_ref(store, leader_portfolio_id(leader.leader)),
    }
    held = {name: _held(store, ref, prices, texts, names) for name, ref in refs.items()}
    return {
        "now": now,
        **_row(store, rules, leader, names, Present(store), now),
        "buys_from": leader.buys_from or None,
        "holdings_as_of": leader.holdings_as_of,
        "followed_wallets": [_wallet(store, leader, wallet) for wallet in leader.wallets],
        "marked_at": marked_at,
        "positions": held,
    }


def _row(
    store: Store,
    rules: Rules,
    leader: Leader,
    names: Mapping[str, str],
    present: Present,
    now: int,
) -> Json:
    shadow = portfolio_ref(store, shadow_id(leader.leader))
    copy = portfolio_ref(store, leader_portfolio_id(leader.leader))
    head = head_of(store, shadow) if shadow else None
    copied = rules.rules_for(leader.leader)
    return {
        **leader_row(store, leader, head, now),
        "copying": copied.copying and not copied.refused,
        "settings_refused": copied.refused or None,
        "shadow": _portfolio(store, shadow, names, present) if shadow else None,
        "copy": _portfolio(store, copy, names, present) if copy else None,
    }


def _portfolio(store: Store, ref: PortfolioRef, names: Mapping[str, str], present: Present) -> Json:
    head = head_of(store, ref)
    return portfolio_row(ref, head, present.of(head), names)


def _held(
    store: Store,
    ref: PortfolioRef | None,
    prices: Mapping[str, int],
    texts: MarketTexts,
    names: Mapping[str, str],
) -> Json:
    if ref is None:
        return {"items": [], "more": False}
    found, more = open_of(store, ref, POSITIONS_SHOWN)
    rows = [position_row(position, prices, texts, names) for position in found]
    rows.sort(key=lambda row: -row["value_micros"])
    return {"items": rows, "more": more}


def _wallet(store: Store, leader: Leader, wallet: str) -> Json:
    cursor = store.get(Cursor, cursor_key(leader.leader, wallet))
    return {
        "wallet": wallet,
        "followed_from": wallet_start(leader, wallet),
        "holdings_as_of": wallet_as_of(leader, wallet),
        "polled_until": cursor.ts_seconds * 1000 if cursor else None,
        "refused_since": (cursor.refused_since * 1000 or None) if cursor else None,
    }
