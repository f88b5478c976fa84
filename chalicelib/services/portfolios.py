"""Which portfolios exist, and reading them."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.domain.errors import Permanent
from chalicelib.domain.ledger import Entry
from chalicelib.domain.mark_sheet import marks_on
from chalicelib.domain.portfolio import Head, PortfolioKind, Position
from chalicelib.domain.registry import Leader, MarkSheet, PortfolioRef
from chalicelib.keyspace import (
    MARKS_KEY,
    SHADOW_MARKS_KEY,
    head_key,
    key_of,
    portfolio_pk,
    portfolio_ref_key,
    position_key,
)
from chalicelib.ports import QUERY_LIMIT_MAX, R, Store

ACCOUNT = "main"
ACCOUNTS_MAX = 100
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
    """Every portfolio, shadows included. Raises Permanent beyond PAGES_MAX pages."""
    found: list[PortfolioRef] = []
    start = ""
    for _ in range(PAGES_MAX):
        page = store.query(
            PortfolioRef, "registry", "portfolios", start=start, limit=QUERY_LIMIT_MAX
        )
        found += page
        if len(page) < QUERY_LIMIT_MAX:
            return found
        start = key_of(page[-1]).sk + "\x00"
    raise Permanent(f"more than {PAGES_MAX * QUERY_LIMIT_MAX} portfolios")


def accounts(store: Store) -> list[str]:
    """Every account with a portfolio: one look per account, however many portfolios it has.

    Raises Permanent beyond ACCOUNTS_MAX of them.
    """
    found: list[str] = []
    start = ""
    for _ in range(ACCOUNTS_MAX + 2):
        first = store.query(PortfolioRef, "registry", "portfolios", start=start, limit=1)
        if not first:
            return found
        if first[0].kind != "shadow":
            found.append(first[0].account_id)
        # The next name that is not in front of a slash of this one.
        start = first[0].portfolio_id.split("/", 1)[0] + "0"
    raise Permanent(f"more than {ACCOUNTS_MAX} accounts")


def portfolios_of_leader(store: Store, leader: str) -> list[PortfolioRef]:
    """The executable portfolios that copy a leader while he is followed."""
    names = [
        name
        for account in accounts(store)
        for name in (global_id(account), leader_portfolio_id(leader, account))
    ]
    found = [portfolio_ref(store, name) for name in names]
    return [ref for ref in found if ref is not None]


def followers(store: Store, leader: Leader) -> list[PortfolioRef]:
    """The executable portfolios that copy a leader; none when he is off."""
    return [] if leader.state == "off" else portfolios_of_leader(store, leader.leader)


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
    """Price in micros per marked token, and when executables were last marked (None: never)."""
    prices: dict[str, int] = {}
    sheets = [store.get(MarkSheet, key) for key in (SHADOW_MARKS_KEY, MARKS_KEY)]
    for sheet in sheets:
        if sheet:
            prices.update((mark.token_id, mark.price) for mark in marks_on(sheet))
    times = [sheet.ts for sheet in sheets if sheet]
    return prices, times[-1] if times else None


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
