"""New entries of a shadow folded in where the chain has them, however late they come.

A position remembers where its entries end. What comes behind that is applied as it is; what comes
before it has the whole position folded anew from the ledger, in the same commit. A redemption
leaves a wallet nothing, so it also takes what is known of only later.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

from chalicelib.domain.ledger import Entry
from chalicelib.domain.portfolio import (
    Head,
    Position,
    apply_entry,
    is_late,
    redeemed,
    refold,
)
from chalicelib.domain.records import replace
from chalicelib.ports import Put, Store
from chalicelib.services.portfolios import entries_from

log = logging.getLogger(__name__)

REFOLD_ENTRIES_MAX = 20_000
"""Entries read to fold positions anew. A position that needs more counts late entries in order of
arrival from then on, and says so: its gains are then no longer those of the chain's order."""


def folded_in(
    store: Store, head: Head, positions: Mapping[str, Position], entries: Sequence[Entry]
) -> tuple[Head, list[Put]]:
    """The head after `entries`, and the writes of entries and positions without the head's.

    `positions` are the present ones by token; a missing one is empty. The commit must require the
    head as it was given.
    """
    after = dict(positions)
    by_token: dict[str, list[Entry]] = {}
    for entry in entries:
        by_token.setdefault(entry.token_id, []).append(entry)
        after.setdefault(entry.token_id, _empty(head, entry))
    late = {
        token
        for token, new in by_token.items()
        if token and not after[token].unordered and any(is_late(after[token], e) for e in new)
    }
    known = _known(store, head, [after[t] for t in late], late) if late else {}
    taken: list[Entry] = []
    first = head.entries + len(entries)
    for token, new in by_token.items():
        if token in late and known is not None:
            before = known.get(token, [])
            gone = redeemed(before, new, first + len(taken))
            head, after[token] = refold(head, after[token], before, [*new, *gone])
            taken += gone
            continue
        for entry in new:
            head, after[token] = apply_entry(head, after[token], entry)
        if token in late:
            log.warning("%s: entries of token %s came too late", head.portfolio_id, token[:12])
            after[token] = replace(after[token], unordered=True)
    moved = [Put(after[token]) for token in by_token if token]
    return head, [*(Put(entry) for entry in (*entries, *taken)), *moved]


def _empty(head: Head, entry: Entry) -> Position:
    return Position(head.portfolio_id, head.epoch, entry.token_id, entry.leader)


def _known(
    store: Store, head: Head, positions: Sequence[Position], tokens: Collection[str]
) -> dict[str, list[Entry]] | None:
    """All entries of these tokens so far, None where that would be too many to read."""
    first = min(position.ts_first for position in positions)
    found: dict[str, list[Entry]] = {}
    rows = entries_from(store, head.portfolio_id, head.epoch, f"entry#{first:013d}")
    for number, entry in enumerate(rows):
        if number == REFOLD_ENTRIES_MAX:
            return None
        if entry.token_id in tokens:
            found.setdefault(entry.token_id, []).append(entry)
    return found
