"""Which portfolios exist, and reading them."""

from __future__ import annotations

from collections.abc import Iterator

from chalicelib.domain.errors import Conflict, Permanent
from chalicelib.domain.lane import Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.mark_sheet import marks_on
from chalicelib.domain.portfolio import Head, PortfolioKind, Position, apply_entry
from chalicelib.domain.registry import Leader, MarkSheet, PortfolioRef
from chalicelib.keyspace import (
    MARKS_KEY,
    SHADOW_MARKS_KEY,
    head_key,
    key_of,
    open_positions_feed,
    portfolio_pk,
    portfolio_ref_key,
    position_key,
)
from chalicelib.ports import QUERY_LIMIT_MAX, R, Store

ACCOUNT = "main"
SHADOW = "shadow"
"""What stands where an account would in the names of shared portfolios."""
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
    return f"{SHADOW}/{leader}"


def portfolio_ref(store: Store, portfolio_id: str) -> PortfolioRef | None:
    """The portfolio's entry in the list, which names its current epoch."""
    return store.get(PortfolioRef, portfolio_ref_key(portfolio_id))


def account_of(portfolio_id: str) -> str:
    """The account a portfolio belongs to; `shadow` for what all accounts share."""
    return portfolio_id.split("/", 1)[0]


def all_portfolios(store: Store) -> list[PortfolioRef]:
    """Every portfolio of every account, and the shadows: for workers, never for what is shown.

    Raises Permanent beyond PAGES_MAX pages of one account.
    """
    return [ref for owner in (*accounts(store), SHADOW) for ref in _owned(store, owner)]


def portfolios_of(store: Store, account: str = ACCOUNT) -> list[PortfolioRef]:
    """An account's own executable portfolios. Raises Permanent beyond PAGES_MAX pages."""
    return [ref for ref in _owned(store, account) if ref.kind != "shadow"]


def shadows(store: Store) -> list[PortfolioRef]:
    """The replicas of all leaders. Raises Permanent beyond PAGES_MAX pages."""
    return _owned(store, SHADOW)


def _owned(store: Store, owner: str) -> list[PortfolioRef]:
    found: list[PortfolioRef] = []
    start, end = f"{owner}/", f"{owner}0"
    for _ in range(PAGES_MAX):
        page = store.query(
            PortfolioRef, "registry", "portfolios", start=start, end=end, limit=QUERY_LIMIT_MAX
        )
        found += page
        if len(page) < QUERY_LIMIT_MAX:
            return found
        start = key_of(page[-1]).sk + "\x00"
    raise Permanent(f"more than {PAGES_MAX * QUERY_LIMIT_MAX} portfolios")


def accounts(store: Store) -> list[str]:
    """Every account with a portfolio: one look per account, however many portfolios it has.

    The one place that looks across accounts. Raises Permanent beyond ACCOUNTS_MAX of them.
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
    """The head of a portfolio's current epoch.

    Raises Permanent when it was never opened, Conflict when a reset ended the epoch since the
    reference was read: nothing but the reset itself may write to it then.
    """
    head = any_head_of(store, ref)
    if head.ts_closed:
        raise Conflict(f"portfolio {ref.portfolio_id} epoch {ref.epoch} was reset")
    return head


def any_head_of(store: Store, ref: PortfolioRef) -> Head:
    """The head of the epoch that the reference names, ended or not. Raises Permanent."""
    head = store.get(Head, head_key(ref.portfolio_id, ref.epoch))
    if head is None:
        raise Permanent(f"portfolio {ref.portfolio_id} epoch {ref.epoch} has no head")
    return head


def position_of(store: Store, head: Head, token_id: str, leader: str) -> Position:
    """One leader's part of a token in a portfolio; an empty one where there never was any."""
    key = position_key(head.portfolio_id, head.epoch, token_id, leader)
    known = store.get(Position, key)
    return known or Position(head.portfolio_id, head.epoch, token_id, leader)


def is_out(store: Store, leader: str, token_id: str) -> bool:
    """Whether a leader holds nothing of a token, as far as we know."""
    ref = portfolio_ref(store, shadow_id(leader))
    if ref is None:
        return False
    shadow = store.get(Position, position_key(ref.portfolio_id, ref.epoch, token_id, leader))
    return shadow is None or shadow.shares <= 0


def positions_of(store: Store, portfolio_id: str, epoch: int) -> list[Position]:
    """All positions of one epoch, closed ones included.

    Raises Permanent beyond PAGES_MAX pages; a part would be a wrong answer.
    """
    return list(_all(store, Position, portfolio_id, epoch, "position#", "position$"))


def open_positions(store: Store, portfolio_id: str, epoch: int) -> list[Position]:
    """Positions with shares or something owed; the listing may lag by a moment.

    Costs by what is held, not by what was ever held. Raises Permanent beyond PAGES_MAX pages.
    """
    found: list[Position] = []
    listing = open_positions_feed(portfolio_id, epoch)
    before: str | None = None
    for _ in range(PAGES_MAX):
        page = store.feed(Position, "portfolio", listing, before=before, limit=QUERY_LIMIT_MAX)
        found += [row for _, row in page]
        if len(page) < QUERY_LIMIT_MAX:
            return found
        before = page[-1][0]
    raise Permanent(f"{portfolio_id} has more than {PAGES_MAX * QUERY_LIMIT_MAX} open positions")


def entries_from(
    store: Store, portfolio_id: str, epoch: int, start: str = "entry#"
) -> Iterator[Entry]:
    """Ledger entries of one epoch by effective time, from the sort key `start` on.

    Raises Permanent beyond PAGES_MAX pages.
    """
    return _all(store, Entry, portfolio_id, epoch, start, "entry$")


def work_of(store: Store, portfolio_id: str, epoch: int) -> list[Work]:
    """All work rows of one epoch in lane order. Raises Permanent beyond PAGES_MAX pages."""
    return list(_all(store, Work, portfolio_id, epoch, "work#", "work$"))


def entry_page(store: Store, ref: PortfolioRef, start: str) -> list[Entry]:
    """One page of ledger entries by effective time, the last one when it is not full."""
    pk = portfolio_pk(ref.portfolio_id, ref.epoch)
    return store.query(Entry, "portfolio", pk, start=start, end="entry$", limit=QUERY_LIMIT_MAX)


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


def opening(ref: PortfolioRef, cash: int, ts: int) -> tuple[Head, Entry]:
    """What opens the epoch that a reference names: its head and the OPENING entry."""
    entry = Entry(
        portfolio_id=ref.portfolio_id,
        epoch=ref.epoch,
        seq=0,
        kind="OPENING",
        reference="opening",
        token_id="",
        leader="",
        shares=0,
        cash=cash,
        ts_effective=ts,
    )
    head = opening_head(ref.portfolio_id, ref.kind, ref.leader, cash, ref.epoch)
    opened, _ = apply_entry(head, Position(ref.portfolio_id, ref.epoch, "", ""), entry)
    return opened, entry


def opening_head(
    portfolio_id: str, kind: PortfolioKind, leader: str, cash: int, epoch: int = 1
) -> Head:
    """The head of an epoch before its opening entry."""
    return Head(
        portfolio_id=portfolio_id,
        kind=kind,
        leader=leader,
        epoch=epoch,
        starting_cash=cash,
        cash=0,
    )
