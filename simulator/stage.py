"""The stage: a leader of his own who plays the scripted scenes, once, in books that obey."""

from __future__ import annotations

import heapq
from dataclasses import dataclass

from simulator import ids
from simulator.book import Quotes, ScriptedLadder
from simulator.chain import Block
from simulator.exchange import Exchange, Hush
from simulator.leaders import Leader, LeaderDesk, Move, Style
from simulator.markets import Market
from simulator.matching import BUY
from simulator.scenes import Cue, Entrance, Scene

STYLE = Style("scripted", 1.0, 0.0, 0, 0)
NAME = "stage"


@dataclass(frozen=True, slots=True)
class _Turn:
    """Something that is due in a market: an order of the leader, or a change of its book."""

    market: Market
    what: Entrance | Cue


class StageDesk:
    """Plays scenes from `starts_at` (ms) on. Deterministic in its arguments and the chain."""

    def __init__(
        self, seed: int, exchange: Exchange, desk: LeaderDesk, scenes: tuple[Scene, ...],
        starts_at: int,
    ) -> None:  # fmt: skip
        self.exchange = exchange
        self.desk = desk
        self.leaders: tuple[Leader, ...] = ()
        self.markets = tuple(m for m in exchange.listed.singles if m.is_scripted)
        self._queue: list[tuple[int, int, _Turn]] = []
        self._unpublished: dict[str, _Turn] = {}
        self._serial = 0
        if scenes:
            self.leaders = (Leader(ids.wallet(seed, NAME), NAME, STYLE),)
        for market, scene in zip(self.markets, scenes, strict=True):
            self._show(0, market, scene.opens)
            for entrance in scene.entrances:
                self._push(starts_at + entrance.at_ms, _Turn(market, entrance))

    @property
    def over(self) -> bool:
        """Whether every order was placed and published; books may still move."""
        waiting = any(isinstance(turn.what, Entrance) for *_, turn in self._queue)
        return not waiting and not self._unpublished

    def due(self, start_ms: int, end_ms: int) -> list[int]:
        """Times in (start, end] at which `act` shall be called."""
        return [max(ts, start_ms + 1) for ts, *_ in self._queue if ts <= end_ms]

    def act(self, ts: int) -> None:
        """What is due next."""
        _, _, turn = heapq.heappop(self._queue)
        if isinstance(turn.what, Entrance):
            self._enter(ts, turn, turn.what)
            return
        if turn.what.book is not None:
            self._show(ts, turn.market, turn.what.book)
        if turn.what.silent is not None:
            self.exchange.events.append(Hush(ts, turn.market.index, turn.what.silent))

    def published(self, block: Block) -> None:
        """Time the cues of the fills in a block from its publication."""
        if not self._unpublished:
            return
        for tx in block.transactions:
            turn = self._unpublished.pop(tx.hash, None)
            if turn is not None and isinstance(turn.what, Entrance):
                for cue in turn.what.cues:
                    self._push(block.ts + cue.after_ms, _Turn(turn.market, cue))

    def _enter(self, ts: int, turn: _Turn, entrance: Entrance) -> None:
        leader, token = self.leaders[0], turn.market.tokens[0]
        match = self.exchange.take(ts, leader.wallet, token, entrance.side, entrance.shares, 0.0)
        if match is None:
            raise RuntimeError(f"{turn.market.slug}: the leader's order met no book")
        taker = match.taker
        shares = taker.shares if taker.side == BUY else -taker.shares
        self.desk.move(leader, Move(match.tx_hash, leader.wallet, token.id, shares))
        self._unpublished[match.tx_hash] = turn
        if entrance.leaves is not None:
            self._show(ts, turn.market, entrance.leaves)

    def _show(self, ts: int, market: Market, book: Quotes) -> None:
        ladder = self.exchange.ladders[market.index]
        assert isinstance(ladder, ScriptedLadder)
        ladder.show(ts, book, self.exchange.events)

    def _push(self, ts: int, turn: _Turn) -> None:
        self._serial += 1
        heapq.heappush(self._queue, (ts, self._serial, turn))
