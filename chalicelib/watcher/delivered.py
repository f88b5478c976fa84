"""The blocks whose logs were delivered, and which of them the chain has left. Bounded, no I/O.

A head names its own block and its parent, so it tells for two numbers which block is canonical;
what was delivered under another hash of such a number was reorganised away. Numbers no head spoke
about, and everything before a break in the chain of heads (heads were missed, or the socket was
down), are questions for a node. A wrong answer costs ingestion one receipt and nothing else.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field

from chalicelib.domain.evidence import FillMessage

BLOCKS_MAX = 512
LOGS_MAX = 5_000
HEADS_MAX = 512
REACH_BLOCKS = 64
"""How far before a gap blocks are checked; reorganisations are much shallower."""
QUESTIONS_MAX = 128
OPEN_MAX = 4
TRIES_MAX = 12
ASK_AGAIN_MS = 2_000
ASK_AGAIN_MS_MAX = 30_000
"""Pauses double, so a node may be out of order for minutes."""
ANSWER_MS_MAX = 90_000


@dataclass(slots=True)
class _Block:
    """Delivered logs of one block by log index; `settled` when a head or a node knows it."""

    number: int
    logs: dict[int, FillMessage] = field(default_factory=dict)
    settled: bool = False


@dataclass(slots=True)
class _Question:
    """A number whose canonical block is asked for; `ts_asked` is 0 while nobody was asked."""

    ts_due: int = 0
    ts_asked: int = 0
    tries: int = 0


class DeliveredBlocks:
    """What was delivered lately, by block."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[str, _Block] = OrderedDict()
        self._hashes: dict[int, list[str]] = {}
        self._heads: OrderedDict[int, str] = OrderedDict()
        self._unsettled: dict[str, int] = {}
        self._questions: OrderedDict[int, _Question] = OrderedDict()
        self._walk: list[int] = []
        self._walking: int | None = None
        self._last_head = 0
        self._logs = 0

    def add(self, message: FillMessage) -> None:
        """Remember a message about one log, or forget the log that it says was removed."""
        leg = message.chain[0].leg
        block = self._blocks.get(leg.block_hash)
        if leg.removed:
            if block is not None and block.logs.pop(leg.log_index, None) is not None:
                self._logs -= 1
            return
        if block is None:
            block = self._open(leg.block_hash, leg.block_number)
        if leg.log_index not in block.logs:
            self._logs += 1
        block.logs[leg.log_index] = message
        while self._logs > LOGS_MAX:
            self._drop(next(iter(self._blocks)))

    def has(self, block_hash: str, log_index: int) -> bool:
        """Whether this log was delivered and not taken back."""
        block = self._blocks.get(block_hash)
        return block is not None and log_index in block.logs

    def _open(self, block_hash: str, number: int) -> _Block:
        block = _Block(number)
        self._blocks[block_hash] = block
        self._hashes.setdefault(number, []).append(block_hash)
        head = self._heads.get(number)
        if head == block_hash:
            block.settled = True
        else:
            self._unsettled[block_hash] = number
            if head is not None:
                # A late log of a block the heads have already left, or have come back to.
                self._ask(number)
        if len(self._blocks) > BLOCKS_MAX:
            self._drop(next(iter(self._blocks)))
        return block

    def _drop(self, block_hash: str) -> _Block:
        block = self._blocks.pop(block_hash)
        self._unsettled.pop(block_hash, None)
        self._logs -= len(block.logs)
        hashes = self._hashes[block.number]
        hashes.remove(block_hash)
        if not hashes:
            del self._hashes[block.number]
        return block

    def head(self, number: int, block_hash: str, parent: str | None) -> list[FillMessage]:
        """The logs that a new head contradicts; numbers it passed unproven become questions."""
        before = self._heads.get(number - 1)
        if before is None or before != (parent or before):
            self._look_back(number)
        self._last_head = number
        gone = self._is_canonical(number, block_hash)
        if parent is not None:
            gone += self._is_canonical(number - 1, parent)
        passed = [n for n in self._unsettled.values() if n < number - 1]
        for unproven in sorted(passed, reverse=True)[:QUESTIONS_MAX]:
            if number - unproven <= HEADS_MAX:
                self._ask(unproven)
        return gone

    def _is_canonical(self, number: int, block_hash: str) -> list[FillMessage]:
        self._heads[number] = block_hash
        self._heads.move_to_end(number)
        if len(self._heads) > HEADS_MAX:
            self._heads.popitem(last=False)
        return self._settle(number, block_hash)

    def _settle(self, number: int, block_hash: str) -> list[FillMessage]:
        gone: list[FillMessage] = []
        for known in list(self._hashes.get(number, ())):
            if known == block_hash:
                self._blocks[known].settled = True
                self._unsettled.pop(known, None)
            else:
                gone += self._drop(known).logs.values()
        return gone

    def _look_back(self, number: int) -> None:
        """Heads were missed: what they had settled may have been reorganised away since.

        Asked from the newest block backwards until one is canonical: everything settled before
        it is canonical too.
        """
        for left in [*self._walk, *([] if self._walking is None else [self._walking])]:
            # An earlier break is not settled yet, so this walk would end too soon for it.
            if left in self._hashes:
                self._ask(left)
        oldest = self._last_head - REACH_BLOCKS
        self._walk = sorted(
            {
                block.number
                for block in self._blocks.values()
                if block.settled and oldest < block.number < number - 1
            },
            reverse=True,
        )
        self._step()

    def suspect_all(self) -> None:
        """Nothing is known about the blocks remembered: ask for each of the newest."""
        newest = max(self._hashes, default=0)
        for number in sorted(self._hashes, reverse=True):
            if number > newest - REACH_BLOCKS:
                self._ask(number)

    def _step(self) -> None:
        self._walking = None
        while self._walk:
            number = self._walk.pop(0)
            if number in self._hashes:
                self._walking = number
                self._ask(number)
                return

    def _ask(self, number: int) -> None:
        if number not in self._questions and len(self._questions) < QUESTIONS_MAX:
            self._questions[number] = _Question()

    def due(self, now_ms: int) -> list[int]:
        """Numbers to ask a node for now, a few at a time."""
        for number, question in list(self._questions.items()):
            if question.ts_asked and now_ms - question.ts_asked > ANSWER_MS_MAX:
                del self._questions[number]
        room = OPEN_MAX - sum(q.ts_asked > 0 for q in self._questions.values())
        waiting = [n for n, q in self._questions.items() if q.ts_asked == 0 and q.ts_due <= now_ms]
        for number in waiting[: max(0, room)]:
            self._questions[number].ts_asked = max(1, now_ms)
        return waiting[: max(0, room)]

    def answered(self, number: int, block_hash: str | None, now_ms: int) -> list[FillMessage]:
        """The logs a node's answer contradicts; not knowing the number is no evidence."""
        question = self._questions.pop(number, None)
        if question is None:
            return []
        gone: list[FillMessage] = []
        if block_hash is not None:
            gone = self._settle(number, block_hash)
        else:
            question.tries += 1
            if question.tries < TRIES_MAX:
                pause = min(ASK_AGAIN_MS * 2 ** (question.tries - 1), ASK_AGAIN_MS_MAX)
                question.ts_asked, question.ts_due = 0, now_ms + pause
                self._questions[number] = question
                return []
            for known in self._hashes.get(number, ()):
                self._unsettled.pop(known, None)
        if number == self._walking:
            if block_hash is not None and number in self._hashes:
                self._walk.clear()
            self._step()
        return gone
