"""Chain reorganisations: the last blocks are mined again.

A reorganisation is an intervention from outside, so a world that had one no longer equals its
replay. Matches, amounts and the order of transactions stay; block hashes and log indexes change,
and some transactions slip into a later block. On request some never come back.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from simulator import ids
from simulator.activity import OtherTransaction
from simulator.chain import Block, Fill, Part, Row, Transaction
from simulator.world import SEQUENCE_BASE, World

SLIP_RATE = 0.5
DROP_RATE = 0.5

AnyTransaction = Transaction | OtherTransaction


def reorganise(
    world: World, head: Block, depth: int, rng: random.Random, *, drop: bool = False
) -> tuple[list[Block], list[Fill]]:
    """Replace the `depth` blocks that end with `head`; returns them and the fills that are gone.

    `head` is the published head; the world may already hold one unpublished block, which is
    linked to the new branch. Raises ValueError when the retained history is too short.
    """
    first = head.number - depth + 1
    if first - 1 not in world.blocks:
        raise ValueError("reorg: fewer blocks than that have been published")
    old = [world.blocks[number] for number in range(first, head.number + 1)]
    gone = _dropped(world, old, rng) if drop else []
    new = _mine_again(world.blocks[first - 1], old, rng, {tx.hash for tx in gone})
    _replace_history(world, old, new)
    following = world.blocks.get(head.number + 1)
    if following is not None:
        following.parent_hash = new[-1].hash
    else:
        world.head = new[-1]
    return new, [fill for tx in gone for fill in tx.fills]


def _dropped(world: World, old: list[Block], rng: random.Random) -> list[Transaction]:
    """Choose the transactions that never come back, at least one of a leader if one can go.

    The leaders' holdings forget them. A purchase stays if the wallet has already used it.
    """
    candidates = [tx for block in old for tx in block.transactions]
    rng.shuffle(candidates)
    candidates.sort(key=lambda tx: not any(fill.n for fill in tx.fills))
    gone: list[Transaction] = []
    for tx in candidates:
        if (not gone or rng.random() < DROP_RATE) and _can_go(world, tx):
            gone.append(tx)
            _forget_moves(world, tx)
    return gone


def _can_go(world: World, tx: Transaction) -> bool:
    moves = world.desk.moves
    change: Counter[tuple[str, str]] = Counter()
    for move in moves:
        if move.tx_hash == tx.hash:
            change[move.wallet, move.token_id] += move.shares
    if not change:
        return not any(fill.n for fill in tx.fills)
    for (wallet, token_id), shares in change.items():
        leader = world.desk.of_wallet(wallet)
        if leader is None:
            return False
        running = lowest = leader.holdings_of[wallet][token_id]
        for move in reversed(moves):
            if move.tx_hash == tx.hash:
                break
            if (move.wallet, move.token_id) == (wallet, token_id):
                running -= move.shares
                lowest = min(lowest, running)
        if shares > lowest:
            return False
    return True


def _forget_moves(world: World, tx: Transaction) -> None:
    desk = world.desk
    for move in desk.moves:
        if move.tx_hash == tx.hash:
            leader = desk.of_wallet(move.wallet)
            assert leader is not None
            leader.holdings_of[move.wallet][move.token_id] -= move.shares
    kept = [move for move in desk.moves if move.tx_hash != tx.hash]
    desk.moves.clear()
    desk.moves.extend(kept)
    world.fills_dropped += sum(fill.n > 0 for fill in tx.fills)


def _mine_again(parent: Block, old: list[Block], rng: random.Random, gone: set[str]) -> list[Block]:
    new: list[Block] = []
    slipped: list[AnyTransaction] = []
    for block in old:
        waiting = slipped + [tx for tx in block.included() if tx.hash not in gone]
        keep = len(waiting)
        if block is not old[-1] and rng.random() < SLIP_RATE:
            keep = rng.randint(0, len(waiting))
        slipped = waiting[keep:]
        successor = Block(
            number=block.number,
            hash=ids.hash32("reorg", block.hash, rng.random()),
            parent_hash=(new[-1] if new else parent).hash,
            ts=block.ts,
            timestamp=block.timestamp,
        )
        tx_index, log_index = rng.randint(1, 20), rng.randint(5, 150)
        for tx in waiting[:keep]:
            tx_index += rng.randint(1, 9)
            if isinstance(tx, OtherTransaction):
                log_index = _include_other(successor, tx, tx_index, log_index)
            else:
                log_index = _include(successor, tx, tx_index, log_index)
        new.append(successor)
    return new


def _include(block: Block, old: Transaction, tx_index: int, log_index: int) -> int:
    """Put a copy of `old` into `block`, keeping its inner gaps; returns its last log index."""
    shift = log_index + 2 - old.fills[0].log_index
    tx = Transaction(old.hash, block, tx_index)
    for before in old.parts:
        part = Part(before.match)
        if before.fee_log_index >= 0:
            part.fee_log_index = before.fee_log_index + shift
        for fill in before.fills:
            place = fill.log_index + shift
            sequence = block.number * SEQUENCE_BASE + tx_index * 100_000 + place * 10
            part.fills.append(replace(fill, tx=tx, log_index=place, sequence=sequence))
        tx.parts.append(part)
        tx.fills += part.fills
    block.transactions.append(tx)
    return tx.last_log_index


def _include_other(block: Block, old: OtherTransaction, tx_index: int, log_index: int) -> int:
    tx = OtherTransaction(old.hash, block, tx_index, log_index + 2, old.logs)
    base = block.number * SEQUENCE_BASE + tx_index * 100_000 + tx.log_index * 10
    tx.rows += [replace(row, tx=tx, sequence=base + n) for n, row in enumerate(old.rows)]
    block.others.append(tx)
    return tx.last_log_index


def _replace_history(world: World, old: list[Block], new: list[Block]) -> None:
    for block in old:
        del world.block_by_hash[block.hash]
        for tx in block.transactions:
            del world.transactions[tx.hash]
    for block in new:
        world.blocks[block.number] = block
        world.block_by_hash[block.hash] = block
        for tx in block.transactions:
            world.transactions[tx.hash] = tx
        for other in block.others:
            world.others[other.hash] = other
    settled = [tx for block in new for tx in block.included()]
    fresh = [fill for tx in settled if isinstance(tx, Transaction) for fill in tx.fills]
    events = [row for tx in settled if isinstance(tx, OtherTransaction) for row in tx.rows]
    both: list[Row] = [*fresh, *events]
    rows = sorted(both, key=lambda row: row.sequence)
    low, high = old[0].number * SEQUENCE_BASE, (old[-1].number + 1) * SEQUENCE_BASE
    _splice(world.fills, fresh, low, high)
    _splice(world.truth, [fill for fill in fresh if fill.n], low, high)
    _splice(world.activity, events, low, high)
    for wallet, kept in world.rows_of.items():
        _splice(kept, [row for row in rows if row.wallet == wallet], low, high)


def _splice(rows: list[Any], fresh: Iterable[Any], low: int, high: int) -> None:
    """Swap the rows with low <= sequence < high, which are at the end, for `fresh`."""
    end = len(rows)
    while end and rows[end - 1].sequence >= high:
        end -= 1
    start = end
    while start and rows[start - 1].sequence >= low:
        start -= 1
    rows[start:end] = fresh
