"""The recorded world as the services see it: books, tapes, rules and what decisions looked at."""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

from chalicelib.domain.decision import Inputs
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.lane import Attempt
from chalicelib.domain.market import Market
from chalicelib.domain.money import AMOUNT_MAX, MICROS
from chalicelib.domain.orderbook import Book
from chalicelib.domain.records import replace
from chalicelib.domain.rules import Config, CopyRules, SystemRules
from chalicelib.domain.tape import Segment, Tape, tape_of
from chalicelib.domain.tape_columns import columns_of
from chalicelib.domain.tape_text import TapeSegment, unpacked
from chalicelib.domain.witness import BookSnapshot, Seen, Witness
from chalicelib.ports import Clock, Rules, Store
from chalicelib.services.recordings import Recording
from chalicelib.services.tape_reading import TapeReader
from chalicelib.services.tapes import SEGMENT_MS_MAX
from chalicelib.services.witnesses import book_in

SETTING_MAX = 10**15
EXPONENT_MAX = 4
DELAY_MS_MAX = 600_000
_USUAL = {k: v for k, v in asdict(CopyRules()).items() if k not in ("digest", "refused")}
UNPACKED_MAX = 4_096
"""Segments kept unpacked; decisions of a moment share them."""
SNAPSHOT_LATE_MS_MAX = 60_000
"""A snapshot that nobody took for this moment serves it up to here; settings may allow less."""


def rules_in(config: Config) -> CopyRules:
    """The settings a configuration holds. Raises InvalidInput for a text that is none."""
    try:
        values: dict[str, Any] = json.loads(config.text)
        rules = CopyRules(digest=config.digest, **values)
    except (TypeError, ValueError) as error:
        raise InvalidInput("text", f"is no configuration: {error}") from error
    for name, usual in _USUAL.items():
        value = getattr(rules, name)
        is_large = isinstance(value, int) and not 0 <= value <= SETTING_MAX
        if type(value) is not type(usual) or is_large:
            raise InvalidInput(name, "is no value of this setting")
    return rules


def checked(market: Market) -> Market:
    """The market, whose figures are such as a venue may state. Raises InvalidInput."""
    fee = market.fee
    if not 0 <= fee.rate <= MICROS or not 0 <= fee.exponent <= EXPONENT_MAX:
        raise InvalidInput("fee", "a rate up to 1 and a small exponent were expected")
    if not 0 < market.tick <= MICROS // 2 or not 0 <= market.order_shares_min <= AMOUNT_MAX:
        raise InvalidInput("tick", "a tick up to 0.5 and a smallest order were expected")
    if not 0 <= market.delay_ms <= DELAY_MS_MAX:
        raise InvalidInput("delay_ms", f"at most {DELAY_MS_MAX} was expected")
    return market


class PlaybackRules:
    """Port Rules: what is given for all time, else what an arrival named."""

    def __init__(self, given: Mapping[str, CopyRules] | None, usual: Mapping[str, CopyRules]):
        """Both by leader; the empty name stands for everybody else."""
        self._given = given
        self._usual = usual
        self._named: dict[str, CopyRules] = {}
        self._system = SystemRules(book_mode="rest")

    def name(self, leader: str, rules: CopyRules | None) -> None:
        """What holds for a leader from now on, None for what usually does."""
        if rules:
            self._named[leader] = rules

    def rules_for(self, leader: str) -> CopyRules:
        """The evaluated rules of a leader."""
        if self._given is not None:
            return self._given.get(leader) or self._given[""]
        return self._named.get(leader) or self._usual.get(leader) or self._usual[""]

    def system(self) -> SystemRules:
        """Nothing is detected in a replay; a tape that is not there will never come."""
        return self._system


class RecordedUses:
    """Which books the attempts of a recording used, for those that are replayed as they were.

    `portfolio_id` is whose lane moves now, `deciding` the recorded attempt being decided.
    """

    def __init__(self, attempts: Iterable[Attempt]) -> None:
        self.attempts = {attempt.attempt_id: attempt for attempt in attempts}
        self.portfolio_id = ""
        self.deciding: Attempt | None = None
        self._orders: dict[tuple[str, str], list[Attempt]] = {}
        for attempt in self.attempts.values():
            if attempt.order and attempt.outcome:
                key = (attempt.portfolio_id, attempt.token_id)
                self._orders.setdefault(key, []).append(attempt)

    def segments_for(self, token_id: str, t0: int, t1: int) -> frozenset[str] | None:
        """Names of the segments that served this look, None where nobody looked."""
        if self.deciding:
            segment = self.deciding.decision.segment
            return frozenset((segment,) if segment else ())
        names: set[str] = set()
        known = False
        for attempt in self._orders.get((self.portfolio_id, token_id), ()):
            order, outcome = attempt.order, attempt.outcome
            if not order or not outcome or not order.ts_placed <= t0 <= t1 <= order.ts_expiry:
                continue
            if outcome.book_source == "tape":
                names.update(outcome.segments)
                known = True
            elif t0 == order.ts_placed:
                known = True
        return frozenset(names) if known else None

    def snapshot_for(self, token_id: str, ts: int) -> tuple[int | None, str] | None:
        """(received, hash) of the snapshot that served this look; (None, "") for none was had.

        None where nobody looked.
        """
        if self.deciding:
            decision = self.deciding.decision
            return (None, "") if decision.segment else (decision.ts_book, decision.book_hash)
        for attempt in self._orders.get((self.portfolio_id, token_id), ()):
            order, outcome = attempt.order, attempt.outcome
            if order and outcome and order.ts_placed == ts and outcome.book_source == "rest":
                return outcome.ts_book, outcome.book_hash
        return None


class RecordedTapes(TapeReader):
    """Tapes of a recording, unpacked when somebody looks."""

    def __init__(
        self,
        store: Store,
        rules: Rules,
        clock: Clock,
        rows: Iterable[TapeSegment],
        uses: RecordedUses | None,
    ) -> None:
        super().__init__(store, rules, clock)
        self._uses = uses
        self._rows: dict[str, list[TapeSegment]] = {}
        self._unpacked: dict[int, Segment | None] = {}
        for row in rows:
            self._rows.setdefault(row.token_id, []).append(row)
        for mine in self._rows.values():
            mine.sort(key=lambda row: (row.ts_start, row.watcher))
        self._starts = {t: [row.ts_start for row in mine] for t, mine in self._rows.items()}

    def tape(self, token_id: str, t0: int, t1: int) -> Tape:
        """What is recorded of a span."""
        rows = self._rows.get(token_id)
        if rows is None:
            return Tape(token_id, ())
        starts = self._starts[token_id]
        low, high = bisect_left(starts, t0 - SEGMENT_MS_MAX), bisect_right(starts, t1)
        found = [self._segment(row) for row in rows[low:high] if row.ts_end >= t0]
        return Tape(token_id, tuple(segment for segment in found if segment))

    def covering(self, token_id: str, t0: int, t1: int) -> Tape:
        """What served this look in the recording, else whatever there is."""
        tape = self.tape(token_id, t0, t1)
        names = self._uses.segments_for(token_id, t0, t1) if self._uses else None
        if names is None:
            return tape
        return tape_of(token_id, (s for s in tape.segments if s.name in names))

    def request(self, token_id: str, ts_from: int, ts_until: int) -> None:
        """Nothing: what is not recorded never will be."""

    def _segment(self, row: TapeSegment) -> Segment | None:
        found = self._unpacked.get(id(row), row)
        if not isinstance(found, TapeSegment):
            return found
        if len(self._unpacked) >= UNPACKED_MAX:
            self._unpacked.clear()
        try:
            segment = columns_of(row)
        except InvalidInput:
            segment = None
        self._unpacked[id(row)] = segment
        return segment


class RecordedBooks:
    """Port Books: the snapshots of a recording."""

    def __init__(self, rows: Iterable[BookSnapshot], uses: RecordedUses | None) -> None:
        self._uses = uses
        self._rows: dict[str, list[BookSnapshot]] = {}
        for row in rows:
            self._rows.setdefault(row.segment.token_id, []).append(row)
        for mine in self._rows.values():
            mine.sort(key=lambda row: (row.segment.ts_start, row.segment.digest))

    def book(self, token_id: str, not_before: int) -> Book | None:
        """The snapshot that was used, else the first that was taken soon after."""
        used = self._uses.snapshot_for(token_id, not_before) if self._uses else None
        if used is None:
            ts, last, venue_hash = not_before, not_before + SNAPSHOT_LATE_MS_MAX, None
        elif used[0] is None:
            return None
        else:
            ts, last, venue_hash = used[0], used[0], used[1]
        for row in self._from(token_id, ts):
            if row.segment.ts_start > last:
                break
            if venue_hash is None or row.venue_hash == venue_hash:
                return book_in(row, unpacked(row.segment))
        return None

    def books(self, token_ids: Sequence[str]) -> Mapping[str, Book]:
        """Nothing: nobody asks for what is present in a replay."""
        return {}

    def _from(self, token_id: str, ts: int) -> list[BookSnapshot]:
        rows = self._rows.get(token_id, [])
        return rows[bisect_left(rows, ts, key=lambda row: row.segment.ts_start) :]


class RecordedWitness:
    """Port DecisionWitness: what decisions looked at, from the recording.

    With `same_rules` a decision sees everything it saw; else only what no setting changes.
    """

    def __init__(
        self,
        facts: Iterable[Witness],
        configs: Mapping[str, CopyRules],
        uses: RecordedUses,
        *,
        same_rules: bool,
    ) -> None:
        self._facts = {row.digest: row for row in facts}
        for row in self._facts.values():
            if row.market:
                checked(row.market)
        self._configs = configs
        self._uses = uses
        self._same = same_rules

    def told(self, inputs: Inputs) -> Inputs:
        """The inputs with what the recorded decision of the same attempt looked at."""
        self._uses.deciding = None
        attempt = self._uses.attempts.get(inputs.attempt_id)
        if attempt is None or attempt.seen is None:
            return inputs
        decision, seen = attempt.decision, attempt.seen
        if not self._same:
            return replace(
                inputs,
                market=self._market(seen) or inputs.market,
                lists=self._lists(seen) if inputs.group.side == "BUY" else None,
                health=decision.health,
                paused=seen.paused,
                leader_equity=decision.leader_equity,
            )
        self._uses.deciding = attempt
        return replace(
            inputs,
            rules=self._rules(inputs.rules, decision.rules_digest, seen),
            group=replace(inputs.group, rank=decision.leader_rank),
            equity=decision.equity,
            market=self._market(seen),
            lists=self._lists(seen),
            health=decision.health,
            backfill=seen.backfill,
            sell_only=seen.sell_only,
            paused=seen.paused,
            tripped=seen.tripped,
            exposure=decision.exposure,
            leader_equity=decision.leader_equity,
            ts_marks=decision.ts_marks,
        )

    def seen(self, inputs: Inputs) -> Seen:
        """What the recorded attempt kept, so that equal attempts are equal."""
        self._uses.deciding = None
        attempt = self._uses.attempts.get(inputs.attempt_id)
        return (attempt.seen if attempt else None) or Seen(refused=inputs.rules.refused)

    def _rules(self, known: CopyRules, digest: str, seen: Seen) -> CopyRules:
        if seen.refused:
            return replace(CopyRules(), refused=seen.refused)
        if known.digest == digest:
            return known
        return self._configs.get(digest, known)

    def _market(self, seen: Seen) -> Market | None:
        row = self._facts.get(seen.market)
        return row.market if row else None

    def _lists(self, seen: Seen) -> Any:
        row = self._facts.get(seen.lists)
        return row.lists if row else None


def configs_of(recording: Recording) -> dict[str, CopyRules]:
    """Every configuration of a recording by its digest. Raises InvalidInput."""
    return {config.digest: rules_in(config) for config in recording.configs}
