"""Which portfolios exist, and reading them."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.domain.errors import Permanent
from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import Head, PortfolioKind, Position
from chalicelib.domain.registry import Leader, MarkSheet, PortfolioRef
from chalicelib.keyspace import (
    MARKS_KEY,
    head_key,
    key_of,
    portfolio_pk,
    portfolio_ref_key,
    position_key,
)
from chalicelib.ports import QUERY_LIMIT_MAX, R, Store

ACCOUNT = "main"
PORTFOLIOS_MAX = 1_000
PAGES_MAX = 200


def global_id(account: str = ACCOUNT) -> str:
    """The account's portfolio that follows every leader."""
    return f"{account}/global"


def leader_portfolio_id(leader: str, account: str = ACCOUNT) -> str:
    """The account's portfolio that follows one leader only."""
    return f"{account}/leader/{leader}"


def shadow_id(leader: str) -> str:
    """The exact replica of a leader; shared by all accounts."""
    return f"shadow/{leader}"


def portfolio_ref(store: Store, portfolio_id: str) -> PortfolioRef | None:
    """The portfolio's entry in the list, which names its current epoch."""
    return store.get(PortfolioRef, portfolio_ref_key(portfolio_id))


def all_portfolios(store: Store) -> list[PortfolioRef]:
    """Every portfolio, shadows included."""
    return store.query(PortfolioRef, "registry", "portfolios", limit=PORTFOLIOS_MAX)


def followers(store: Store, leader: Leader) -> list[PortfolioRef]:
    """The executable portfolios that copy a leader; none when he is off."""
    if leader.state == "off":
        return []
    return [
        ref
        for ref in all_portfolios(store)
        if ref.kind == "global" or (ref.kind == "leader" and ref.leader == leader.leader)
    ]


def head_of(store: Store, ref: PortfolioRef) -> Head:
    """The head of a portfolio's current epoch. Raises Permanent when it was never opened."""
    head = store.get(Head, head_key(ref.portfolio_id, ref.epoch))
    if head is None:
        raise Permanent(f"portfolio {ref.portfolio_id} epoch {ref.epoch} has no head")
    return head


def position_of(store: Store, head: Head, token_id: str, leader: str) -> Position:
    """One leader's part of a token in a portfolio; an empty one where there never was any."""
    key = position_key(head.portfolio_id, head.epoch, token_id, leader)
    known = store.get(Position, key)
    return known or Position(head.portfolio_id, head.epoch, token_id, leader)


def positions_of(store: Store, portfolio_id: str, epoch: int) -> list[Position]:
    """All positions of one epoch, closed ones included.

    Raises Permanent beyond PAGES_MAX pages; a part would be a wrong answer.
    """
    return list(_all(store, Position, portfolio_id, epoch, "position#", "position$"))


def entries_from(
    store: Store, portfolio_id: str, epoch: int, start: str = "entry#"
) -> Iterator[Entry]:
    """Ledger entries of one epoch by effective time, from the sort key `start` on.

    Raises Permanent beyond PAGES_MAX pages.
    """
    return _all(store, Entry, portfolio_id, epoch, start, "entry$")


def _all(
    store: Store, kind: type[R], portfolio_id: str, epoch: int, start: str, end: str
) -> Iterator[R]:
    """Every record of a key range of one epoch, page by page."""
    pk = portfolio_pk(portfolio_id, epoch)
    for _ in range(PAGES_MAX):
        page = store.query(kind, "portfolio", pk, start=start, end=end, limit=QUERY_LIMIT_MAX)
        yield from page
        if len(page) < QUERY_LIMIT_MAX:
            return
        start = key_of(page[-1]).sk + "\x00"
    raise Permanent(
        f"{portfolio_id} has more than {PAGES_MAX * QUERY_LIMIT_MAX} of {kind.__name__}"
    )


def marks(store: Store) -> tuple[dict[str, int], int | None]:
    """Price in micros per marked token, and when the sheet was made (None: never)."""
    sheet = store.get(MarkSheet, MARKS_KEY)
    if sheet is None:
        return {}, None
    return {mark.token_id: mark.price for mark in sheet.marks}, sheet.ts


def opening_head(portfolio_id: str, kind: PortfolioKind, leader: str, cash: int) -> Head:
    """The head of a first epoch before its opening entry."""
    return Head(
        portfolio_id=portfolio_id,
        kind=kind,
        leader=leader,
        epoch=1,
        starting_cash=cash,
        cash=0,
    )
