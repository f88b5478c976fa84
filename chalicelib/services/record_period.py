"""Read a period out of a store so that it can be replayed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.complete_set import SetChange
from chalicelib.domain.consumption import Consumed, remembered
from chalicelib.domain.errors import InvalidInput, Permanent
from chalicelib.domain.group import Fill, Group
from chalicelib.domain.lane import Attempt, LaneInput
from chalicelib.domain.ledger import Entry, digest
from chalicelib.domain.market import Market
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.portfolio import Head, fold
from chalicelib.domain.registry import PortfolioRef, SettingsRow, TokenPointer
from chalicelib.domain.risk import HOUR_MS, UNSPENT, Spending
from chalicelib.domain.rules import Config
from chalicelib.domain.tape_text import TapeSegment
from chalicelib.domain.trade import Trade, fold_leg, fold_receipt, fold_rows, handed_on, settle
from chalicelib.domain.witness import Arrival, BookSnapshot, Witness
from chalicelib.keyspace import (
    Table,
    arrivals_pk,
    config_key,
    day,
    fill_key,
    head_key,
    key_of,
    line_pk,
    market_key,
    portfolio_pk,
    set_change_key,
    snapshots_pk,
    token_key,
    trade_key,
    witness_key,
)
from chalicelib.ports import QUERY_LIMIT_MAX, R, Store
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.portfolios import all_portfolios, entries_from, opening_head
from chalicelib.services.recordings import Closing, Header, Opening, Recording
from chalicelib.services.tapes import tape_rows

DAY_MS = 86_400_000
DAYS_MAX = 90
"""Evidence and books are kept as long."""
PAGES_MAX = 2_000
ARRIVALS_MAX = 500_000
ATTEMPTS_MAX = 500_000
LOOK_BACK_MS = 125_000
"""How far before a decision books are recorded: what earlier orders took may have come back."""
LOOK_AHEAD_MS = 16_000
LATER_MS = DAY_MS
"""How long after a period evidence of its trades may have come."""
SETTLED_MS = 10_000
"""After its last fill an attempt may take this long to be over."""


@dataclass(frozen=True, slots=True)
class Period:
    """From `ts_from` up to `ts_until` (milliseconds), counted by when evidence came."""

    ts_from: int
    ts_until: int
    quiet: bool = True


def record_period(
    store: Store, ts_from: int, ts_until: int, source: str = "", groups_max: int | None = None
) -> Recording:
    """Everything about the evidence that came in a period.

    Its end moves back to a moment at which no order was open, unless that would leave out most of
    it: only a period that ends so has ledgers to be reproduced. With `groups_max` it begins later,
    so that it has at most so many groups. It is never longer than DAYS_MAX. Raises InvalidInput for
    a period that ends before it begins or has too much in it, Retryable.
    """
    if not 0 <= ts_from <= ts_until:
        raise InvalidInput("until", "a time at or after the beginning was expected")
    ts_from = max(ts_from, ts_until - DAYS_MAX * DAY_MS)
    refs = all_portfolios(store)
    executables = [ref for ref in refs if ref.kind != "shadow"]
    attempts = [a for ref in executables for a in _attempts(store, ref, ts_from, ts_until)]
    if groups_max is not None:
        ts_from = _later(attempts, ts_from, groups_max)
    period = _quiet(attempts, ts_from, ts_until)
    attempts = [a for a in attempts if _is_in(period, a)]
    arrivals = list(_arrivals(store, period))
    recording = Recording(
        Header(
            period.ts_from,
            period.ts_until,
            source=source,
            quiet=period.quiet,
            settings=_settings(store),
        ),
        arrivals=arrivals,
        attempts=attempts,
    )
    recording.inputs = [row for ref in executables for row in _inputs(store, ref, period)]
    changes = list(_set_changes(store, recording.inputs))
    lists = _all(store, MarketLists, "registry", "market_lists", "", "\U0010ffff")
    recording.opening += [*changes, *leaders(store), *lists]
    later = _arrivals(store, Period(period.ts_until, period.ts_until + LATER_MS))
    trades = _trades(store, arrivals, later)
    recording.opening += [trade for trade in trades.values() if trade.version < 0]
    closing = []
    for ref in refs:
        mine = [a for a in attempts if a.portfolio_id == ref.portfolio_id]
        closing.append(_ledger(store, recording, ref, period, mine, trades))
    if period.quiet:
        recording.header = replace(recording.header, closing=tuple(closing))
    recording.opening += list(_last_groups(store, attempts, period))
    recording.facts = _facts(store, arrivals, attempts)
    recording.configs = _configs(store, arrivals, attempts)
    decided = _settled(recording) | {change.condition_id for change in changes}
    recording.markets = list(_markets(store, _tokens(arrivals), decided))
    _add_books(store, recording)
    return recording


def _is_in(period: Period, attempt: Attempt) -> bool:
    return period.ts_from <= attempt.ts_opened < period.ts_until


def _attempts(store: Store, ref: PortfolioRef, ts_from: int, ts_until: int) -> Iterator[Attempt]:
    """Attempts whose groups were opened in the period: they are decided within a minute."""
    start = f"attempt#{max(0, ts_from):013d}"
    end = f"attempt#{ts_until + 600_000:013d}"
    pk = portfolio_pk(ref.portfolio_id, ref.epoch)
    for attempt in _all(store, Attempt, "portfolio", pk, start, end):
        if ts_from <= attempt.ts_opened < ts_until:
            yield attempt


def _all(store: Store, kind: type[R], table: Table, pk: str, start: str, end: str) -> Iterator[R]:
    for _ in range(PAGES_MAX):
        page = store.query(kind, table, pk, start=start, end=end, limit=QUERY_LIMIT_MAX)
        yield from page
        if len(page) < QUERY_LIMIT_MAX:
            return
        start = key_of(page[-1]).sk + "\x00"
    raise Permanent(f"{pk} has more than {PAGES_MAX * QUERY_LIMIT_MAX} records in the period")


def _inputs(store: Store, ref: PortfolioRef, period: Period) -> Iterator[LaneInput]:
    """What came to a lane from outside; it is taken up soon after it was put there."""
    pk = portfolio_pk(ref.portfolio_id, ref.epoch)
    end = f"input#{period.ts_until:013d}"
    for row in _all(store, LaneInput, "portfolio", pk, "input#", end):
        if period.ts_from <= row.ts < period.ts_until:
            yield row


def _set_changes(store: Store, inputs: Iterable[LaneInput]) -> Iterator[SetChange]:
    for name in sorted({row.work.ref for row in inputs if row.work.kind == "set_change"}):
        change = store.get(SetChange, set_change_key(name))
        if change:
            yield change


def _later(attempts: Sequence[Attempt], ts_from: int, groups_max: int) -> int:
    opened = sorted({a.group_id: a.ts_opened for a in attempts}.values())
    return ts_from if len(opened) <= groups_max else opened[-groups_max]


def _busy(attempts: Iterable[Attempt]) -> list[tuple[int, int]]:
    """The stretches in which anything was open, in order, none touching another."""
    busy: list[tuple[int, int]] = []
    for start, end in sorted((a.ts_opened - 5_000, over_at(a)) for a in attempts):
        if busy and start <= busy[-1][1]:
            busy[-1] = (busy[-1][0], max(busy[-1][1], end))
        else:
            busy.append((start, end))
    return busy


def over_at(attempt: Attempt) -> int:
    """When nothing could happen to the attempt any more, in milliseconds."""
    if attempt.outcome is None:
        expiry = attempt.order.ts_expiry if attempt.order else 0
        return max(attempt.ran_at, expiry) + SETTLED_MS
    expiry = attempt.order.ts_expiry if attempt.order and attempt.outcome.rests else 0
    return max(attempt.ran_at, attempt.outcome.ts_done, expiry) + SETTLED_MS


def _quiet(attempts: Sequence[Attempt], ts_from: int, ts_until: int) -> Period:
    """The period up to a moment at which nothing was open.

    As it was asked for where that would leave out more than half of the attempts: where somebody
    always trades, nothing is ever quiet.
    """
    busy = _busy(attempts)
    last = busy[-1][0] if busy and busy[-1][1] > ts_until else ts_until
    kept = sum(attempt.ts_opened < last for attempt in attempts)
    if ts_from < last and 2 * kept >= len(attempts):
        return Period(ts_from, last)
    return Period(ts_from, ts_until, quiet=False)


def _arrivals(store: Store, period: Period) -> Iterator[Arrival]:
    """Evidence of the period, in the order in which it came."""
    found: list[Arrival] = []
    start, end = f"{period.ts_from:013d}", f"{period.ts_until:013d}"
    for leader in leaders(store):
        for ts in range(period.ts_from // DAY_MS * DAY_MS, period.ts_until + 1, DAY_MS):
            pk = arrivals_pk(leader.leader, day(ts))
            found += _all(store, Arrival, "activity", pk, start, end)
            if len(found) > ARRIVALS_MAX:
                raise InvalidInput("from", f"the period has more than {ARRIVALS_MAX} arrivals")
    found.sort(key=lambda a: (a.ts, a.number, a.trade_id))
    yield from found


def _settings(store: Store) -> tuple[tuple[str, str], ...]:
    rows = _all(store, SettingsRow, "registry", "settings", "", "\U0010ffff")
    return tuple((row.scope, row.text) for row in rows if row.scope != "system")


def _trades(
    store: Store, arrivals: Iterable[Arrival], later: Iterable[Arrival]
) -> dict[str, Trade]:
    """The period's trades by id: with version 0 new ones, with -1 as they were before it.

    What came after the period, in `later`, is no part of what they were before it either.
    """
    by_trade: dict[str, list[Arrival]] = {}
    for arrival in arrivals:
        by_trade.setdefault(arrival.trade_id, []).append(arrival)
    for arrival in later:
        if arrival.trade_id in by_trade:
            by_trade[arrival.trade_id].append(arrival)
    trades: dict[str, Trade] = {}
    for trade_id, brought in by_trade.items():
        now = store.get(Trade, trade_key(trade_id))
        if now is not None:
            trades[trade_id] = _before(store, now, brought)
    return trades


def _before(store: Store, now: Trade, brought: Sequence[Arrival]) -> Trade:
    """The trade without what came in the period or later; its fills count earlier increments."""
    messages = [a.message for a in brought if a.message]
    legs = {(item.leg.block_hash, item.leg.log_index) for m in messages for item in m.chain}
    rows = {(row.shares, row.price_e10) for m in messages for item in m.api for row in item.rows}
    kept = [leg for leg in now.legs if (leg.block_hash, leg.log_index) not in legs]
    told = [row for row in now.rows if (row.shares, row.price_e10) not in rows]
    read = now.receipt and all(a.reading is None for a in brought)
    empty = Trade(
        now.trade_id,
        now.leader,
        now.wallet,
        now.tx_hash,
        now.token_id,
        now.side,
        now.backfill,
        now.first_source,
        now.ts_listed,
    )
    if not kept and not told and not read:
        return empty
    before = empty
    for leg in kept:
        before = fold_leg(before, leg, now.ts_seen_chain or 0)
    if told:
        before = fold_rows(before, told, now.ts_seen_api or 0)
    if read and now.receipt:
        before = fold_receipt(before, now.receipt)
    before = handed_on(settle(before, 0))
    since = min(a.ts for a in brought)
    fills = store.query(
        Fill, "activity", fill_key(now.trade_id, 0).pk, start="fill#", end="fill$", limit=400
    )
    earlier = [fill.seq + 1 for fill in fills if fill.ts_seen < since - 60_000]
    return replace(before, next_seq=max([before.next_seq, *earlier]), version=-1)


def _ledger(
    store: Store,
    recording: Recording,
    ref: PortfolioRef,
    period: Period,
    attempts: Sequence[Attempt],
    trades: dict[str, Trade],
) -> Closing:
    """Adds what the portfolio opened with and what it was given; what its entries came to."""
    entries = sorted(entries_from(store, ref.portfolio_id, ref.epoch), key=lambda e: e.seq)
    made = {a.attempt_id for a in attempts}
    done = {row.work.ref for row in recording.inputs}

    def recomputed(entry: Entry) -> bool:
        name, _, number = entry.reference.partition(":")
        if ref.kind != "shadow":
            return name in made or _input_of(name) in done
        trade = trades.get(name)
        return trade is not None and number.isdigit() and int(number) >= trade.next_seq

    def given(entry: Entry) -> bool:
        return period.ts_from <= entry.ts_effective < period.ts_until

    places = [n for n, entry in enumerate(entries) if recomputed(entry) or given(entry)]
    first = min(places, default=len(entries))
    last = max(places, default=first - 1) + 1
    mine = entries[first:last]
    recording.entries += [
        entry for entry in mine if not recomputed(entry) and (period.quiet or given(entry))
    ]
    recording.opening += _opened(store, ref, entries[:first], attempts, period)
    return Closing(ref.portfolio_id, len(mine), digest(mine))


def _input_of(reference: str) -> str:
    """What came from outside and led to an entry: a decided market, or a set change."""
    kind, _, rest = reference.partition("/")
    return rest.partition("/")[0] if kind == "settlement" else rest.rpartition("/")[0]


def _opened(
    store: Store,
    ref: PortfolioRef,
    entries: Sequence[Entry],
    attempts: Sequence[Attempt],
    period: Period,
) -> list[Opening]:
    """The portfolio as its entries before the period left it."""
    now = store.get(Head, head_key(ref.portfolio_id, ref.epoch))
    cash = now.starting_cash if now else 0
    head = opening_head(ref.portfolio_id, ref.kind, ref.leader, cash, ref.epoch)
    head, positions = fold(head, entries)
    if entries:
        head = replace(head, spending=_spent_before(attempts))
    head = replace(head, pauses=now.pauses if now else ())
    owed: dict[tuple[str, str], int] = {}
    for attempt in attempts:
        if attempt.side == "SELL":
            owed.setdefault((attempt.token_id, attempt.leader), attempt.decision.exit_debt)
    held = [
        replace(position, exit_debt=owed.get(place, 0)) for place, position in positions.items()
    ]
    return [ref, head, *held, *_consumed(store, ref, period, bool(entries))]


def _spent_before(attempts: Sequence[Attempt]) -> Spending:
    """What the portfolio had spent: what its first BUY was judged by, less what came in between."""
    told = [(a.ran_at, s.cash, a.attempt_id, s) for a in attempts if (s := a.decision.spending)]
    if not told:
        return UNSPENT
    ran_at, _, name, spending = min(told, key=lambda one: one[:3])
    filled = [
        part
        for a in attempts
        if a.outcome and a.attempt_id != name and a.ran_at <= ran_at
        for part in a.outcome.slices
        if part.ts <= ran_at and part.ts // HOUR_MS == spending.hour
    ]
    return replace(spending, fills=max(0, spending.fills - len(filled)))


def _consumed(store: Store, ref: PortfolioRef, period: Period, began: bool) -> list[Consumed]:
    """What the portfolio's orders took from books in the hour before the period."""
    if ref.kind == "shadow" or not began:
        return []
    taken: dict[str, Consumed] = {}
    for attempt in _attempts(store, ref, period.ts_from - 3_600_000, period.ts_from):
        if attempt.outcome and attempt.outcome.taken:
            known = taken.get(attempt.token_id) or Consumed(
                ref.portfolio_id, ref.epoch, attempt.token_id
            )
            both = remembered(known.taken, attempt.outcome.taken)
            taken[attempt.token_id] = replace(known, taken=both)
    return list(taken.values())


def _last_groups(store: Store, attempts: Sequence[Attempt], period: Period) -> Iterator[Group]:
    """The last group of each line before the period, so that numbers go on."""
    for leader, token, side in sorted({(a.leader, a.token_id, a.side) for a in attempts}):
        groups = _all(store, Group, "activity", line_pk(leader, token, side), "", "\U0010ffff")
        before = [group for group in groups if group.opened < period.ts_from]
        if before:
            yield replace(before[-1], closed=True)


def _facts(store: Store, arrivals: Sequence[Arrival], attempts: Sequence[Attempt]) -> list[Witness]:
    names = {a.leader_fact for a in arrivals}
    names |= {name for a in attempts if a.seen for name in (a.seen.market, a.seen.lists)}
    found = (store.get(Witness, witness_key(name)) for name in sorted(names - {""}))
    return [row for row in found if row]


def _configs(
    store: Store, arrivals: Sequence[Arrival], attempts: Sequence[Attempt]
) -> list[Config]:
    names = {a.rules_digest for a in arrivals} | {a.decision.rules_digest for a in attempts}
    found = (store.get(Config, config_key(name)) for name in sorted(names - {""}))
    return [row for row in found if row]


def _settled(recording: Recording) -> set[str]:
    return {row.work.ref for row in recording.inputs if row.work.kind == "settlement"}


def _markets(store: Store, tokens: set[str], conditions: set[str]) -> Iterator[Market]:
    """What is known now of the markets of these tokens, and of these."""
    pointers = (store.get(TokenPointer, token_key(token)) for token in sorted(tokens))
    named = {pointer.condition_id for pointer in pointers if pointer}
    for condition in sorted(named | conditions):
        market = store.get(Market, market_key(condition))
        if market:
            yield market


def _tokens(arrivals: Sequence[Arrival]) -> set[str]:
    messages = [a.message for a in arrivals if a.message]
    chain = {item.token_id for message in messages for item in message.chain}
    return chain | {item.token_id for message in messages for item in message.api}


def _add_books(store: Store, recording: Recording) -> None:
    """Tapes and snapshots around everything that was decided."""
    spans: dict[str, list[tuple[int, int]]] = {}
    for attempt in recording.attempts:
        until = attempt.order.ts_expiry if attempt.order else attempt.decision.ts_decided
        span = (attempt.ts_opened - LOOK_BACK_MS, until + LOOK_AHEAD_MS)
        spans.setdefault(attempt.token_id, []).append(span)
    for token in sorted(spans):
        segments: dict[str, TapeSegment] = {}
        snapshots: dict[str, BookSnapshot] = {}
        for t0, t1 in _joined(spans[token]):
            segments |= {key_of(row).sk: row for row in tape_rows(store, token, t0, t1)}
            found = _all(
                store,
                BookSnapshot,
                "activity",
                snapshots_pk(token),
                f"{max(0, t0):013d}",
                f"{t1 + 60_000:013d}",
            )
            snapshots |= {key_of(row).sk: row for row in found}
        recording.segments += [segments[name] for name in sorted(segments)]
        recording.snapshots += [snapshots[name] for name in sorted(snapshots)]


def _joined(spans: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1] and end - joined[-1][0] <= 3_000_000:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((start, end))
    return joined
