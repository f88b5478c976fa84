"""What one wallet held when it was read, kept on sheets of bounded size."""

from __future__ import annotations

from dataclasses import replace

from chalicelib.domain.errors import Conflict, Permanent, Retryable
from chalicelib.domain.registry import SHEET_TOKENS_MAX, HeldToken, HoldingsSheet
from chalicelib.keyspace import holdings_sheet_key, key_of
from chalicelib.ports import Holdings, Put, Require, Store, stored

TOKENS_MAX = 40 * SHEET_TOKENS_MAX


def keep_sheets(
    store: Store, leader: str, wallet: str, number: int, reading: Holdings
) -> list[Require]:
    """Store what a wallet holds; what a commit that relies on it has to require.

    Raises Permanent for more tokens than can be kept, Retryable when somebody else reads, too.
    """
    if len(reading.held) > TOKENS_MAX:
        raise Permanent(f"{wallet} holds more than {TOKENS_MAX} tokens")
    rows = sorted(reading.held, key=lambda row: row.token_id)
    tokens = [HeldToken(row.token_id, row.shares, row.price) for row in rows]
    cuts = [tokens[i : i + SHEET_TOKENS_MAX] for i in range(0, len(tokens), SHEET_TOKENS_MAX)]
    kept: list[Require] = []
    for part, cut in enumerate(cuts or [[]]):
        sheet = HoldingsSheet(
            leader=leader,
            number=number,
            as_of=reading.as_of,
            part=part,
            parts=max(1, len(cuts)),
            held=tuple(cut),
            refused=reading.refused,
            wallet=wallet,
        )
        sheet = _stored(store, sheet)
        kept.append(Require(key_of(sheet), sheet.version))
    return kept


def _stored(store: Store, sheet: HoldingsSheet) -> HoldingsSheet:
    """The sheet as stored; what an interrupted reading of the same moment left is replaced."""
    known = store.get(HoldingsSheet, key_of(sheet))
    if known:
        sheet = replace(sheet, version=known.version)
        if sheet == known:
            return known
    try:
        store.commit([Put(sheet)])
    except Conflict as error:
        raise Retryable(f"another reading of {sheet.wallet} is under way") from error
    return stored(sheet)


def sheets_of(
    store: Store, leader: str, wallet: str, number: int, as_of: int
) -> list[HoldingsSheet]:
    """All parts of a wallet's reading. Raises Permanent when one is missing."""
    found: list[HoldingsSheet] = []
    while not found or len(found) < found[0].parts:
        key = holdings_sheet_key(leader, number, as_of, len(found), wallet)
        sheet = store.get(HoldingsSheet, key)
        if sheet is None:
            raise Permanent(f"reading {number} of {wallet} is incomplete")
        found.append(sheet)
    return found
