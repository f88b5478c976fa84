"""Hold everything against everything: every minute the last two, every day each leader's day.

What others measure is composed here into one verdict: evidence of chain and Data API per trade,
stretches that are still to be read, the tallies against the venue's record, tokens without a
market, the ledgers, and whether what should move on does. Nothing is judged that is still being
worked on: a trade has GRACE_MS to settle.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from chalicelib.domain.completeness import HOUR_MS, SETTLED_MS, HourTally, hour_of
from chalicelib.domain.errors import Conflict, PapercopyError
from chalicelib.domain.identifiers import is_combo
from chalicelib.domain.ledger_check import LedgerCheck
from chalicelib.domain.reconciliation import (
    FINDINGS_MAX,
    RECENT,
    Finding,
    Reconciliation,
    advanced,
    standing_still,
)
from chalicelib.domain.registry import CatchUp, Heartbeat, Leader, TokenPointer, first_second
from chalicelib.domain.trade import Trade, state_of
from chalicelib.keyspace import (
    day,
    hours_pk,
    reconciliation_key,
    token_key,
)
from chalicelib.ports import QUERY_LIMIT_MAX, Clock, Metrics, Put, Rules, Store
from chalicelib.services import portfolios
from chalicelib.services.advance_portfolio import due_work
from chalicelib.services.completeness import MeasureCompleteness
from chalicelib.services.heartbeats import beat, heartbeats
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.source_health import API_SOURCE, CHAIN_SOURCE
from chalicelib.services.stored_hours import StoredHours

SOURCE = "reconciler"
WINDOW_MS = 120_000
GRACE_MS = 60_000
"""Trades are judged at this age at the earliest; a minute later they still are in the window."""
OVERDUE_MS = 120_000
"""Work of a portfolio this late is stuck: the sweeper has come by twice."""
GAP_MS = 900_000
"""A stretch that nobody has read for this long is missing."""
TRADES_MAX = 1_000
PAGE = 200
TOKENS_MAX = 200
DAY_MS = 24 * HOUR_MS
DAYS_PER_RUN_MAX = 3
"""Days of leaders measured by one run: each asks the venue for a whole day."""
_DETAIL_CHARS_MAX = 300


class Reconcile:
    """The verdicts; `ask_api` has a leader polled soon, whose polls stand still."""

    def __init__(
        self,
        store: Store,
        measure: MeasureCompleteness,
        rules: Rules,
        clock: Clock,
        metrics: Metrics,
        ask_api: Callable[[str], object],
    ) -> None:
        self._store = store
        self._measure = measure
        self._rules = rules
        self._clock = clock
        self._metrics = metrics
        self._ask_api = ask_api

    def __call__(self) -> Reconciliation:
        """The verdict on the last two minutes, stored and counted.

        Raises Retryable when the store cannot answer; the next minute tries again.
        """
        try:
            return self._recent()
        except PapercopyError:
            self._metrics.count("measurements_failed")
            raise

    def _recent(self) -> Reconciliation:
        now = self._clock.now_ms()
        known = self._store.get(Reconciliation, reconciliation_key(RECENT, 0))
        trades = [t for t in self._trades(now - WINDOW_MS, now) if t.ts_listed <= now - GRACE_MS]
        beats = heartbeats(self._store)
        progress = advanced(known.progress if known else (), self._values(beats, known), now)
        followed = [one for one in leaders(self._store) if one.state != "off"]
        stalled = [*standing_still(progress, now), *self._stuck(now)]
        findings = [
            *_disagreeing(trades),
            *self._unmapped(trades),
            *self._measured(followed, now),
            *self._gaps(now),
            *self._ledgers(),
            *stalled,
        ]
        self._metrics.count("progress_stalled", len(stalled))
        if any(one.subject == API_SOURCE for one in stalled):
            for leader in followed:
                self._ask_api(leader.leader)
        verdict = _verdict(RECENT, now, now - WINDOW_MS, now, trades, findings)
        return self._keep(replace(verdict, progress=progress), known)

    def days(self) -> list[Reconciliation]:
        """The verdicts on yesterday that are still missing, of DAYS_PER_RUN_MAX leaders at most.

        One leader's failure keeps no other from his; it is found, and tried again next time.
        """
        now = self._clock.now_ms()
        start = (now - SETTLED_MS) // DAY_MS * DAY_MS - DAY_MS
        made: list[Reconciliation] = []
        for leader in leaders(self._store):
            if leader.state == "off" or first_second(leader) >= start + DAY_MS:
                continue
            known = self._store.get(Reconciliation, reconciliation_key(leader.leader, start))
            if known and not any(one.kind == "unmeasured" for one in known.findings):
                continue
            made.append(self._day(leader, start, now, known))
            if len(made) == DAYS_PER_RUN_MAX:
                break
        return made

    def _day(
        self, leader: Leader, start: int, now: int, known: Reconciliation | None
    ) -> Reconciliation:
        findings: list[Finding] = []
        try:
            tallies = self._measure.reconcile(leader.leader, start, start + DAY_MS)
            findings += _counted(tallies)
        except PapercopyError as error:
            self._metrics.count("measurements_failed")
            findings.append(Finding("unmeasured", leader.leader, str(error)[:_DETAIL_CHARS_MAX]))
        hours = StoredHours(self._store)
        trades = {
            trade.trade_id: trade
            for hour in range(start, start + DAY_MS, HOUR_MS)
            for trade in hours.of(hour).trades.get(leader.leader, [])
            if start <= trade.ts_listed < start + DAY_MS
        }
        findings += [
            *_disagreeing(trades.values()),
            *self._unmapped(trades.values()),
            *(gap for gap in self._gaps(now) if gap.subject == leader.leader),
            *(one for one in self._ledgers() if leader.leader in one.subject),
        ]
        verdict = _verdict(
            leader.leader, now, start, start + DAY_MS, list(trades.values()), findings
        )
        return self._keep(verdict, known)

    def _trades(self, ts_from: int, ts_until: int) -> list[Trade]:
        """Trades of a stretch of time by their listing, at most TRADES_MAX."""
        found: list[Trade] = []
        for listed_day in dict.fromkeys((day(ts_until), day(ts_from))):
            before: str | None = f"{ts_until + 1:013d}"
            while before and len(found) < TRADES_MAX:
                rows = self._store.feed(
                    Trade, "activity", f"trades#{listed_day}", before=before, limit=PAGE
                )
                inside = [(sk, trade) for sk, trade in rows if trade.ts_listed >= ts_from]
                found += [trade for _, trade in inside]
                before = inside[-1][0] if len(inside) == PAGE else None
        return found[:TRADES_MAX]

    def _unmapped(self, trades: Iterable[Trade]) -> list[Finding]:
        """Traded tokens that no market is known for."""
        tokens = sorted({trade.token_id for trade in trades if not is_combo(trade.token_id)})
        return [
            Finding("unmapped", token, "the token belongs to no known market")
            for token in tokens[:TOKENS_MAX]
            if self._store.get(TokenPointer, token_key(token)) is None
        ]

    def _measured(self, followed: Sequence[Leader], now: int) -> list[Finding]:
        """What the latest tallies against the venue's record say."""
        last = hour_of(now - SETTLED_MS)
        tallies = [
            tally
            for leader in followed
            for tally in self._store.query(
                HourTally,
                "activity",
                hours_pk(leader.leader),
                start=f"{last - HOUR_MS:013d}",
                limit=2,
            )
        ]
        return _counted(tallies)

    def _gaps(self, now: int) -> list[Finding]:
        """Stretches that should have been read long ago."""
        rows = self._store.query(CatchUp, "registry", "catch_ups", limit=QUERY_LIMIT_MAX)
        return [
            Finding("gap", row.leader, f"{row.ts_from} to {row.ts_until} is unread: {row.reason}")
            for row in rows
            if now - row.ts_until >= GAP_MS
        ]

    def _ledgers(self) -> list[Finding]:
        checks = self._store.query(LedgerCheck, "registry", "ledger_checks", limit=QUERY_LIMIT_MAX)
        return [
            Finding("ledger", check.portfolio_id, check.wrong[0][:_DETAIL_CHARS_MAX])
            for check in checks
            if check.wrong
        ]

    def _values(self, beats: dict[str, Heartbeat], known: Reconciliation | None) -> dict[str, int]:
        """How far the sources that the mode uses have come: the chain's head, the latest poll."""
        mode = self._rules.system().trigger_mode
        before = {one.name: one.value for one in known.progress} if known else {}
        values: dict[str, int] = {}
        chain, api = beats.get(CHAIN_SOURCE), beats.get(API_SOURCE)
        if mode != "api":
            values[CHAIN_SOURCE] = chain.last_block if chain else 0
        if mode != "polygon":
            # A poll that failed proves that somebody tries, not that anything was read.
            answered = api.ts if api and api.up else before.get(API_SOURCE, 0)
            values[API_SOURCE] = answered
        return values

    def _stuck(self, now: int) -> list[Finding]:
        """Portfolios whose work nobody finishes."""
        found = []
        for ref in portfolios.all_portfolios(self._store):
            if ref.kind == "shadow":
                continue
            late = due_work(self._store, ref.portfolio_id, ref.epoch, now - OVERDUE_MS, 1)
            found += [
                Finding("stalled", ref.portfolio_id, f"{work.kind} {work.ref} is overdue")
                for work in late
            ]
        return found

    def _keep(self, verdict: Reconciliation, known: Reconciliation | None) -> Reconciliation:
        """Store a verdict and tell of it; of two made at once the first stays."""
        fresh = replace(verdict, version=known.version if known else 0)
        try:
            self._store.commit([Put(fresh)])
        except Conflict:
            return verdict
        self._metrics.count("reconcile_findings", verdict.found)
        if verdict.scope == RECENT:
            detail = "; ".join(f"{one.kind} {one.subject}" for one in verdict.findings)
            beat(
                self._store,
                Heartbeat(SOURCE, verdict.ts, verdict.clean, detail[:_DETAIL_CHARS_MAX]),
            )
        return replace(fresh, version=fresh.version + 1)


def _disagreeing(trades: Iterable[Trade]) -> list[Finding]:
    return [
        Finding("disagreeing", trade.trade_id, "chain and Data API state different totals")
        for trade in trades
        if state_of(trade) == "disagreeing"
    ]


def _counted(tallies: Iterable[HourTally]) -> list[Finding]:
    """Findings of tallies, one per leader, hour and kind."""
    return [
        finding
        for tally in tallies
        for finding in (
            Finding("missed", tally.leader, f"{tally.missed} in the hour from {tally.ts_hour}"),
            Finding(
                "duplicated", tally.leader, f"{tally.duplicated} in the hour from {tally.ts_hour}"
            ),
        )
        if (tally.missed if finding.kind == "missed" else tally.duplicated)
    ]


def _verdict(
    scope: str,
    now: int,
    ts_from: int,
    ts_until: int,
    trades: Sequence[Trade],
    findings: Sequence[Finding],
) -> Reconciliation:
    states = Counter(state_of(trade) for trade in trades)
    chain_only, api_only = states["chain_only"], states["api_only"]
    return Reconciliation(
        scope=scope,
        ts=now,
        ts_from=ts_from,
        ts_until=ts_until,
        chain_only=chain_only,
        api_only=api_only,
        both=len(trades) - chain_only - api_only,
        found=len(findings),
        findings=tuple(findings[:FINDINGS_MAX]),
    )
