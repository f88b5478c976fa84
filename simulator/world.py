"""The simulated venue and chain: a pure function of (seed, genesis, height).

`World.step()` makes the next block together with everything that happened on the books in the
block's interval. No clock, no I/O: the server decides when a step becomes visible.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

from simulator import ids
from simulator.book import Change
from simulator.exchange import Exchange, draw_notional
from simulator.leaders import LeaderDesk, make_leaders
from simulator.markets import Token, list_markets
from simulator.matching import BUY, SELL, Match, OrderFill

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
    retention_blocks: int = 24 * 3_600_000 // BLOCK_MS


@dataclass(frozen=True, slots=True, eq=False)
class Fill:
    """One settled OrderFilled event. Amounts in micros, `cash` without the fee.

    `n` counts leader fills from 1 in chain order (0 for the crowd). `sequence` is
    block * 10^10 + place in the block, the feed's sort key. `ts_visible` is the ms at which
    the Data API starts to serve the row.
    """

    n: int
    wallet: str
    tx: Transaction
    log_index: int
    token: Token
    side: str
    shares: int
    cash: int
    fee: int
    role: str
    order_hash: str
    sequence: int
    ts_visible: int
    enriched_late: bool


@dataclass(slots=True, eq=False)
class Transaction:
    """One settlement transaction: maker fills first, the taker's aggregate last.

    `fee_log_index` is the place of the FeeCharged log, -1 when the taker paid nothing.
    """

    hash: str
    match: Match
    block: Block
    index: int
    fee_log_index: int
    fills: list[Fill] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Block:
    """A block. `ts` is the ms at which it is published, `timestamp` its whole seconds."""

    number: int
    hash: str
    parent_hash: str
    ts: int
    timestamp: int
    transactions: list[Transaction] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Step:
    """A block and the book events of its interval in time order."""

    block: Block
    events: list[Change | Match]


class World:
    """The state after the latest block and the retained history."""

    def __init__(self, seed: int, genesis_ms: int, config: WorldConfig | None = None) -> None:
        self.seed = seed
        self.genesis_ms = genesis_ms
        self.config = config or WorldConfig()
        self.listed = list_markets(seed, genesis_ms)
        self.leaders = make_leaders(seed, self.config.leaders)
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
        self.leader_wallets = frozenset(leader.wallet for leader in self.leaders)
        self.blocks: dict[int, Block] = {}
        self.block_by_hash: dict[str, Block] = {}
        self.transactions: dict[str, Transaction] = {}
        self.fills: list[Fill] = []
        self.fills_of: dict[str, list[Fill]] = {}
        self.truth: list[Fill] = []
        self.fills_total = 0
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
        """True when no leader fill will be added to the chain any more."""
        pending = any(
            fill.wallet in self.leader_wallets
            for match in self.exchange.unsettled
            for fill in (*match.makers, match.taker)
        )
        return self.desk.quiet and not pending

    def step(self) -> Step:
        """Advance by one block interval and return what happened in it."""
        start, end = self.head.ts, self.head.ts + BLOCK_MS
        events = self.exchange.events = []
        for ts, kind, index in self._schedule(start, end):
            if kind == 0:
                self.exchange.ladders[index].evolve(ts, events)
            elif kind == 1:
                self.desk.act(ts)
            else:
                self._crowd_trade(ts)
        block = self._settle(end)
        self._keep(block)
        self.head = block
        if block.number % PRUNE_EVERY_BLOCKS == 0:
            self._prune()
        return Step(block, events)

    def _schedule(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """Everything that happens in (start, end]: (time, 0 book / 1 leader / 2 crowd, index)."""
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
        plan.sort()
        return plan

    def _crowd_trade(self, ts: int) -> None:
        rng = self._rng_crowd
        market = rng.choice(self.listed.all)
        if market.closed:
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
        matches, self.exchange.unsettled = queue[:count], queue[count:]
        number = self.head.number + 1
        tx_hashes = ",".join(match.tx_hash for match in matches)
        block = Block(
            number=number,
            hash=ids.hash32(self.seed, "block", self.head.hash, number, end, tx_hashes),
            parent_hash=self.head.hash,
            ts=end,
            timestamp=end // 1_000,
        )
        tx_index = self._rng_chain.randint(2, 30)
        log_index = self._rng_chain.randint(10, 120)
        for match in matches:
            tx_index += self._rng_chain.randint(1, 12)
            log_index = self._add_transaction(block, match, tx_index, log_index)
        return block

    def _add_transaction(self, block: Block, match: Match, tx_index: int, log_index: int) -> int:
        """Number the logs of one match and return the last log index used.

        The gaps stand for the ERC-20 and ERC-1155 transfers that are not simulated.
        """
        tx = Transaction(match.tx_hash, match, block, tx_index, -1)
        for order in match.makers:
            log_index += self._rng_chain.randint(2, 5)
            self._add_fill(tx, order, "maker", log_index)
        log_index += self._rng_chain.randint(2, 5)
        if match.taker.fee:
            tx.fee_log_index = log_index
            log_index += 1
        self._add_fill(tx, match.taker, "taker", log_index)
        block.transactions.append(tx)
        self.transactions[tx.hash] = tx
        return log_index + 1

    def _add_fill(self, tx: Transaction, order: OrderFill, role: str, log_index: int) -> None:
        block = tx.block
        is_leader = order.wallet in self.leader_wallets
        if is_leader:
            self.fills_total += 1
        lag = FEED_LAG_MS_MIN + int(self._rng_chain.random() * FEED_LAG_MS_SPREAD)
        refresh = -(-(block.ts + lag - self.genesis_ms) // FEED_REFRESH_MS)
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
            ts_visible=self.genesis_ms + refresh * FEED_REFRESH_MS,
            enriched_late=self._rng_chain.random() < 0.3,
        )
        tx.fills.append(fill)
        self.fills.append(fill)
        self.fills_of.setdefault(fill.wallet, []).append(fill)
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
        edge = oldest * SEQUENCE_BASE
        for rows in (self.fills, self.truth, *self.fills_of.values()):
            del rows[: bisect_left(rows, edge, key=lambda fill: fill.sequence)]
