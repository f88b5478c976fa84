"""The simulated venue and chain: a pure function of (seed, genesis, height).

`World.step()` makes the next block together with everything that happened on the books in the
block's interval. No clock, no I/O: the server decides when a step becomes visible.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass

from simulator import ids
from simulator.activity import ActivityRow, OtherTransaction, PendingEvents
from simulator.chain import Block, Fill, Part, Row, Transaction
from simulator.combos import COMBOS, ComboDesk
from simulator.exchange import BookEvent, Exchange, draw_notional
from simulator.leaders import LeaderDesk, make_leaders
from simulator.markets import list_markets
from simulator.matching import BUY, SELL, Match, OrderFill
from simulator.oddities import OddityDesk, add_second_wallets
from simulator.openings import Opening, give_openings
from simulator.other_activity import OtherActivityDesk
from simulator.resolutions import ResolutionPlan, ScheduledResolution
from simulator.scenes import Scene
from simulator.stage import StageDesk

BLOCK_MS = 1_500
ANCHOR_BLOCK = 97_600_000
ANCHOR_MS = 1_795_132_800_000
SEQUENCE_BASE = 10**10
FEED_REFRESH_MS = 3_000
FEED_LAG_MS_MIN, FEED_LAG_MS_SPREAD = 2_400, 600
PRUNE_EVERY_BLOCKS = 1_200
CROWD_WALLETS = 48


@dataclass(frozen=True, slots=True)
class WorldConfig:
    """What shapes a world besides seed and genesis. Rates are long-run averages."""

    leaders: int = 4
    fills_per_minute: float = 30.0
    fills_max: int | None = None
    leaders_wait_ms: int = 0
    crowd_trades_per_minute: float = 24.0
    book_moves_per_block: int = 4
    other_activity_per_minute: float = 0.0
    combos_per_minute: float = 0.0
    oddities_per_minute: float = 0.0
    holdings: bool = False
    resolutions: tuple[ScheduledResolution, ...] = ()
    scenes: tuple[Scene, ...] = ()
    retention_blocks: int = 24 * 3_600_000 // BLOCK_MS


@dataclass(frozen=True, slots=True)
class Step:
    """A block and the book events of its interval in time order."""

    block: Block
    events: list[BookEvent]


class World:
    """The state after the latest block and the retained history."""

    def __init__(self, seed: int, genesis_ms: int, config: WorldConfig | None = None) -> None:
        self.seed = seed
        self.genesis_ms = genesis_ms
        self.config = config or WorldConfig()
        combos = COMBOS if self.config.combos_per_minute else 0
        names = tuple(scene.name for scene in self.config.scenes)
        self.listed = list_markets(seed, genesis_ms, combos, names)
        self.leaders = make_leaders(seed, self.config.leaders)
        if self.config.oddities_per_minute:
            add_second_wallets(seed, self.leaders)
        self.openings: dict[str, dict[str, Opening]] = {}
        if self.config.holdings:
            self.openings = give_openings(seed, genesis_ms, self.leaders, self.listed)
        self.crowd = tuple(ids.wallet(seed, "crowd", n) for n in range(CROWD_WALLETS))
        self.exchange = Exchange(seed, self.listed, self.crowd)
        self.desk = LeaderDesk(
            seed,
            self.exchange,
            self.leaders,
            self.config.fills_per_minute,
            self.config.fills_max,
            genesis_ms + self.config.leaders_wait_ms,
        )
        wait = genesis_ms + self.config.leaders_wait_ms
        self.other = OtherActivityDesk(
            seed, self.exchange, self.desk, self.config.other_activity_per_minute, wait
        )
        self.combos = ComboDesk(seed, self.exchange, self.desk, self.config.combos_per_minute, wait)
        self.oddities = OddityDesk(
            seed, self.exchange, self.desk, self.config.oddities_per_minute, wait
        )
        self.stage = StageDesk(seed, self.exchange, self.desk, self.config.scenes, wait)
        self.leaders += self.stage.leaders
        self.resolutions = ResolutionPlan(genesis_ms, self.listed, self.config.resolutions)
        self.leader_wallets = {w for leader in self.leaders for w in leader.wallets}
        self.names = {w: leader.name for leader in self.leaders for w in leader.wallets}
        self.blocks: dict[int, Block] = {}
        self.block_by_hash: dict[str, Block] = {}
        self.transactions: dict[str, Transaction] = {}
        self.others: dict[str, OtherTransaction] = {}
        self.fills: list[Fill] = []
        self.rows_of: dict[str, list[Row]] = {}
        self.truth: list[Fill] = []
        self.activity: list[ActivityRow] = []
        self.fills_total = 0
        self.fills_dropped = 0
        self.activity_total = 0
        self._rng_books = ids.stream(seed, "book moves")
        self._rng_crowd = ids.stream(seed, "crowd")
        self._rng_chain = ids.stream(seed, "chain")
        self._crowd_credit = 0.0
        self.head = Block(
            number=ANCHOR_BLOCK + (genesis_ms - ANCHOR_MS) // BLOCK_MS,
            hash=ids.hash32(seed, "genesis", genesis_ms),
            parent_hash=ids.hash32(seed, "before genesis", genesis_ms),
            ts=genesis_ms,
            timestamp=genesis_ms // 1_000,
        )
        self._keep(self.head)

    @property
    def quiet(self) -> bool:
        """True when no fill and no other event of a leader will reach the chain any more."""
        if not self.desk.quiet or self.other.redeeming or not self.stage.over:
            return False
        return not any(self._of_a_leader(entry) for entry in self.exchange.unsettled)

    def _of_a_leader(self, entry: Match | PendingEvents) -> bool:
        if isinstance(entry, PendingEvents):
            return bool(entry.events)
        return any(f.wallet in self.leader_wallets for f in (*entry.makers, entry.taker))

    def step(self) -> Step:
        """Advance by one block interval and return what happened in it."""
        start, end = self.head.ts, self.head.ts + BLOCK_MS
        events = self.exchange.events = []
        for ts, kind, index in self._schedule(start, end):
            if kind == 0:
                ladder = self.exchange.ladders.get(index)
                if ladder is not None:
                    ladder.evolve(ts, events)
            elif kind == 1:
                self.desk.act(ts)
            elif kind == 2:
                self._crowd_trade(ts)
            else:
                self._act_otherwise(ts, kind)
        block = self._settle(end)
        self.stage.published(block)
        self._keep(block)
        self.head = block
        if block.number % PRUNE_EVERY_BLOCKS == 0:
            self._prune()
        return Step(block, events)

    def _schedule(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Everything that happens in (start, end] as (time, kind, index).

        Kinds: 0 book, 1 leader, 2 crowd, 3 other activity, 4 combo, 5 oddity, 6 resolution,
        7 stage.
        """
        draw = self._rng_books.random
        choices = self.config.book_moves_per_block + 1
        plan = [
            (start + 1 + int(draw() * (BLOCK_MS - 1)), 0, index)
            for index in self.exchange.ladders
            for _ in range(int(draw() * choices))
        ]
        plan += [(ts, 1, 0) for ts in self.desk.due(start, end)]
        rate = self.config.crowd_trades_per_minute * BLOCK_MS / 60_000
        self._crowd_credit += rate * 2 * self._rng_crowd.random()
        while self._crowd_credit >= 1:
            self._crowd_credit -= 1
            plan.append((start + 1 + int(self._rng_crowd.random() * (BLOCK_MS - 1)), 2, 0))
        for kind, desk in ((3, self.other), (4, self.combos), (5, self.oddities),
                           (6, self.resolutions), (7, self.stage)):  # fmt: skip
            plan += [(ts, kind, 0) for ts in desk.due(start, end)]
        plan.sort()
        return plan

    def _act_otherwise(self, ts: int, kind: int) -> None:
        if kind == 3:
            self.other.act(ts)
        elif kind == 4:
            self.combos.act(ts)
        elif kind == 5:
            self.oddities.act(ts)
        elif kind == 7:
            self.stage.act(ts)
        else:
            market, payouts = self.resolutions.take(ts)
            if market.index in self.exchange.ladders:
                self.exchange.resolve(ts, market, payouts)
                self.desk.forget(market)
                self.other.announce(ts, market, payouts)

    def _crowd_trade(self, ts: int) -> None:
        rng = self._rng_crowd
        market = rng.choice(self.listed.all)
        if market.index not in self.exchange.ladders or market.is_scripted:
            return
        token = rng.choice(market.tokens)
        side = BUY if rng.random() < 0.6 else SELL
        notional = draw_notional(rng, 1_000_000, 800_000_000)
        shares = notional * 1_000_000 // self.exchange.quote(token, side) // 10_000 * 10_000
        self.exchange.take(ts, rng.choice(self.crowd), token, side, shares, 0.3)

    def _settle(self, end: int) -> Block:
        """Put every match that is due into the block at `end`, keeping the order of matches."""
        queue = self.exchange.unsettled
        count = 0
        # Settlement is first in, first out: a sale can never reach the chain before its purchase.
        while count < len(queue) and queue[count].due_ms <= end:
            count += 1
        settled, self.exchange.unsettled = queue[:count], queue[count:]
        number = self.head.number + 1
        tx_hashes = ",".join(entry.tx_hash for entry in settled)
        block = Block(
            number=number,
            hash=ids.hash32(self.seed, "block", self.head.hash, number, end, tx_hashes),
            parent_hash=self.head.hash,
            ts=end,
            timestamp=end // 1_000,
        )
        tx_index = self._rng_chain.randint(2, 30)
        log_index = self._rng_chain.randint(10, 120)
        tx: Transaction | None = None
        for entry in settled:
            if isinstance(entry, PendingEvents):
                tx_index += self._rng_chain.randint(1, 12)
                log_index = self._add_other(block, entry, tx_index, log_index + 3)
                continue
            if tx is None or tx.hash != entry.tx_hash:
                tx_index += self._rng_chain.randint(1, 12)
                tx = Transaction(entry.tx_hash, block, tx_index)
                block.transactions.append(tx)
                self.transactions[tx.hash] = tx
            log_index = self._add_match(tx, entry, log_index)
        return block

    def _add_other(
        self, block: Block, entry: PendingEvents, tx_index: int, log_index: int
    ) -> int:  # fmt: skip
        tx = OtherTransaction(entry.tx_hash, block, tx_index, log_index, entry.logs)
        for place, event in enumerate(entry.events):
            self.activity_total += 1
            sequence = block.number * SEQUENCE_BASE + tx_index * 100_000 + log_index * 10 + place
            row = ActivityRow(self.activity_total, event, tx, sequence, self._visible_at(block))
            tx.rows.append(row)
            self.activity.append(row)
            self.rows_of.setdefault(row.wallet, []).append(row)
        block.others.append(tx)
        self.others[tx.hash] = tx
        return tx.last_log_index

    def _visible_at(self, block: Block) -> int:
        lag = FEED_LAG_MS_MIN + int(self._rng_chain.random() * FEED_LAG_MS_SPREAD)
        refresh = -(-(block.ts + lag - self.genesis_ms) // FEED_REFRESH_MS)
        return self.genesis_ms + refresh * FEED_REFRESH_MS

    def _add_match(self, tx: Transaction, match: Match, log_index: int) -> int:
        """Number the logs of one match and return the last log index used.

        The gaps stand for the ERC-20 and ERC-1155 transfers that are not simulated.
        """
        part = Part(match)
        tx.parts.append(part)
        for order in match.makers:
            log_index += self._rng_chain.randint(2, 5)
            self._add_fill(tx, part, order, "maker", log_index)
        log_index += self._rng_chain.randint(2, 5)
        if match.taker.fee:
            part.fee_log_index = log_index
            log_index += 1
        self._add_fill(tx, part, match.taker, "taker", log_index)
        return log_index + 1

    def _add_fill(
        self, tx: Transaction, part: Part, order: OrderFill, role: str, log_index: int
    ) -> None:
        block = tx.block
        is_leader = order.wallet in self.leader_wallets
        if is_leader:
            self.fills_total += 1
        fill = Fill(
            n=self.fills_total if is_leader else 0,
            wallet=order.wallet,
            tx=tx,
            log_index=log_index,
            token=order.token,
            side=order.side,
            shares=order.shares,
            cash=order.cash,
            fee=order.fee,
            role=role,
            order_hash=order.order_hash,
            sequence=block.number * SEQUENCE_BASE + tx.index * 100_000 + log_index * 10,
            ts_visible=self._visible_at(block),
            enriched_late=self._rng_chain.random() < 0.3,
            match=part.match,
            logged_cash=order.cash + (part.match.refund if role == "taker" else 0),
        )
        part.fills.append(fill)
        tx.fills.append(fill)
        self.fills.append(fill)
        self.rows_of.setdefault(fill.wallet, []).append(fill)
        if is_leader:
            self.truth.append(fill)

    def _keep(self, block: Block) -> None:
        self.blocks[block.number] = block
        self.block_by_hash[block.hash] = block

    def _prune(self) -> None:
        """Forget blocks and rows beyond the retention; counts and holdings stay."""
        oldest = self.head.number - self.config.retention_blocks
        first = next(iter(self.blocks))
        if first >= oldest:
            return
        for number in range(first, oldest):
            block = self.blocks.pop(number)
            del self.block_by_hash[block.hash]
            for tx in block.transactions:
                del self.transactions[tx.hash]
            for other in block.others:
                del self.others[other.hash]
        for rows in self.all_rows():
            del rows[: bisect_left(rows, oldest * SEQUENCE_BASE, key=lambda row: row.sequence)]

    def all_rows(self) -> Iterator[list[Fill] | list[ActivityRow] | list[Row]]:
        """Every list of rows that is kept in chain order."""
        yield from (self.fills, self.truth, self.activity)
        yield from self.rows_of.values()
