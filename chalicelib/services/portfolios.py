"""Which portfolios exist, and reading them."""

from __future__ import annotations

from chalicelib.domain.portfolio import Head, PortfolioKind, Position
from chalicelib.domain.registry import Leader, MarkSheet, PortfolioRef
from chalicelib.keyspace import MARKS_KEY, head_key, portfolio_pk, portfolio_ref_key
from chalicelib.ports import Store

ACCOUNT = "main"
PORTFOLIOS_MAX = 1_000
POSITIONS_MAX = 1_000


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
    """The head of a portfolio's current epoch. Raises LookupError when it was never opened."""
    head = store.get(Head, head_key(ref.portfolio_id, ref.epoch))
    if head is None:
        raise LookupError(f"portfolio {ref.portfolio_id} epoch {ref.epoch} has no head")
    return head


def positions_of(store: Store, portfolio_id: str, epoch: int) -> list[Position]:
    """All positions of one epoch, closed ones included, at most POSITIONS_MAX."""
    return store.query(
        Position,
        "portfolio",
        portfolio_pk(portfolio_id, epoch),
        start="position#",
        end="position$",
        limit=POSITIONS_MAX,
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
