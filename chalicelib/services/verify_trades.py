"""Ask a node's receipt what the evidence of two sources leaves open.

Rare by design: a log was taken back, the sources differ, only the API knows a fill, or the API no
longer shows one. A node that does not know a transaction may be behind, so its silence counts only
when it knows much later blocks, and what nobody answers stays open until it is given up and
reported.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.exchange_log import Generation
from chalicelib.domain.open_questions import SECOND_LOOK_MS, is_open
from chalicelib.domain.receipt import reading_of
from chalicelib.domain.registry import Check
from chalicelib.domain.trade import Reading, Trade
from chalicelib.keyspace import trade_key
from chalicelib.ports import Clock, Metrics, Quarantine, Receipts, Store
from chalicelib.services.ingest_fill import IngestFill

CHECKS_MAX = 20
"""Questions worked off in one call."""
BUDGET_MS = 20_000
AT_ONCE_MAX = 2
AT_ONCE_BUDGET_MS = 5_000
"""What ingestion may spend on questions it has just raised."""
ABSENCES_UNSEEN = 3
"""Times a node must not know a transaction that nobody saw in a block before that counts."""
ABSENCES_STANDING = 2
"""The same where a log stands that was never taken back."""
ABSENCES_MAX = 10
CONFIRMED_BLOCKS = 12
AGAIN_MS = 40_000
FAILED_AGAIN_MS = 15_000
FAILED_AGAIN_MS_MAX = 600_000
AGE_MS_MAX = 86_400_000
"""A question that no node answered for a day is given up."""


def due_checks(store: Store, now_ms: int, limit: int = CHECKS_MAX) -> list[Check]:
    """Questions due at or before `now_ms`, oldest first."""
    return store.query(Check, "activity", "checks", end=f"{now_ms + 1:013d}", limit=limit)


class VerifyTrades:
    """Works off questions that are due; safe to call at any time by anybody."""

    def __init__(
        self,
        store: Store,
        receipts: Receipts | None,
        ingest: IngestFill,
        exchanges: Callable[[], Mapping[str, Generation]],
        quarantine: Quarantine,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        self._store = store
        self._receipts = receipts
        self._ingest = ingest
        self._exchanges = exchanges
        self._quarantine = quarantine
        self._clock = clock
        self._metrics = metrics

    def __call__(self, limit: int = CHECKS_MAX, budget_ms: int = BUDGET_MS) -> int:
        """The number of questions worked off; a failure concerns its own question only.

        Raises the first failure.
        """
        return self._all(due_checks(self._store, self._clock.now_ms(), limit), budget_ms)

    def at_once(self, checks: Sequence[Check]) -> int:
        """Work off questions that were just raised, as far as there is time; the rest stays due."""
        return self._all(checks[:AT_ONCE_MAX], AT_ONCE_BUDGET_MS)

    def _all(self, checks: Sequence[Check], budget_ms: int) -> int:
        began, done = self._clock.now_ms(), 0
        failures: list[PapercopyError] = []
        for check in checks:
            if self._clock.now_ms() - began >= budget_ms:
                self._metrics.count("verifications_cut")
                break
            try:
                self._work_off(check)
            except PapercopyError as error:
                failures.append(error)
            done += 1
        if failures:
            raise failures[0]
        return done

    def _work_off(self, check: Check) -> None:
        trade = self._store.get(Trade, trade_key(check.trade_id))
        if trade is None or not is_open(trade, check.reason):
            self._metrics.count("checks_moot")
            self._ingest.close(check)
            return
        if self._receipts is None:
            self._metrics.count("checks_without_node")
            self._ingest.close(check)
            return
        try:
            answer = self._read(self._receipts, check, trade)
        except InvalidInput as error:
            self._quarantine.keep("receipt", check.tx_hash, str(error))
            self._metrics.count("receipts_refused")
            self._give_up(check)
        except PapercopyError:
            self._metrics.count("receipts_failed")
            wait = min(FAILED_AGAIN_MS * 2 ** min(check.failures, 10), FAILED_AGAIN_MS_MAX)
            self._again(replace(check, failures=check.failures + 1), wait)
        else:
            self._fold(check, answer)

    def _fold(self, check: Check, answer: Reading | Check) -> None:
        if isinstance(answer, Check):
            self._metrics.count("receipts_missing")
            self._again(answer, AGAIN_MS)
            return
        self._ingest.answer(check, answer)
        trade = self._store.get(Trade, trade_key(check.trade_id))
        if trade and check.reason == "removed" and is_open(trade, "removed"):
            second_look = trade.ts_removed + SECOND_LOOK_MS
            self._again(check, max(1, second_look - self._clock.now_ms()))
            return
        self._ingest.close(check)

    def _read(self, receipts: Receipts, check: Check, trade: Trade) -> Reading | Check:
        """The receipt, or the question with what its absence adds where that proves nothing yet."""
        self._metrics.count("receipts_read")
        logs = receipts.receipt_logs(check.tx_hash)
        if logs is None:
            head = receipts.block_number()
            missed = replace(check, absences=check.absences + 1, head=check.head or head)
            gone = self._is_gone(missed, trade, head)
            return Reading(self._clock.now_ms(), "", ()) if gone else missed
        return reading_of(
            logs,
            check.wallet,
            check.token_id,
            check.side,
            ts_read=self._clock.now_ms(),
            ts_block=check.ts_block,
            exchanges=self._exchanges(),
        )

    @staticmethod
    def _is_gone(check: Check, trade: Trade, head: int) -> bool:
        """Whether a node that does not know the transaction knows blocks well after it.

        One answer may come from a backend that lags behind the one that told the head.
        """
        blocks = [leg.block_number for leg in trade.legs]
        if not blocks:
            moved = head >= check.head + CONFIRMED_BLOCKS
            return check.absences >= ABSENCES_UNSEEN and moved
        standing = any(not leg.removed for leg in trade.legs)
        enough = ABSENCES_STANDING if standing else 1
        return check.absences >= enough and head >= max(blocks) + CONFIRMED_BLOCKS

    def _again(self, check: Check, wait_ms: int) -> None:
        now = self._clock.now_ms()
        if check.absences >= ABSENCES_MAX or now - check.ts_raised > AGE_MS_MAX:
            self._give_up(check)
            return
        # Another key than the present one, whatever the clocks say.
        ts_due = max(now + wait_ms, check.ts_due + 1)
        self._ingest.close(check, replace(check, ts_due=ts_due, version=0))

    def _give_up(self, check: Check) -> None:
        """Leave the trade as its evidence has it; the metric alarms."""
        self._metrics.count("checks_given_up")
        self._ingest.close(check)


def softly(verify: Callable[[], object], metrics: Metrics) -> None:
    """Answer what can be answered; what fails stays for the next turn, and detection goes on."""
    try:
        verify()
    except PapercopyError:
        metrics.count("verifications_postponed")
