"""Every metric by name: the few that CloudWatch keeps, and those that are only told in the log.

A series of CloudWatch costs money for as long as it is written to, so only what an alarm or the
dashboard looks at is one. They have no dimensions; the stage is in the namespace. Everything else
that is counted goes into one log line per flush, where Logs Insights finds and sums it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

SERIES: Mapping[str, str] = {
    "detection_lag_ms": "from a trade's block to the first sight of it, one value per new trade",
    "polls_failed": "polls of a leader that ended without an answer",
    "fills_missed": "trades of the venue's record that were neither seen live nor polled",
    "fills_duplicated": "trades with more shares here than in the venue's record",
    "trades_disagreeing": "trades whose sources state different totals",
    "ledger_mismatch": "portfolios that were not the fold of their ledger",
    "measurements_failed": "leaders that could not be measured, and reconciliations that failed",
    "progress_stalled": "sources and lanes that should have moved on and did not",
    "watcher_heartbeat": "proofs of life of the watcher, made from its log by a metric filter",
}

UNITS: Mapping[str, str] = {"detection_lag_ms": "Milliseconds"}
"""Units of series other than Count."""

_COUNTERS = """
    api_events_sent api_kinds_unknown api_rows_refused api_trades_sent attempts_cancelled
    attempts_failed attempts_filled attempts_partial attempts_skipped attempts_submitted
    book_gaps books_asked_for breakers_opened catch_ups_closed checks_given_up checks_moot
    checks_without_node clob_book_refused clob_hash_mismatch confirmations_asked
    confirmations_unanswered cursor_conflicts dead_letters_redriven decisions_execute
    decisions_skip events_applied events_new events_recorded events_repeated events_unknown
    events_waiting evidence_repeated exchange_upgraded exits_tried_again fills_grouped
    fills_netted fills_not_copyable fills_resent finish_conflicts gap_fill_blocks
    gap_fill_blocks_skipped gap_fill_failed gap_fill_logs gap_fill_ranges_refused
    groups_corrected holdings_checks_failed holdings_drift holdings_read
    holdings_readings_failed lane_conflicts lane_rows_buried last_trades_failed
    last_trades_refused ledgers_checked look_backs_failed look_backs_lost market_digests_unread
    market_reconnects market_refreshes_failed market_resubscribed market_sync_overtaken
    market_tokens_left_out markets_changed markets_resolved markets_vanished marks_failed
    marks_left_out messages_failed messages_quarantined poll_ticks_skipped polls_cut
    portfolios_reset portfolios_untended positions_marked positions_settled previews_completed
    receipts_failed receipts_folded receipts_missing receipts_read receipts_refused
    reconcile_findings reset_rows_ended resolutions_failed set_changes_execute set_changes_skip
    settings_refused settings_reports_failed settings_unread settlements_begun snapshots_failed
    snapshots_not_kept snapshots_torn swept_rows tally_conflicts tape_late_changes
    tape_requests_failed tape_segments tape_segments_dropped tape_too_large tape_written_before
    tapes_awaited threads_revived trades_doubted trades_new trades_updated verifications_cut
    verifications_postponed wake_ups wallet_polls_failed wallets_refused
    watcher_catch_up_retries watcher_catch_ups_refused watcher_catch_ups_requested
    watcher_evidence watcher_evidence_dropped watcher_gaps watcher_heads_disagree
    watcher_reconnects watcher_refused watcher_refused_dropped watcher_reorged_logs
    watcher_resubscriptions watcher_send_retries watcher_stalled_subscriptions watcher_stalls
    workflow_starts_failed workflows_not_started
"""
COUNTERS = frozenset(_COUNTERS.split())

FAMILIES: Mapping[str, str] = {
    r"(clob|data_api|data_status|gamma|polygon|shown_clob|shown_data|shown_gamma)_"
    r"(429|breaker_closed|breaker_opened|breaker_refused|errors|refused|requests|retries)": (
        "calls to a host"
    ),
    r"book_doubt_\w+": "why a kept book was no longer trusted",
    r"(market|watcher)_\w+_failed": "errands of the watches that come again by themselves",
}
"""Patterns of counters whose names are made of parts."""


def is_listed(name: str) -> bool:
    """Whether a name is a series, a counter, or of a family of counters."""
    listed = name in SERIES or name in COUNTERS
    return listed or any(re.fullmatch(pattern, name) for pattern in FAMILIES)
