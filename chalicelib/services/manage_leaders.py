"""Following: a leader's registry row, his wallets, and the portfolios that copy him."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from chalicelib.domain.errors import Conflict, InvalidInput, Permanent, Retryable
from chalicelib.domain.identifiers import address
from chalicelib.domain.lane import Work
from chalicelib.domain.portfolio import PortfolioKind
from chalicelib.domain.registry import (
    Cursor,
    Leader,
    LeaderState,
    PortfolioRef,
    WalletOwner,
    wallet_as_of,
    wallet_reading,
    wallet_start,
)
from chalicelib.domain.rules import SystemRules
from chalicelib.keyspace import (
    cursor_key,
    key_of,
    leader_key,
    portfolio_pk,
    wallet_owner_key,
)
from chalicelib.ports import QUERY_LIMIT_MAX, Clock, Put, Rules, Store, stored
from chalicelib.services import portfolios
from chalicelib.services.audit import OPERATOR, SYSTEM, audited, told

LEADERS_MAX = 200
"""Leaders followed at a time; those who are off are remembered, up to PAGES_MAX pages of them."""
PAGES_MAX = 20
WALLETS_MAX = 20
NAME_LENGTH_MAX = 80
OVERLAP_MS = 120_000
"""A flat start reaches back this far, as history: what was under way when following began."""
ROUNDS_MAX = 8
WORK_PAGES_MAX = 50


def leaders(store: Store) -> list[Leader]:
    """Every leader ever followed, by address. Raises Permanent beyond PAGES_MAX pages."""
    found: list[Leader] = []
    start = ""
    for _ in range(PAGES_MAX):
        page = store.query(Leader, "registry", "leaders", start=start, limit=QUERY_LIMIT_MAX)
        found += page
        if len(page) < QUERY_LIMIT_MAX:
            return found
        start = key_of(page[-1]).sk + "\x00"
    raise Permanent(f"more than {PAGES_MAX * QUERY_LIMIT_MAX} leaders")


class FollowLeader:
    """Follow one user, follow him again after that had ended, or give him more wallets."""

    def __init__(
        self, store: Store, clock: Clock, starting_cash: int, rules: Rules | None = None
    ) -> None:
        self._store = store
        self._clock = clock
        self._starting_cash = starting_cash
        self._rules = rules

    def __call__(self, wallets: Sequence[str], name: str = "", *, who: str = OPERATOR) -> Leader:
        """The leader with these wallets, the first of which names him; nothing takes one away.

        A new wallet, or all of somebody who was off, begins now: what happened before is history,
        and its holdings are read. Wallets that were followed all along go on as they were. Raises
        InvalidInput for a bad address, a wallet of another leader, or too many of either.
        """
        if not 1 <= len(wallets) <= WALLETS_MAX:
            raise InvalidInput("wallets", f"1 to {WALLETS_MAX} addresses were expected")
        if len(name) > NAME_LENGTH_MAX:
            raise InvalidInput("name", f"at most {NAME_LENGTH_MAX} characters were expected")
        lower = tuple(dict.fromkeys(address(w, "wallet") for w in wallets))
        for _ in range(ROUNDS_MAX):
            known = leaders(self._store)
            same = self._checked(lower, known)
            self._open_portfolios(lower[0])
            wanted = self._wanted(same, lower, name)
            if wanted == same:
                return wanted
            try:
                self._commit(wanted, same, who)
            except Conflict:
                continue
            return stored(wanted)
        raise Retryable(f"leader {lower[0]} stayed contended for {ROUNDS_MAX} rounds")

    def _checked(self, wallets: tuple[str, ...], known: list[Leader]) -> Leader | None:
        """The leader these wallets name, if he is known. Raises InvalidInput."""
        for other in known:
            if other.leader != wallets[0] and set(other.wallets) & set(wallets):
                raise InvalidInput("wallets", f"already belong to leader {other.leader}")
        for wallet in wallets:
            owner = self._store.get(WalletOwner, wallet_owner_key(wallet))
            if owner and owner.leader != wallets[0]:
                raise InvalidInput("wallets", f"already belong to leader {owner.leader}")
        same = next((other for other in known if other.leader == wallets[0]), None)
        others = [o for o in known if o.leader != wallets[0] and o.state != "off"]
        if (same is None or same.state == "off") and len(others) >= LEADERS_MAX:
            raise InvalidInput("wallets", f"at most {LEADERS_MAX} leaders can be followed")
        if same and len({*same.wallets, *wallets}) > WALLETS_MAX:
            raise InvalidInput("wallets", f"a leader has at most {WALLETS_MAX}")
        return same

    def _wanted(self, same: Leader | None, wallets: tuple[str, ...], name: str) -> Leader:
        now = self._clock.now_ms()
        history = max(0, now - self._history_ms())
        if same is None:
            new = Leader(wallets[0], name or wallets[0][:10], wallets, "on", now)
            return _begun(new, 0, now, history)
        together = tuple(dict.fromkeys((*same.wallets, *wallets)))
        if same.state == "off":
            return _begun(replace(same, wallets=together, state="on"), 0, now, history)
        if same.state == "sell_only":
            same = replace(same, state="on", buys_from=now)
        if together == same.wallets:
            return same
        # His other wallets go on from their cursors.
        history = same.history_from or max(0, same.followed_from - OVERLAP_MS)
        known = len(same.wallets)
        bought = same.buys_from
        begun = _begun(replace(same, wallets=together), known, now, history)
        return replace(begun, buys_from=bought)

    def _history_ms(self) -> int:
        rules = self._rules.system() if self._rules else SystemRules()
        return rules.warm_start_seconds * 1000 if rules.start_mode == "warm" else OVERLAP_MS

    def _commit(self, leader: Leader, same: Leader | None, who: str) -> None:
        """The leader's row, what makes his new wallets his, and where polling them begins."""
        before = same.wallets if same else ()
        now = self._clock.now_ms()
        writes = [Put(leader), _audited(same, leader, "leader.follow", who, now)]
        start = max(0, leader.followed_from - self._history_ms() + OVERLAP_MS) // 1000
        for wallet in leader.wallets:
            if self._store.get(WalletOwner, wallet_owner_key(wallet)) is None:
                writes.append(Put(WalletOwner(wallet, leader.leader)))
            known = self._store.get(Cursor, cursor_key(leader.leader, wallet))
            # Without one, a wallet that joins late would be polled from his first day on.
            if before and wallet not in before and known is None:
                writes.append(Put(Cursor(leader.leader, wallet, start)))
        self._store.commit(writes)

    def _open_portfolios(self, leader: str) -> None:
        self._open(portfolios.global_id(), "global", "", self._starting_cash)
        self._open(portfolios.shadow_id(leader), "shadow", leader, 0)
        self._open(portfolios.leader_portfolio_id(leader), "leader", leader, self._starting_cash)

    def _open(self, portfolio_id: str, kind: PortfolioKind, leader: str, cash: int) -> None:
        """The list entry, head and OPENING entry of a new portfolio, in one commit."""
        if portfolios.portfolio_ref(self._store, portfolio_id):
            return
        account = portfolios.account_of(portfolio_id)
        ref = PortfolioRef(portfolio_id, account, kind, leader, 1)
        head, entry = portfolios.opening(ref, cash, self._clock.now_ms())
        try:
            self._store.commit([Put(ref), Put(head), Put(entry)])
        except Conflict:
            return


def _begun(leader: Leader, known: int, now: int, history: int) -> Leader:
    """The leader, his wallets from the `known`-th on followed from now on and still to be read."""
    kept, new = leader.wallets[:known], len(leader.wallets) - known
    return replace(
        leader,
        followed_from=now,
        history_from=history,
        buys_from=now,
        holdings_as_of=None,
        wallet_from=(*(wallet_start(leader, wallet) for wallet in kept), *[now] * new),
        wallet_as_of=(*(wallet_as_of(leader, wallet) for wallet in kept), *[None] * new),
        wallet_read=(*(wallet_reading(leader, wallet) for wallet in kept), *[0] * new),
    )


class UnfollowLeader:
    """Stop copying a leader's buys; once nothing of him is left, stop listening to him."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    def __call__(self, leader_address: str, *, who: str = OPERATOR) -> Leader:
        """The leader, `sell_only` while a portfolio holds shares of him, else `off`.

        Raises InvalidInput for somebody who was never followed.
        """
        key = leader_key(address(leader_address, "leader"))
        for _ in range(ROUNDS_MAX):
            leader = self._store.get(Leader, key)
            if leader is None:
                raise InvalidInput("leader", f"{key.sk} was never followed")
            # First for everybody to see, so that no buy slips in behind the next look.
            now = self._clock.now_ms()
            if leader.state == "on":
                told_by = _audited(
                    leader, replace(leader, state="sell_only"), "leader.unfollow", who, now
                )
                if not _set(self._store, leader, "sell_only", told_by):
                    continue
            settle_states(self._store, now)
            return self._store.get(Leader, key) or leader
        raise Retryable(f"leader {key.sk} stayed contended for {ROUNDS_MAX} rounds")


def settle_states(store: Store, now: int) -> int:
    """Turn leaders off of whom nothing is left, and back to `sell_only` where something came late.

    Returns how many changed; `now` (milliseconds) is noted with each change.
    """
    ended = [leader for leader in leaders(store) if leader.state != "on"]
    if not ended:
        return 0
    busy = _with_shares_or_work(store)
    changed = 0
    for leader in ended:
        state: LeaderState = "sell_only" if leader.leader in busy else "off"
        if state != leader.state:
            settled = replace(leader, state=state)
            told_by = _audited(leader, settled, "leader.settle", SYSTEM, now)
            changed += _set(store, leader, state, told_by)
    return changed


def _set(store: Store, leader: Leader, state: LeaderState, told_by: Put) -> bool:
    try:
        store.commit([Put(replace(leader, state=state)), told_by])
    except Conflict:
        return False
    return True


def _audited(before: Leader | None, after: Leader, action: str, who: str, now: int) -> Put:
    revision = before.version if before else 0
    return audited(who, action, after.leader, told(before), told(after), ts=now, revision=revision)


def _with_shares_or_work(store: Store) -> set[str]:
    """Leaders of whom an executable portfolio holds shares or has something to decide or finish."""
    found: set[str] = set()
    for ref in portfolios.all_portfolios(store):
        if ref.kind == "shadow":
            continue
        rows = portfolios.positions_of(store, ref.portfolio_id, ref.epoch)
        found |= {row.leader for row in rows if row.shares}
        found |= {work.leader for work in _work(store, ref)}
    return found


def _work(store: Store, ref: PortfolioRef) -> Iterator[Work]:
    """Every work row of a portfolio, at most WORK_PAGES_MAX pages."""
    pk, start = portfolio_pk(ref.portfolio_id, ref.epoch), "work#"
    for _ in range(WORK_PAGES_MAX):
        page = store.query(Work, "portfolio", pk, start=start, end="work$", limit=QUERY_LIMIT_MAX)
        yield from page
        if len(page) < QUERY_LIMIT_MAX:
            return
        start = key_of(page[-1]).sk + "\x00"
