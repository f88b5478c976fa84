"""Readings of a leader's wallets into his shadow: the difference per token, exactly once.

A wallet's reading stands for everything it did up to its block time. What the shadow held of it
then is told apart by the entries' wallets and times, so trades may go on while the differences are
booked. What is booked already makes no difference any more, so whoever goes on books the rest.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from chalicelib.domain.errors import Conflict, Retryable
from chalicelib.domain.identifiers import is_combo
from chalicelib.domain.ledger import Entry, EntryKind
from chalicelib.domain.money import MICROS, cash_floor
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import (
    HeldToken,
    Leader,
    PortfolioRef,
    wallet_as_of,
    wallet_reading,
    wallet_start,
)
from chalicelib.keyspace import entry_key, key_of, leader_key
from chalicelib.ports import Put, Require, Store, Write
from chalicelib.services.fold_shadow import folded_in
from chalicelib.services.holdings_sheets import sheets_of
from chalicelib.services.portfolios import (
    entries_from,
    head_of,
    marks,
    portfolio_ref,
    position_of,
    positions_of,
    shadow_id,
)

READING_ORDER = 99_999_999
"""A reading sorts after everything of its second: it contains it."""
TOKENS_PER_COMMIT = 20
ROUNDS_MAX = 8
ROUNDING = 100
"""Micros per wallet. The venue states holdings with four decimals; less is no difference."""
HISTORY_MS = 86_400_000
"""How long before a wallet was followed its first entry may be: the longest warm start."""


def shadow_ref(store: Store, leader: str) -> PortfolioRef:
    """The leader's shadow. Raises Retryable while it is not open."""
    ref = portfolio_ref(store, shadow_id(leader))
    if ref is None:
        raise Retryable(f"the shadow of {leader} is not open yet")
    return ref


def after(as_of: int) -> str:
    """The sort key from which on entries are later than a reading."""
    return f"entry#{as_of + 1:013d}"


def later_shares(store: Store, ref: PortfolioRef, start: str) -> dict[str, int]:
    """Σ share deltas per token of the entries from the sort key `start` on."""
    return _sums(entries_from(store, ref.portfolio_id, ref.epoch, start))


def held_at(store: Store, ref: PortfolioRef, as_of: int) -> dict[str, int]:
    """What a shadow held of each token at a block time, zeros included."""
    later = later_shares(store, ref, after(as_of))
    return {
        position.token_id: position.shares - later.get(position.token_id, 0)
        for position in positions_of(store, ref.portfolio_id, ref.epoch)
    }


def tolerance(wallets: Collection[str]) -> int:
    """The least difference between shadow and readings that means something, in micros."""
    return ROUNDING * len(wallets)


def price_for(held: HeldToken | None, position: Position, marks: Mapping[str, int]) -> int:
    """What a share is worth in a correction: the reading's price, else its mark, else its cost."""
    if held is not None:
        return held.price
    if position.token_id in marks:
        return marks[position.token_id]
    return position.cost * MICROS // position.shares if position.shares > 0 else 0


def _never() -> bool:
    return False


def finish_holdings(store: Store, leader: Leader, is_over: Callable[[], bool] = _never) -> Leader:
    """Book what the readings of the leader's wallets owe his shadow; the leader as he stands then.

    Costs nothing when nothing is owed, and ends early when `is_over`: who comes next goes on.
    Raises Retryable under lasting contention.
    """
    owed = _owed(store, leader)
    if owed is None:
        return leader
    positions = {
        position.token_id: position
        for position in positions_of(store, owed.ref.portfolio_id, owed.ref.epoch)
    }
    shadow = owed.shadow(store, positions)
    least = tolerance(owed.as_of)
    wanted = [
        token
        for token in owed.tokens(shadow)
        if abs(owed.shares(token) - shadow.get(token, 0)) >= least
    ]
    prices = marks(store)[0] if wanted else {}
    for first in range(0, len(wanted), TOKENS_PER_COMMIT):
        part = wanted[first : first + TOKENS_PER_COMMIT]
        if first and is_over():
            return leader
        if not _book(store, leader, owed, part, prices, positions, shadow):
            return store.get(Leader, leader_key(leader.leader)) or leader
    with suppress(Conflict):
        store.commit([Put(replace(leader, holdings_posted=leader.holdings_read))])
    return store.get(Leader, leader_key(leader.leader)) or leader


def finish_tokens(store: Store, leader: Leader, tokens: Sequence[str]) -> None:
    """The same for a few tokens that are about to be sold, without looking at any other.

    Raises Retryable under lasting contention.
    """
    owed = _owed(store, leader)
    if owed is None:
        return
    wanted = [token for token in tokens if token and not is_combo(token)]
    for first in range(0, len(wanted), TOKENS_PER_COMMIT):
        part = wanted[first : first + TOKENS_PER_COMMIT]
        _book(store, leader, owed, part, marks(store)[0])


@dataclass(frozen=True, slots=True)
class _Owed:
    """Readings of wallets that did not reach the shadow yet, and what they show together.

    `as_of` is by wallet, `everybody` says whether these are all wallets of the leader.
    """

    ref: PortfolioRef
    as_of: Mapping[str, int]
    held: Mapping[str, HeldToken]
    refused: bool
    everybody: bool
    first_entry: int
    references: tuple[str, ...]
    kind: EntryKind

    def shares(self, token: str) -> int:
        """What the wallets hold of a token."""
        row = self.held.get(token)
        return row.shares if row else 0

    def tokens(self, shadow: Mapping[str, int]) -> list[str]:
        """Tokens to compare; where a row was refused, nothing is missing."""
        known = {*self.held, *(() if self.refused else shadow)}
        return sorted(token for token in known if not is_combo(token))

    def shadow(self, store: Store, positions: Mapping[str, Position]) -> dict[str, int]:
        """What the shadow holds of these wallets up to their readings, by token.

        All wallets together are what it holds less what came later. Wallets that joined are what
        their own entries say, and what was booked of the same readings.
        """
        ref = self.ref
        if self.everybody:
            start = after(min(self.as_of.values()))
            later = _sums(
                entry
                for entry in entries_from(store, ref.portfolio_id, ref.epoch, start)
                if not self._contains(entry)
            )
            return {t: p.shares - later.get(t, 0) for t, p in positions.items()}
        start = f"entry#{self.first_entry:013d}"
        return _sums(
            entry
            for entry in entries_from(store, ref.portfolio_id, ref.epoch, start)
            if self._is_booked(entry) or (entry.wallet in self.as_of and self._contains(entry))
        )

    def _contains(self, entry: Entry) -> bool:
        """Whether a reading contains an entry; what is no wallet's doing is part of the last."""
        latest = max(self.as_of.values())
        return self._is_booked(entry) or entry.ts_effective <= self.as_of.get(entry.wallet, latest)

    def _is_booked(self, entry: Entry) -> bool:
        return entry.reference.startswith(self.references)


def _owed(store: Store, leader: Leader) -> _Owed | None:
    """What the leader's readings owe his shadow; None when nothing, or when one is missing."""
    if leader.holdings_as_of is None or leader.holdings_posted >= leader.holdings_read:
        return None
    as_of: dict[str, int] = {}
    held: dict[str, HeldToken] = {}
    refused = False
    for wallet in leader.wallets:
        ts, number = wallet_as_of(leader, wallet), wallet_reading(leader, wallet)
        if ts is None or number <= leader.holdings_posted:
            continue
        as_of[wallet] = ts
        for sheet in sheets_of(store, leader.leader, wallet, number, ts):
            refused |= sheet.refused > 0
            for row in sheet.held:
                shares = row.shares + (held[row.token_id].shares if row.token_id in held else 0)
                held[row.token_id] = HeldToken(row.token_id, shares, row.price)
    if not as_of:
        return None
    began = min(wallet_start(leader, wallet) for wallet in as_of)
    return _Owed(
        ref=shadow_ref(store, leader.leader),
        as_of=as_of,
        held=held,
        refused=refused,
        everybody=len(as_of) == len(leader.wallets),
        first_entry=max(0, min(began - HISTORY_MS, *as_of.values())),
        references=tuple(
            f"holdings/{number}/"
            for number in range(leader.holdings_posted + 1, leader.holdings_read + 1)
        ),
        kind="OPENING" if leader.holdings_posted == 0 else "CORRECTION",
    )


def _sums(entries: Iterable[Entry]) -> dict[str, int]:
    sums: dict[str, int] = {}
    for entry in entries:
        if entry.token_id:
            sums[entry.token_id] = sums.get(entry.token_id, 0) + entry.shares
    return sums


def _difference(
    head: Head,
    position: Position,
    kind: EntryKind,
    reference: str,
    delta: int,
    worth: int,
    as_of: int,
) -> Entry:
    """The entry that brings a position's shares, without cash, to what a reading says."""
    return Entry(
        portfolio_id=head.portfolio_id,
        epoch=head.epoch,
        seq=head.entries,
        kind=kind,
        reference=reference,
        token_id=position.token_id,
        leader=position.leader,
        shares=delta,
        cash=0,
        ts_effective=as_of,
        order=READING_ORDER,
        value=worth if delta > 0 else -worth,
    )


def _is_current(store: Store, leader: Leader) -> bool:
    """Whether the leader's row is still this one."""
    current = store.get(Leader, leader_key(leader.leader))
    return current is not None and current.version == leader.version


def _book(
    store: Store,
    leader: Leader,
    owed: _Owed,
    tokens: Sequence[str],
    prices: Mapping[str, int],
    positions: Mapping[str, Position] | None = None,
    shadow: Mapping[str, int] | None = None,
) -> bool:
    """Book some tokens in one commit; what is known of them is used until it proves outdated.

    False when the leader's row is no longer this one: then the reading may be void. Raises
    Retryable under lasting contention.
    """
    as_of = min(owed.as_of.values())
    least = tolerance(owed.as_of)
    for _ in range(ROUNDS_MAX):
        head = head_of(store, owed.ref)
        if positions is None or shadow is None:
            positions = {t: position_of(store, head, t, leader.leader) for t in tokens}
            shadow = owed.shadow(store, positions)
        entries: list[Entry] = []
        for token in tokens:
            delta = owed.shares(token) - shadow.get(token, 0)
            if abs(delta) < least or (owed.refused and token not in owed.held):
                continue
            position = positions.get(token) or Position(
                head.portfolio_id, head.epoch, token, leader.leader
            )
            worth = cash_floor(abs(delta), price_for(owed.held.get(token), position, prices))
            name = f"holdings/{leader.holdings_read}/{token}"
            entry = _difference(head, position, owed.kind, name, delta, worth, as_of)
            entries.append(replace(entry, seq=head.entries + len(entries)))
        if not entries:
            return True
        present = {token: positions[token] for token in tokens if token in positions}
        folded, moved = folded_in(store, head, present, entries)
        try:
            store.commit([*moved, Put(folded), Require(key_of(leader), leader.version)])
        except Conflict:
            if not _is_current(store, leader):
                return False
            positions = shadow = None
            continue
        return True
    raise Retryable(f"shadow of {leader.leader} stayed contended for {ROUNDS_MAX} rounds")


def book_difference(
    store: Store,
    leader: Leader,
    token: str,
    held: HeldToken | None,
    as_of: int,
    kind: EntryKind,
    reference: str,
) -> bool:
    """Make the shadow's shares of a token at `as_of` equal to a reading's.

    False when the leader's row is no longer this one: then the reading may be void. Raises
    Retryable under lasting contention.
    """
    ref = shadow_ref(store, leader.leader)
    prices, _ = marks(store)
    name = f"{reference}/{token}"
    key = entry_key(ref.portfolio_id, ref.epoch, as_of, READING_ORDER, name, kind)
    for _ in range(ROUNDS_MAX):
        head = head_of(store, ref)
        later = later_shares(store, ref, after(as_of))
        position = position_of(store, head, token, leader.leader)
        delta = (held.shares if held else 0) - (position.shares - later.get(token, 0))
        if abs(delta) < tolerance(leader.wallets) or store.get(Entry, key):
            return True
        worth = cash_floor(abs(delta), price_for(held, position, prices))
        entry = _difference(head, position, kind, name, delta, worth, as_of)
        head, moved = folded_in(store, head, {token: position}, [entry])
        writes: list[Write] = [*moved, Put(head)]
        try:
            store.commit([*writes, Require(key_of(leader), leader.version)])
        except Conflict:
            if not _is_current(store, leader):
                return False
            continue
        return True
    raise Retryable(f"shadow of {leader.leader} stayed contended for {ROUNDS_MAX} rounds")
