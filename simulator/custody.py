"""The holdings the Data API serves: the true ones of a block a little behind the head."""

from __future__ import annotations

from simulator.positions import PositionBook
from simulator.world import World

INGESTION_LAG_BLOCKS = 2


class Custody:
    """Positions as of `block_number`, which follows the ingested head and never goes back
    except with a reorganisation.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.book = PositionBook(world.leader_wallets, world.openings)
        self.block_number = world.head.number
        self._first = world.head.number

    def synced_block(self, head_number: int) -> int:
        """The newest block the venue's indexers have taken in."""
        return max(self._first, head_number - INGESTION_LAG_BLOCKS)

    def follow(self, head_number: int, lag_blocks: int) -> None:
        """Move on to `lag_blocks` behind the ingested head."""
        target = self.synced_block(head_number) - lag_blocks
        while self.block_number < target:
            self.block_number += 1
            self.book.apply(self.world.blocks[self.block_number])

    def rewind(self, first: int) -> None:
        """Forget every block from `first` on."""
        self.book.rewind(first)
        self.block_number = min(self.block_number, first - 1)
