"""Which stretches the API is asked to read, and when."""

from __future__ import annotations

import pytest
from feed_fakes import OTHER, WALLET, chain_head, confirmation, log_in, notification
from listening import confirm, listening, only, open_socket, ts

from chalicelib.watcher.gaps import BACK_MS_MAX, RECONNECT_BACK_MS, START_BACK_MS, Proof
from chalicelib.watcher.outputs import Counted, Evidence, GapClosed, Output, Send
from chalicelib.watcher.session import HEAD_SILENCE_MS_MAX, PolygonSession
from chalicelib.watcher.surroundings import RunnerLimits


def head(session: PolygonSession, number: int) -> list[GapClosed]:
    return only(GapClosed, session.receive(chain_head(number), ts(number)))


def start(before: Proof | None, at: int = 100) -> GapClosed:
    session = PolygonSession({WALLET: "lead"}, before=before)
    open_socket(session, ts(at))
    (gap,) = head(session, at)
    assert gap.leaders is None
    return gap


def test_a_start_reads_back_a_quarter_of_an_hour_at_least() -> None:
    gap = start(None)
    assert (gap.ts_from, gap.ts_until, gap.reason) == (ts(100) - START_BACK_MS, ts(100), "start")
    assert (gap.block_from, gap.block_until) == (0, 100)
    assert start(Proof(98, ts(98))).ts_from == ts(100) - START_BACK_MS


def test_a_start_reads_back_to_the_last_proof_of_the_process_before() -> None:
    gap = start(Proof(100, ts(100)), at=5_000)
    assert (gap.ts_from, gap.block_from, gap.block_until) == (ts(100), 100, 5_000)


def test_a_start_reads_back_a_day_at_most() -> None:
    assert start(Proof(1, ts(1)), at=500_000).ts_from == ts(500_000) - BACK_MS_MAX


def test_a_reconnect_reads_from_the_last_proof_and_five_minutes_at_least() -> None:
    session = listening()
    head(session, 101)
    session.disconnected("ConnectionClosedError")
    open_socket(session, ts(110))
    outputs = session.receive(chain_head(111), ts(111))
    (gap,) = only(GapClosed, outputs)
    assert gap.ts_from == ts(110) - RECONNECT_BACK_MS
    assert (gap.ts_until, gap.block_from, gap.block_until) == (ts(111), 101, 111)
    assert gap.reason == "ConnectionClosedError"
    assert Counted("watcher_gaps") in outputs
    assert head(session, 112) == []
    session.disconnected("gone")
    open_socket(session, ts(1_000))
    assert head(session, 1_000)[0].ts_from == ts(112)


def test_a_gap_stays_open_until_everything_is_confirmed_and_a_head_came() -> None:
    session = listening()
    session.disconnected("gone")
    frames = session.connected(ts(500))
    for frame in frames[:-1]:
        session.receive(confirmation(frame), ts(500))
    assert head(session, 500) == []
    # That socket ends as well, long before the gap was closed.
    session.disconnected("gone again")
    asked: list[Output] = [Send(text) for text in session.connected(ts(900))]
    assert only(GapClosed, confirm(session, asked, ts(900))) == []
    (gap,) = head(session, 901)
    assert (gap.ts_from, gap.ts_until, gap.block_from) == (ts(100), ts(901), 100)


def test_a_silent_socket_leaves_a_gap_from_its_last_head() -> None:
    session = listening()
    session.receive(notification(log_in(400)), ts(400))
    session.tick(ts(900))
    session.disconnected("closed by us")
    open_socket(session, ts(901))
    (gap,) = head(session, 901)
    assert (gap.ts_from, gap.reason) == (ts(100), "no head for 800 s")


def test_a_new_wallet_is_caught_up_since_it_is_followed() -> None:
    session = listening()
    asked = session.set_wallets({WALLET: "lead", OTHER: "two"}, ts(101))
    # The wallet's subscription is not confirmed: the head proves nothing about it yet.
    assert head(session, 101) == []
    confirm(session, asked, ts(101))
    (gap,) = head(session, 102)
    assert (gap.ts_from, gap.ts_until, gap.leaders) == (None, ts(102), frozenset({"two"}))
    assert head(session, 103) == []


def test_a_wallet_that_came_while_offline_is_caught_up_too() -> None:
    session = listening()
    session.disconnected("gone")
    session.set_wallets({WALLET: "lead", OTHER: "two"}, ts(101))
    open_socket(session, ts(102))
    everybody, new = head(session, 103)
    assert everybody.leaders is None
    assert (new.ts_from, new.leaders) == (None, frozenset({"two"}))


@pytest.mark.parametrize("now", [0, ts(100)])
def test_a_gap_never_ends_before_it_starts(now: int) -> None:
    """The chain of a test venue may lie in our past."""
    session = PolygonSession({WALLET: "lead"}, before=Proof(10**6, ts(10**6)))
    open_socket(session, now)
    (gap,) = only(GapClosed, session.receive(chain_head(5), now))
    assert gap.ts_from is not None
    assert gap.ts_from < gap.ts_until


def test_evidence_that_found_no_room_is_caught_up() -> None:
    session = listening()
    (found,) = session.receive(notification(log_in(101)), ts(101))
    assert isinstance(found, Evidence)
    session.lost(found.message)
    (gap,) = head(session, 800)
    assert (gap.ts_from, gap.ts_until, gap.leaders) == (ts(101), ts(800), frozenset({"lead"}))
    assert gap.reason == "full buffer"
    assert head(session, 801) == []


def test_the_bounds_that_are_promised() -> None:
    limits = RunnerLimits()
    # A wallet within 15 s, a silent socket within 30 s, a lagging one soon after its check.
    assert limits.refresh_s <= 10
    assert HEAD_SILENCE_MS_MAX / 1000 + limits.tick_s + limits.close_timeout_s <= 15
    assert limits.head_check_s + limits.head_recheck_s <= 35
    assert limits.backoff_s_max <= 30
