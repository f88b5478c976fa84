"""Seeded random storms over the chain feed: whatever happens, the account is exact in the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import pytest

from chalicelib.domain.exchange_log import LIVE_EXCHANGES, Side
from tests.chain.listening import Scene, scene, until
from tests.chain.matches import M, Market, Match, complementary, minting, with_dust, with_twin

ADA, ADA_TOO, BOB, MAKER, THIRD = (f"0x{digit * 40}" for digit in "12345")
EVERYBODY = (ADA, ADA_TOO, BOB, MAKER, THIRD)
MARKETS = [
    Market(exchange, str(10**60 + 2 * number), str(10**60 + 2 * number + 1))
    for number, exchange in enumerate(LIVE_EXCHANGES * 2)
]
STEPS = 24
DEPTH_MAX = 3


class Storm:
    """One seeded sequence of trades and failures."""

    def __init__(self, made: Scene, rng: random.Random) -> None:
        self._made = made
        self._rng = rng
        self.happened: list[str] = []

    async def blow(self) -> None:
        """All steps, and then calm."""
        kinds: list[Callable[[], Awaitable[None]]] = [
            self.trades,
            self.trades,
            self.cut,
            self.stall,
            self.silence,
            self.refuse,
            self.reorganise,
            self.reorganise_unheard,
            self.reorganise_unsaid,
            self.restart,
            self.poll,
            self.weather,
        ]
        for _ in range(STEPS):
            if self._rng.random() < 0.8:
                await self._made.listening()
            await self.trades()
            if self._rng.random() < 0.5:
                await self._heard()
            kind = self._rng.choice(kinds)
            self.happened.append(kind.__name__)
            await kind()
        await self.calm()

    def _match(self) -> Match:
        rng, market = self._rng, self._rng.choice(MARKETS)
        taker, *others = rng.sample(EVERYBODY, rng.randint(2, 4))
        makers = [(wallet, rng.randint(1, 50 * M)) for wallet in others]
        cents, side = rng.randint(2, 98), rng.choice(("BUY", "SELL"))
        self_trade = [(taker, rng.randint(1 * M, 9 * M))] if rng.random() < 0.1 else []
        made = rng.choice((complementary, None))
        side_of: Side = "BUY" if side == "BUY" else "SELL"
        if made or self_trade:
            match = complementary(market, taker, side_of, self_trade or makers, cents, fee=3)
        else:
            match = minting(market, taker, makers, cents, side=side_of, fee=2)
        if rng.random() < 0.2:
            match = with_twin(match)
        return with_dust(match, rng.choice(EVERYBODY)) if rng.random() < 0.2 else match

    async def trades(self) -> None:
        """One to three blocks of up to three matches; now and then the same match twice."""
        for _ in range(self._rng.randint(1, 3)):
            matches = [self._match() for _ in range(self._rng.randint(0, 3))]
            if matches and self._rng.random() < 0.2:
                matches.append(matches[0])
            self._made.chain.mine(*matches)
            await asyncio.sleep(0)

    async def _heard(self) -> None:
        """Wait until the watcher was told of the head, if it is being told anything."""
        relay, head = self._made.relay, self._made.chain.head.block_hash
        wallets = self._made.papercopy.wallets
        await until(lambda: head in relay.heads or not relay.listening(wallets), "the head")

    async def cut(self) -> None:
        self._made.relay.cut()

    async def refuse(self) -> None:
        self._made.relay.refuse_next = self._rng.randint(0, 2)
        self._made.relay.drop_next = self._rng.randint(0, 2)
        self._made.relay.cut()

    async def stall(self) -> None:
        """The socket delivers nothing until the watcher notices."""
        await self._made.listening()
        self._made.relay.stall()
        await self.trades()
        await self._made.outlasted()

    async def silence(self) -> None:
        """Heads arrive and logs do not, until the next connection."""
        await self._made.listening()
        self._made.relay.silence_logs()
        await self.trades()
        await self._made.replaced(self._made.relay.cut)

    async def restart(self) -> None:
        """Another watcher takes over, some trades later."""
        async with self._made.restarted():
            await self.trades()

    async def weather(self) -> None:
        relay, rng = self._made.relay, self._rng
        relay.duplicate, relay.reorder = rng.random() < 0.5, rng.random() < 0.5
        relay.strip_block_times = rng.random() < 0.3

    async def poll(self) -> None:
        await self._made.papercopy.poll()

    def _deep(self) -> tuple[int, list[str]]:
        """How many blocks go, and which of their transactions never come back."""
        blocks = self._made.chain.blocks
        depth = self._rng.randint(1, min(DEPTH_MAX, len(blocks) - 1))
        mined = [tx for block in blocks[-depth:] for tx in block.transactions]
        return depth, [tx for tx in mined if self._rng.random() < 0.4]

    async def reorganise(self) -> None:
        """Some of the last transactions never come back; the node says what it took back."""
        made = self._made
        await made.listening()
        depth, dropped = self._deep()
        first = self._rng.random() < 0.5
        if first:
            made.relay.hold("logs")
        old = made.chain.reorganise(depth, dropped=dropped)
        if not first:
            new = made.chain.logs(old_first(made, depth), made.chain.head.number)
            await until(lambda: made.relay.delivered(new), "the logs of the new blocks")
        await made.relay.retract(old)
        await made.relay.release("logs")

    async def reorganise_unheard(self) -> None:
        """The last blocks change while nobody listens."""

        def unheard() -> None:
            depth, dropped = self._deep()
            self._made.relay.cut()
            self._made.chain.reorganise(depth, dropped=dropped)

        await self._made.replaced(unheard)

    async def reorganise_unsaid(self) -> None:
        """The last blocks change before everybody's eyes, and no `removed` is ever said."""
        depth, dropped = self._deep()
        self._made.chain.reorganise(depth, dropped=dropped)

    async def calm(self) -> None:
        """Nothing fails any more, and the sources say all they know."""
        relay = self._made.relay
        relay.duplicate = relay.reorder = relay.strip_block_times = False
        relay.refuse_next = relay.drop_next = 0
        await self._made.listening()
        await self._made.recovered()
        await self._made.answered()


def old_first(made: Scene, depth: int) -> int:
    """The first block that a reorganisation of this depth replaced, one block longer now."""
    return made.chain.head.number - depth


@pytest.mark.parametrize("seed", range(3))
def test_a_storm_leaves_the_account_exact(seed: int) -> None:
    async def told() -> None:
        async with scene((ADA, ADA_TOO), (BOB,), seed=seed) as made:
            storm = Storm(made, random.Random(seed))
            try:
                await storm.blow()
            except BaseException as error:
                error.add_note(f"seed {seed}: {' '.join(storm.happened)}")
                raise
            assert len(made.truth()) > STEPS

    asyncio.run(told())
