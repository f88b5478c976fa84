"""Chain reorganisations: the last blocks are mined again with the same transactions.

A reorganisation is an intervention from outside, so a world that had one no longer equals its
replay. Matches, amounts and the order of fills stay; block hashes and log indexes change, and
some transactions slip into a later block.
"""

from __future__ import annotations

import random
from dataclasses import replace

from simulator import ids
from simulator.world import SEQUENCE_BASE, Block, Fill, Transaction, World

SLIP_RATE = 0.5


def reorganise(world: World, head: Block, depth: int, rng: random.Random) -> list[Block]:
    """Replace the `depth` blocks that end with `head` and return their successors.

    `head` is the published head; the world may already hold one unpublished block, which is
    linked to the new branch. Raises ValueError when the retained history is too short.
    """
    first = head.number - depth + 1
    if first - 1 not in world.blocks:
        raise ValueError("reorg: fewer blocks than that have been published")
    old = [world.blocks[number] for number in range(first, head.number + 1)]
    new = _mine_again(world.blocks[first - 1], old, rng)
    _replace_history(world, old, new)
    following = world.blocks.get(head.number + 1)
    if following is not None:
        following.parent_hash = new[-1].hash
    else:
        world.head = new[-1]
    return new


def _mine_again(parent: Block, old: list[Block], rng: random.Random) -> list[Block]:
    new: list[Block] = []
    slipped: list[Transaction] = []
    for block in old:
        waiting = slipped + block.transactions
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
            log_index = _include(successor, tx, tx_index, log_index)
        new.append(successor)
    return new


def _include(block: Block, old: Transaction, tx_index: int, log_index: int) -> int:
    """Put a copy of `old` into `block`, keeping its inner gaps; returns its last log index."""
    shift = log_index + 2 - old.fills[0].log_index
    tx = Transaction(old.hash, old.match, block, tx_index, -1)
    if old.fee_log_index >= 0:
        tx.fee_log_index = old.fee_log_index + shift
    for fill in old.fills:
        place = fill.log_index + shift
        sequence = block.number * SEQUENCE_BASE + tx_index * 100_000 + place * 10
        tx.fills.append(replace(fill, tx=tx, log_index=place, sequence=sequence))
    block.transactions.append(tx)
    return tx.fills[-1].log_index + 1


def _replace_history(world: World, old: list[Block], new: list[Block]) -> None:
    for block in old:
        del world.block_by_hash[block.hash]
    for block in new:
        world.blocks[block.number] = block
        world.block_by_hash[block.hash] = block
        for tx in block.transactions:
            world.transactions[tx.hash] = tx
    fresh = [fill for block in new for tx in block.transactions for fill in tx.fills]
    low, high = old[0].number * SEQUENCE_BASE, (old[-1].number + 1) * SEQUENCE_BASE
    _splice(world.fills, fresh, low, high)
    _splice(world.truth, [fill for fill in fresh if fill.n], low, high)
    for wallet, rows in world.fills_of.items():
        _splice(rows, [fill for fill in fresh if fill.wallet == wallet], low, high)


def _splice(rows: list[Fill], fresh: list[Fill], low: int, high: int) -> None:
    """Swap the rows with low <= sequence < high, which are at the end, for `fresh`."""
    end = len(rows)
    while end and rows[end - 1].sequence >= high:
        end -= 1
    start = end
    while start and rows[start - 1].sequence >= low:
        start -= 1
    rows[start:end] = fresh
