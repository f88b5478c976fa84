"""Play a recording: each arrival and each lane step at its time, on the services of production."""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from functools import partial
from typing import NoReturn

from chalicelib.adapters.clock import VirtualClock
from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.adapters.stored_rules import GLOBAL, parse_layer
from chalicelib.bootstrap import Playback, Ports, services_on
from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.domain.identifiers import attempt_id
from chalicelib.domain.lane import LaneInput, Work
from chalicelib.domain.ledger import Entry
from chalicelib.domain.market import Market
from chalicelib.domain.portfolio import Head, apply_entry
from chalicelib.domain.records import replace
from chalicelib.domain.registry import Check, Leader, PortfolioRef, TokenPointer
from chalicelib.domain.rules import CopyRules
from chalicelib.domain.witness import Arrival
from chalicelib.keyspace import head_key, leader_key, portfolio_pk
from chalicelib.ports import CopyRun, Put, Write
from chalicelib.replay.played import Left, LeftInStore, Played
from chalicelib.replay.world import (
    PlaybackRules,
    RecordedBooks,
    RecordedTapes,
    RecordedUses,
    RecordedWitness,
    checked,
    configs_of,
)
from chalicelib.services.advance_portfolio import GROUP_MARGIN_MS
from chalicelib.services.market_directory import change_market
from chalicelib.services.portfolios import SHADOW, all_portfolios, position_of
from chalicelib.services.recordings import Recording
from chalicelib.settings import evaluate

Layers = Mapping[str, Mapping[str, object]]
"""Settings by scope: `global`, or a leader."""

RETRY_MS = 1_000
STILL_MS = 500
"""A lane whose first row is due and does not move is looked at again after this long."""
STILL_MAX = 200
"""Looks in a row at a lane that does not move before the replay gives up on it."""
STEPS_MAX = 50_000_000
MARK_MS = 30_000
_FAR = 10**13 - 2


def rules_under(layers: Layers, leaders: Sequence[str]) -> dict[str, CopyRules]:
    """The rules of these leaders under settings; the empty name is everybody else's.

    Raises InvalidInput naming the setting.
    """
    common = layers.get(GLOBAL, {})
    rules = {"": evaluate(common).rules()}
    for leader in leaders:
        own = layers.get(leader)
        rules[leader] = evaluate(common, own).rules() if own else rules[""]
    return rules


def _rules_as_stored(texts: Mapping[str, str], leaders: Sequence[str]) -> dict[str, CopyRules]:
    """The rules that stored rows give; under an unusable one nothing was copied, nor is now."""
    rules = {}
    for leader in ("", *leaders):
        rows = [texts[scope] for scope in (GLOBAL, leader) if scope in texts]
        try:
            rules[leader] = evaluate(*(parse_layer(row) for row in rows)).rules()
        except InvalidInput as error:
            rules[leader] = replace(CopyRules(), refused=str(error))
    return rules


class _Silent:
    """Everything of the world that no replay asks: feeds, queues, catalogues, receipts."""

    def __init__(self) -> None:
        self.refused: list[tuple[str, str, str]] = []

    def keep(self, source: str, payload: str, error: str) -> None:
        """What could not be processed, for the report."""
        self.refused.append((source, payload, error))

    def market_of_token(self, token_id: str) -> None:
        """Nothing is known that was not known then."""

    def market_of_condition(self, condition_id: str) -> None:
        """Nothing is known that was not known then."""

    def lag_seconds(self) -> None:
        """Nobody polls."""

    def __getattr__(self, name: str) -> NoReturn:
        raise Permanent(f"a replay has no {name}")


class _Midpoints:
    """Port Midpoints: the recorded books at the present moment, where there are any."""

    def __init__(self, tapes: RecordedTapes, clock: VirtualClock) -> None:
        self._tapes = tapes
        self._clock = clock

    def midpoints(self, token_ids: Sequence[str]) -> dict[str, int]:
        """Midpoint in micros per token."""
        now = self._clock.now_ms()
        mids: dict[str, int] = {}
        for token in token_ids:
            book = self._tapes.tape(token, now, now).book_at(now)
            if book and book.mid is not None:
                mids[token] = book.mid
        return mids


class _Starts:
    """Port CopyWorkflows: notes whose lanes were given work."""

    def __init__(self) -> None:
        self.portfolios: list[str] = []
        self._groups: set[str] = set()

    def start(self, run: CopyRun) -> None:
        """Remember a new group's portfolios; times are read from their work rows."""
        if run.group_id not in self._groups:
            self._groups.add(run.group_id)
            self.portfolios += run.portfolios


class Player:
    """Plays one recording once."""

    def __init__(self, recording: Recording, layers: Layers | None = None) -> None:
        """With `layers`, under those settings; else as it was.

        Raises InvalidInput for settings or a recording that cannot be used.
        """
        self._recording = recording
        self._same = layers is None
        self.store = MemoryStore()
        self._clock = VirtualClock(recording.header.ts_from)
        self._metrics = CountingMetrics()
        self._silent = _Silent()
        self._starts = _Starts()
        self._uses = RecordedUses(recording.attempts)
        self._leaders = {row.digest: row.leader for row in recording.facts if row.leader}
        self._configs = configs_of(recording)
        self._rules = self._playback_rules(layers)
        self._present: dict[str, tuple[str, Leader]] = {}
        self._wakes: list[tuple[int, str]] = []
        self._next: dict[str, int] = {}
        self._still: dict[str, int] = {}
        refs = [r for r in recording.opening if isinstance(r, PortfolioRef)]
        self._refs = {ref.portfolio_id: ref for ref in refs}
        self._given_back = self._by_portfolio(recording.entries)
        self._inputs = sorted(
            (row for row in recording.inputs if self._same or row.work.kind != "exit"),
            key=lambda row: (-row.ts, row.work.portfolio_id),
        )
        self._wire()

    def _playback_rules(self, layers: Layers | None) -> PlaybackRules:
        header = self._recording.header
        leaders = sorted({arrival.leader for arrival in self._recording.arrivals})
        return PlaybackRules(
            None if layers is None else rules_under(layers, leaders),
            _rules_as_stored(dict(header.settings), leaders),
        )

    def _wire(self) -> None:
        recording, silent = self._recording, self._silent
        uses = self._uses if self._same else None
        self._tapes = RecordedTapes(self.store, self._rules, self._clock, recording.segments, uses)
        self._books = RecordedBooks(recording.snapshots, uses)
        self._midpoints = _Midpoints(self._tapes, self._clock)
        self._witness = RecordedWitness(
            recording.facts, self._configs, self._uses, same_rules=self._same
        )
        ports = Ports(
            store=self.store,
            queue=silent,
            workflows=self._starts,
            quarantine=silent,
            feed=silent,
            catalogue=silent,
            books=self._books,
            midpoints=self._midpoints,
            holdings=silent,
            receipts=None,
            clock=self._clock,
            metrics=self._metrics,
        )
        self.services = services_on(
            ports,
            0,
            rules=self._rules,
            ask_api=lambda _: None,
            playback=Playback(self._tapes, self._witness),
        )

    def play(self) -> Played:
        """Everything in the order of its time, until no work is left. Raises Permanent, Retryable
        for a recording that does not play.
        """
        self._open()
        arrivals = sorted(self._recording.arrivals, key=lambda a: (a.ts, a.number, a.trade_id))
        as_it_was = self._same and self._recording.attempts
        marks_at = _FAR if as_it_was else self._recording.header.ts_from
        place = 0
        for _ in range(STEPS_MAX):
            ts_arrival = arrivals[place].ts if place < len(arrivals) else _FAR
            ts_wake = self._wakes[0][0] if self._wakes else _FAR
            ts_input = self._inputs[-1].ts if self._inputs else _FAR
            now = min(ts_arrival, ts_wake, ts_input)
            if now == _FAR:
                break
            if marks_at <= now:
                self._clock.reach(marks_at)
                self._mark()
                marks_at = max(marks_at + MARK_MS, now // MARK_MS * MARK_MS)
            elif ts_input == now:
                self._clock.reach(ts_input)
                self._put(self._inputs.pop())
            elif ts_wake == now:
                self._clock.reach(ts_wake)
                due, portfolio_id = heapq.heappop(self._wakes)
                # An earlier look was asked for meanwhile, and found what this one would.
                if self._next.get(portfolio_id) == due:
                    del self._next[portfolio_id]
                    self._advance(portfolio_id)
            else:
                self._clock.reach(ts_arrival)
                self._ingest(arrivals[place])
                place += 1
        else:
            raise Permanent(f"the recording takes more than {STEPS_MAX} steps")
        for portfolio_id in sorted(self._given_back):
            self._give_back(portfolio_id)
        return Played(
            self._left(),
            all_portfolios(self.store),
            self._metrics.snapshot(),
            self._silent.refused,
            self._clock.now_ms(),
        )

    def _open(self) -> None:
        """What stood in the store when the recording begins."""
        recording = self._recording
        records = [replace(record, version=0) for record in recording.opening]
        markets = {m.condition_id: m for m in self._markets()}
        for market in markets.values():
            records += [TokenPointer(token, market.condition_id) for token in market.tokens]  # type: ignore[misc]
        records += [replace(market, version=0) for market in markets.values()]  # type: ignore[misc]
        for record in records:
            try:
                self.store.commit([Put(record)])
            except Conflict as error:
                kind = type(record).__name__
                raise InvalidInput(kind, "the recording opens with the same one twice") from error
        for portfolio_id in sorted(self._given_back):
            self._give_back(portfolio_id)

    def _markets(self) -> list[Market]:
        """As they were when they were looked at, later ones over earlier ones."""
        facts = [row.market for row in self._recording.facts if row.market]
        return [*map(checked, self._recording.markets), *facts]

    def _mark(self) -> None:
        try:
            self.services.mark_portfolios(shadows=False)
        except PapercopyError:
            self._metrics.count("marks_failed")

    def _ingest(self, arrival: Arrival) -> None:
        leader = self._as_known(arrival)
        self._rules.name(leader.leader, self._configs.get(arrival.rules_digest))
        shadow = f"{SHADOW}/{leader.leader}"
        self._give_back(shadow)
        self._fold(leader, arrival)
        self._give_back(shadow)
        for portfolio_id in self._starts.portfolios:
            self._wake(portfolio_id, 0)
        self._starts.portfolios.clear()

    def _fold(self, leader: Leader, arrival: Arrival) -> None:
        """The evidence of one arrival."""
        if arrival.message:
            self.services.ingest(arrival.message)
        if arrival.reading:
            self.services.ingest.answer(_check(arrival), arrival.reading)

    def _as_known(self, arrival: Arrival) -> Leader:
        """The leader, as he was known when the evidence came."""
        present = self._present.get(arrival.leader)
        if present and present[0] == arrival.leader_fact:
            return present[1]
        leader = self._leaders.get(arrival.leader_fact)
        if leader is None:
            raise InvalidInput("leader_fact", f"{arrival.leader_fact!r} is no fact of a leader")
        known = self.store.get(Leader, leader_key(leader.leader))
        self.store.commit([Put(replace(leader, version=known.version if known else 0))])
        self._present[arrival.leader] = (arrival.leader_fact, leader)
        return leader

    def _put(self, row: LaneInput) -> None:
        """Work from outside into its lane, with what is known by then of a decided market."""
        work = row.work
        if work.kind == "settlement":
            for market in self._recording.markets:
                if market.condition_id == work.ref:
                    change_market(self.store, work.ref, partial(_as_told, market))
        self.store.commit([Put(replace(work, version=0))])
        self._wake(work.portfolio_id, row.ts)

    def _advance(self, portfolio_id: str) -> None:
        """One step of a lane, and when its next one is due."""
        self._uses.portfolio_id, self._uses.deciding = portfolio_id, None
        self._give_back(portfolio_id)
        rows = 0
        try:
            rows = self._step(portfolio_id)
            delay = 0 if rows else STILL_MS
        except Retryable:
            delay = RETRY_MS
        self._give_back(portfolio_id)
        still = 0 if rows else self._still.get(portfolio_id, 0) + 1
        self._still[portfolio_id] = still
        if still > STILL_MAX:
            raise Permanent(f"the lane of {portfolio_id} does not move")
        self._wake(portfolio_id, self._clock.now_ms() + delay if delay else 0)

    def _step(self, portfolio_id: str) -> int:
        """One advance of a lane; how many rows it worked off."""
        return self.services.advance(portfolio_id).rows

    def _wake(self, portfolio_id: str, not_before: int) -> None:
        """Come back when the lane's first row is due."""
        row = self._first(portfolio_id)
        if row is None:
            return
        due = max(self._due(row), not_before, self._clock.now_ms())
        if due < self._next.get(portfolio_id, _FAR):
            self._next[portfolio_id] = due
            heapq.heappush(self._wakes, (due, portfolio_id))

    def _first(self, portfolio_id: str) -> Work | None:
        """The first row of a lane."""
        ref = self._ref(portfolio_id)
        pk = portfolio_pk(ref.portfolio_id, ref.epoch)
        rows = self.store.query(Work, "portfolio", pk, start="work#", end="work$", limit=1)
        return rows[0] if rows else None

    def _left(self) -> Left:
        """What there is when everything was played."""
        return LeftInStore(self.store)

    def _ref(self, portfolio_id: str) -> PortfolioRef:
        ref = self._refs.get(portfolio_id)
        if ref is None:
            raise Permanent(f"the recording has no portfolio {portfolio_id}")
        return ref

    def _due(self, row: Work) -> int:
        if row.kind != "group":
            return row.ts_due
        if self._same and self._uses.attempts:
            minted = attempt_id(row.ref, row.portfolio_id, row.epoch)
            recorded = self._uses.attempts.get(minted)
            if recorded:
                return recorded.ran_at
        return row.ts_due + GROUP_MARGIN_MS

    def _give_back(self, portfolio_id: str) -> None:
        """Entries that follow from no arrival, as soon as it is their turn."""
        waiting = self._given_back.get(portfolio_id)
        if not waiting:
            return
        ref = self._ref(portfolio_id)
        while waiting:
            head = self.store.get(Head, head_key(ref.portfolio_id, ref.epoch))
            if head is None or waiting[-1].seq > head.entries:
                return
            entry = waiting.pop()
            position = position_of(self.store, head, entry.token_id, entry.leader)
            after, moved = apply_entry(head, position, entry)
            writes: list[Write] = [Put(after), Put(replace(entry, version=0))]
            if entry.token_id:
                writes.append(Put(moved))
            self.store.commit(writes)

    def _by_portfolio(self, entries: Sequence[Entry]) -> dict[str, list[Entry]]:
        """Entries to give back per portfolio, the first one last.

        Under other settings the places of entries among our own orders mean nothing.
        """
        found: dict[str, list[Entry]] = {}
        for entry in sorted(entries, key=lambda e: -e.seq):
            is_shadow = entry.portfolio_id.startswith(f"{SHADOW}/")
            if self._same or is_shadow or entry.kind == "OPENING":
                found.setdefault(entry.portfolio_id, []).append(entry)
        return found


def _as_told(told: Market, _: Market) -> Market:
    return told


def _check(arrival: Arrival) -> Check:
    """The question a reading answered, as far as an answer needs it."""
    return Check(
        arrival.trade_id, arrival.leader, "", "", "", "BUY", "removed", 0, arrival.ts, arrival.ts
    )


def parse_layers(text: str) -> dict[str, dict[str, object]]:
    """Settings by scope from JSON: `{"global": {…}, "0x…": {…}}`. Raises InvalidInput."""
    layers = parse_layer(text)
    for scope, layer in layers.items():
        if not isinstance(layer, dict):
            raise InvalidInput(scope[:60], "an object of settings was expected")
    return layers  # type: ignore[return-value]
