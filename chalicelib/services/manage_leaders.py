"""Following: a leader's registry row and the portfolios that copy him."""

from __future__ import annotations

from collections.abc import Sequence

from chalicelib.domain.errors import Conflict, InvalidInput
from chalicelib.domain.identifiers import address
from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import PortfolioKind, Position, apply_entry
from chalicelib.domain.registry import Leader, PortfolioRef
from chalicelib.keyspace import leader_key
from chalicelib.ports import Clock, Put, Store
from chalicelib.services import portfolios

LEADERS_MAX = 200
WALLETS_MAX = 20
NAME_LENGTH_MAX = 80


def leaders(store: Store) -> list[Leader]:
    """Every leader ever followed, by address."""
    return store.query(Leader, "registry", "leaders", limit=LEADERS_MAX)


class FollowLeader:
    """Start following one user; following him again changes nothing."""

    def __init__(self, store: Store, clock: Clock, starting_cash: int) -> None:
        self._store = store
        self._clock = clock
        self._starting_cash = starting_cash

    def __call__(self, wallets: Sequence[str], name: str = "") -> Leader:
        """The leader with these wallets, the first of which names him.

        Raises InvalidInput for a bad address, a wallet of another leader, or too many leaders.
        """
        if not 1 <= len(wallets) <= WALLETS_MAX:
            raise InvalidInput("wallets", f"1 to {WALLETS_MAX} addresses were expected")
        if len(name) > NAME_LENGTH_MAX:
            raise InvalidInput("name", f"at most {NAME_LENGTH_MAX} characters were expected")
        lower = tuple(dict.fromkeys(address(w, "wallet") for w in wallets))
        known = leaders(self._store)
        for other in known:
            if other.leader == lower[0]:
                continue
            if set(other.wallets) & set(lower):
                raise InvalidInput("wallets", f"already belong to leader {other.leader}")
        same = next((other for other in known if other.leader == lower[0]), None)
        if same is None and len(known) >= LEADERS_MAX:
            raise InvalidInput("wallets", f"at most {LEADERS_MAX} leaders can be followed")
        self._open(portfolios.global_id(), "global", "", self._starting_cash)
        self._open(portfolios.shadow_id(lower[0]), "shadow", lower[0], 0)
        self._open(
            portfolios.leader_portfolio_id(lower[0]), "leader", lower[0], self._starting_cash
        )
        if same:
            return same
        leader = Leader(lower[0], name or lower[0][:10], lower, "on", self._clock.now_ms())
        try:
            self._store.commit([Put(leader)])
        except Conflict:
            return self._store.get(Leader, leader_key(lower[0])) or leader
        return leader

    def _open(self, portfolio_id: str, kind: PortfolioKind, leader: str, cash: int) -> None:
        """The list entry, head and OPENING entry of a new portfolio, in one commit."""
        if portfolios.portfolio_ref(self._store, portfolio_id):
            return
        account = portfolio_id.split("/", 1)[0]
        head = portfolios.opening_head(portfolio_id, kind, leader, cash)
        opening = Entry(
            portfolio_id=portfolio_id,
            epoch=head.epoch,
            seq=0,
            kind="OPENING",
            reference="opening",
            token_id="",
            leader="",
            shares=0,
            cash=cash,
            ts_effective=self._clock.now_ms(),
        )
        opened, _ = apply_entry(head, Position(portfolio_id, head.epoch, "", ""), opening)
        try:
            self._store.commit(
                [
                    Put(PortfolioRef(portfolio_id, account, kind, leader, head.epoch)),
                    Put(opened),
                    Put(opening),
                ]
            )
        except Conflict:
            return
