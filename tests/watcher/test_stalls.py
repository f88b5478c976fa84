"""Subscriptions that say nothing although their wallets trade."""

from __future__ import annotations

from dataclasses import replace

from feed_fakes import OTHER, TX, WALLET, chain_head, kind_of, log_in, makers_of, notification
from listening import confirm, listening, only, ts

from chalicelib.domain.registry import Check
from chalicelib.watcher.outputs import Counted, Evidence, GapClosed, Output, Reconnect, Send
from chalicelib.watcher.session import PolygonSession
from chalicelib.watcher.stalls import (
    CHECK_MS_MAX,
    HOPELESS_RENEWALS,
    LATE_MS,
    MISSING_MAX,
    RENEW_MS,
    SEEN_MAX,
    Stalls,
)

NOW = ts(200)
MISSED = Check(
    trade_id="t",
    leader="lead",
    wallet=WALLET,
    tx_hash=TX,
    token_id="777",
    side="BUY",
    reason="api_only",
    ts_block=ts(150),
    ts_raised=NOW - LATE_MS - 1,
    ts_due=NOW,
)


def requests(outputs: list[Output]) -> list[str]:
    return [sent.text for sent in only(Send, outputs)]


def test_a_trade_without_its_log_renews_the_subscription_without_a_gap() -> None:
    session = listening()
    outputs = session.api_first([MISSED], NOW)
    (request,) = requests(outputs)
    assert (kind_of(request), makers_of(request)) == ("fills", [WALLET])
    assert Counted("watcher_stalled_subscriptions") in outputs
    # The same complaint again changes nothing, before and after the confirmation.
    assert session.api_first([MISSED], NOW + 1) == []
    (ended,) = requests(confirm(session, outputs, NOW + 2))
    assert kind_of(ended) == "end"
    assert session.api_first([MISSED], NOW + RENEW_MS * 2) == []


def test_the_leaders_of_the_shard_are_caught_up_from_its_last_proof() -> None:
    session = listening({WALLET: "lead", OTHER: "two"})
    confirm(session, session.api_first([MISSED], NOW), NOW)
    (gap,) = only(GapClosed, session.receive(chain_head(201), ts(201)))
    assert gap.leaders == {"lead", "two"}
    # Nothing was ever heard there: back to its confirmation, and five minutes at least.
    assert gap.ts_from == ts(201) - 300_000
    assert gap.reason == "stalled subscription"
    late = listening()
    long_after = ts(2_000)
    late_check = replace(MISSED, ts_block=ts(1_980), ts_raised=long_after - LATE_MS - 1)
    confirm(late, late.api_first([late_check], long_after), long_after)
    (gap,) = only(GapClosed, late.receive(chain_head(2_001), ts(2_001)))
    assert gap.ts_from == ts(100)


def test_what_is_no_accusation() -> None:
    session = listening()
    for check in (
        replace(MISSED, wallet=OTHER),
        replace(MISSED, ts_raised=NOW - LATE_MS),
        replace(MISSED, ts_raised=NOW - CHECK_MS_MAX - 1),
        replace(MISSED, ts_block=ts(100)),
    ):
        assert session.api_first([check], NOW) == []
    session.receive(notification(log_in(150)), ts(150))
    assert session.api_first([MISSED], NOW) == []


def test_a_log_that_waits_for_its_block_time_was_delivered() -> None:
    session = listening()
    session.receive(notification(log_in(150, blockTimestamp=None)), ts(150))
    assert session.api_first([MISSED], NOW) == []


def test_nothing_is_renewed_twice_within_its_bound_or_while_disconnected() -> None:
    session = listening(at=190)
    check = replace(MISSED, ts_block=ts(195))
    assert session.api_first([check], ts(190) + RENEW_MS - 1) == []
    session.disconnected("gone")
    assert session.api_first([check], ts(190) + RENEW_MS) == []


def test_a_socket_whose_renewals_do_not_help_is_replaced() -> None:
    session = listening()
    now, reasons = NOW, []
    for number in range(HOPELESS_RENEWALS):
        check = replace(
            MISSED, tx_hash=f"0x{number}", ts_block=now - 20_000, ts_raised=now - LATE_MS - 1
        )
        outputs = session.api_first([check], now)
        confirm(session, outputs, now)
        reasons += only(Reconnect, outputs)
        now += 60_000
    assert [reason.reason for reason in reasons] == ["renewed subscriptions still deliver nothing"]


def test_a_question_that_was_answered_meanwhile_is_not_forgotten() -> None:
    session = listening()
    early = replace(MISSED, ts_raised=NOW - LATE_MS + 1_000)
    assert session.api_first([early], NOW) == []
    assert only(Counted, session.api_first([], NOW + 2_000))
    calm = listening()
    calm.api_first([early], NOW)
    calm.receive(notification(log_in(150)), NOW + 1_000)
    assert calm.api_first([], NOW + 2_000) == []


def test_a_log_that_only_a_range_query_showed_accuses_the_subscription() -> None:
    session = listening()
    (found,) = session.receive_log(log_in(150), ts(151), pushed=False)
    assert isinstance(found, Evidence)
    # Read again by the next sweep: no news.
    assert session.receive_log(log_in(150), ts(156), pushed=False) == []
    assert session.api_first([], ts(151) + LATE_MS) == []
    assert only(Counted, session.api_first([], ts(151) + LATE_MS + 1))
    late = listening()
    late.receive_log(log_in(150), ts(151), pushed=False)
    # The socket was merely slower than the sweep; and what it repeats passes as ever.
    assert len(late.receive(notification(log_in(150)), ts(152))) == 1
    assert late.api_first([], ts(200)) == []


def test_memory_is_bounded() -> None:
    stalls = Stalls()
    for number in range(SEEN_MAX + 5):
        stalls.seen(f"0x{number}", WALLET, 1)
        stalls.expect(f"0x{-number}", WALLET, 1, 1)
    assert len(stalls._seen) == SEEN_MAX
    assert len(stalls._missing) == MISSING_MAX
    assert stalls.accused([], {WALLET}, lambda _: None, CHECK_MS_MAX + 2) == []
    assert len(stalls._missing) == 0


def test_only_the_shard_in_question_is_renewed() -> None:
    many = {f"0x{number:040x}": "lead" for number in range(1, 8)}
    session = PolygonSession(many, shard_wallets_max=3)
    asked: list[Output] = [Send(text) for text in session.connected(ts(100))]
    confirm(session, asked, ts(100))
    session.receive(chain_head(100), ts(100))
    wallet = f"0x{5:040x}"
    (request,) = requests(session.api_first([replace(MISSED, wallet=wallet)], NOW))
    assert wallet in makers_of(request)
    assert len(makers_of(request)) == 3
