"""Reads gaps from the chain by range, beside the socket and only when the settings say so."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from functools import partial

from chalicelib.adapters.polygon.rpc import RangeTooWide
from chalicelib.domain.errors import PapercopyError, Permanent
from chalicelib.domain.rules import SystemRules
from chalicelib.watcher.errands import Threads
from chalicelib.watcher.gap_fill import BlockRange, GapFill
from chalicelib.watcher.outputs import Evidence, GapClosed, Output
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.subscriptions import SHARD_WALLETS_MAX
from chalicelib.watcher.surroundings import ChainReads, RunnerLimits, Surroundings

QUERIES_PER_ROUND_MAX = 40
GAPS_MAX = 8
HEAD_TRIES_MAX = 12
YIELD_LOGS = 64
_log = logging.getLogger(__name__)


class GapFiller:
    """One round every few seconds: a sweep up to the head, or the gaps of reconnects."""

    def __init__(
        self,
        session: PolygonSession,
        around: Surroundings,
        threads: Threads,
        limits: RunnerLimits,
        act: Callable[[Iterable[Output]], Awaitable[None]],
    ) -> None:
        self._session = session
        self._around = around
        self._threads = threads
        self._limits = limits
        self._act = act
        self._plan: GapFill | None = None
        self._gaps: list[GapClosed] = []
        self._filling: GapClosed | None = None
        self._head_tries = 0
        self._kept: Mapping[str, int] = {}
        self._ts_kept = 0.0

    def gap(self, gap: GapClosed) -> None:
        """A gap of all leaders was closed; a bounded number waits, the newest ones."""
        if gap.leaders is None and 0 < gap.block_from <= gap.block_until:
            self._gaps = [*self._gaps, gap][-GAPS_MAX:]

    async def run(self, rules: Callable[[], SystemRules]) -> None:
        """Fill forever, as far as the settings ask for it."""
        chain = self._around.chain
        while chain is not None:
            await asyncio.sleep(self._limits.gap_fill_s)
            now = rules()
            if now.gap_fill == "off":
                self._gaps.clear()
                continue
            plan = self._plan or await self._begin()
            if plan is None:
                continue
            plan.allow(now.gap_fill_blocks_max)
            if now.gap_fill == "sweep":
                # A sweep that knows how far it came needs no telling of gaps.
                self._gaps.clear()
                await self._sweep(plan, chain)
            else:
                await self._fill_gaps(plan, chain)
            await self._keep(plan)

    async def _begin(self) -> GapFill | None:
        cursors = await self._threads.attempt(self._around.cursors, "cursors")
        if cursors is not None:
            self._kept = dict(cursors)
            self._plan = GapFill(cursors)
        return self._plan

    async def _sweep(self, plan: GapFill, chain: ChainReads) -> None:
        head = await self._threads.attempt(chain.head_number, "gap_fill_head")
        if head is None:
            return
        skipped = plan.sweep(self._session.exchanges, head)
        if skipped > 0:
            self._around.metrics.count("gap_fill_blocks_skipped", skipped)
        await self._round(plan, chain)
        plan.abandon()

    async def _fill_gaps(self, plan: GapFill, chain: ChainReads) -> None:
        if self._filling is None and self._gaps:
            head = await self._threads.attempt(chain.head_number, "gap_fill_head")
            self._head_tries += 1
            gap = self._gaps[0]
            if (head is None or head < gap.block_until) and self._head_tries < HEAD_TRIES_MAX:
                return
            self._head_tries = 0
            self._gaps.pop(0)
            if head is None:
                return
            self._filling = gap
            last = min(gap.block_until, head)
            skipped = plan.gap(self._session.exchanges, gap.block_from, last)
            self._around.metrics.count("gap_fill_blocks_skipped", skipped)
        if self._filling is not None:
            await self._round(plan, chain)
            if plan.next() is None:
                self._filling = None

    async def _round(self, plan: GapFill, chain: ChainReads) -> None:
        """At most so many queries; what is left is asked for in the next round."""
        makers = self._session.wallets
        shards = [
            makers[i : i + SHARD_WALLETS_MAX] for i in range(0, len(makers), SHARD_WALLETS_MAX)
        ]
        asked = 0
        while asked < QUERIES_PER_ROUND_MAX and shards and (wanted := plan.next()) is not None:
            asked += len(shards)
            try:
                for shard in shards:
                    await self._read(chain, wanted, shard)
            except RangeTooWide as error:
                self._narrow(plan, wanted, error.blocks)
            except Permanent as error:
                _log.warning("a range of %d blocks was refused: %s", wanted.blocks, error)
                self._narrow(plan, wanted, 0)
            except PapercopyError as error:
                # The node is behind, limited or away; the cursor stays for the next round.
                self._around.metrics.count("gap_fill_failed")
                _log.warning("reading %d blocks failed: %s", wanted.blocks, error)
                return
            else:
                plan.done(wanted)
                self._around.metrics.count("gap_fill_blocks", wanted.blocks)

    def _narrow(self, plan: GapFill, refused: BlockRange, blocks: int) -> None:
        self._around.metrics.count("gap_fill_ranges_refused")
        if not plan.too_wide(refused, blocks):
            _log.error("the node answers no range at all; the Data API fills the gap")

    async def _read(self, chain: ChainReads, wanted: BlockRange, makers: Sequence[str]) -> None:
        ask = partial(chain.logs, wanted.first, wanted.last, wanted.exchanges, makers)
        logs = await self._threads.run(ask)
        for number, log in enumerate(logs, 1):
            now = self._around.clock.now_ms()
            outputs = self._session.receive_log(log, now, pushed=False)
            if any(isinstance(output, Evidence) for output in outputs):
                self._around.metrics.count("gap_fill_logs")
            await self._act(outputs)
            if number % YIELD_LOGS == 0:
                await asyncio.sleep(0)

    async def _keep(self, plan: GapFill) -> None:
        """Store the cursors once a minute; what a crash loses is read again."""
        loop = asyncio.get_running_loop()
        cursors = dict(plan.cursors)
        if cursors == self._kept or loop.time() - self._ts_kept < self._limits.cursors_s:
            return
        self._ts_kept = loop.time()
        if await self._threads.attempt(lambda: _kept(self._around, cursors), "cursors"):
            self._kept = cursors


def _kept(around: Surroundings, cursors: Mapping[str, int]) -> bool:
    around.keep_cursors(cursors)
    return True
