"""Where a market stands, and that only new positions are refused."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.life_cycle import (
    CLOSE_GUARD_MS,
    LIFE_CYCLE_REASONS,
    LifeCycle,
    closing_time,
    life_cycle,
    opening_refused,
    worth_refreshing,
)
from chalicelib.domain.market import Resolution, merged, payouts_of, resolved
from chalicelib.domain.reasons import Reason
from chalicelib.domain.rules import CopyRules
from tests.workflow.harness import OPPOSITE, T0, TOKEN, market

WON = Resolution("resolved", (1_000_000, 0), final=True)
VOID = Resolution("resolved", (500_000, 500_000), final=True)
DISPUTED = Resolution("disputed", (1_000_000, 0))
END = T0 + CLOSE_GUARD_MS


@pytest.mark.parametrize(
    ("changes", "stands", "reason"),
    [
        ({}, "open", None),
        ({"closes_at": END}, "open", None),
        ({"closes_at": END - 1}, "closing_soon", Reason.MARKET_CLOSES_SOON),
        ({"closes_at": T0 - 86_400_000}, "closing_soon", Reason.MARKET_CLOSES_SOON),
        ({"accepting_orders": False}, "halted", Reason.MARKET_CLOSED),
        ({"closed": True}, "closed", Reason.MARKET_CLOSED),
        ({"closed": True, "resolution": DISPUTED}, "closed", Reason.MARKET_CLOSED),
        ({"closed": True, "resolution": VOID}, "resolved", Reason.MARKET_CLOSED),
        ({"resolution": WON}, "resolved", Reason.MARKET_CLOSED),
        # A game's stated end is its start; it is traded while it is played.
        ({"closes_at": T0, "game_starts_at": T0}, "open", None),
        ({"closes_at": END - 1, "game_starts_at": T0}, "closing_soon", Reason.MARKET_CLOSES_SOON),
        # Once it is over, only its resolution is waited for.
        (
            {"closes_at": T0, "game_starts_at": T0, "game_ended": True},
            "closing_soon",
            Reason.MARKET_CLOSES_SOON,
        ),
    ],
)
def test_life_cycle(changes: dict[str, object], stands: LifeCycle, reason: Reason | None) -> None:
    assert life_cycle(market(**changes), T0) == stands
    assert opening_refused(market(**changes), T0, CLOSE_GUARD_MS) == reason
    assert reason is None or reason in LIFE_CYCLE_REASONS


def test_the_guard_is_the_settings_default_and_can_be_another() -> None:
    assert CopyRules().close_guard_ms == CLOSE_GUARD_MS
    soon = market(closes_at=T0 + 60_000)
    assert life_cycle(soon, T0, 60_000) == "open"
    assert opening_refused(soon, T0, 60_001) is Reason.MARKET_CLOSES_SOON


def test_closing_time_of_games() -> None:
    assert closing_time(market(closes_at=T0)) == T0
    assert closing_time(market(closes_at=T0, game_starts_at=T0)) is None
    assert closing_time(market(closes_at=T0 + 1, game_starts_at=T0)) == T0 + 1
    assert closing_time(market(game_starts_at=T0)) is None


def test_what_is_asked_for_again() -> None:
    assert not worth_refreshing(market(), T0)
    assert not worth_refreshing(market(closes_at=END + 1), T0)
    assert worth_refreshing(market(closes_at=END), T0)
    assert worth_refreshing(market(game_starts_at=T0), T0)
    assert worth_refreshing(market(accepting_orders=False), T0)
    assert not worth_refreshing(market(closes_at=T0, closed=True), T0)


def test_only_final_payouts_pay() -> None:
    assert market(resolution=DISPUTED).payout_of(TOKEN) is None
    assert market(resolution=WON).payout_of(TOKEN) == 1_000_000
    assert market(resolution=WON).payout_of(OPPOSITE) == 0
    assert market(resolution=VOID).payout_of(OPPOSITE) == 500_000
    assert market(resolution=WON).payout_of("7") is None
    with pytest.raises(InvalidInput):
        payouts_of(1_000_001)


def test_a_final_resolution_is_never_taken_back() -> None:
    known = resolved(market(version=4), WON)
    assert known.closed
    assert not known.accepting_orders
    assert resolved(known, DISPUTED) == known
    again = merged(known, market(question="Will it rain today?"))
    assert again.resolution == WON
    assert (again.closed, again.question, again.version) == (True, "Will it rain today?", 4)
    corrected = merged(known, market(resolution=VOID))
    assert corrected.resolution == VOID


def test_a_dispute_before_the_end_is_kept_and_may_turn() -> None:
    disputed = resolved(market(), DISPUTED)
    assert (disputed.resolution, disputed.closed) == (DISPUTED, False)
    assert resolved(disputed, VOID).payout_of(TOKEN) == 500_000


def test_a_source_without_texts_does_not_erase_them() -> None:
    known = market(closes_at=T0, tags=("weather",), version=2)
    bare = market(question="", slug="", event_id="", category="", tick=1_000)
    assert merged(known, bare) == market(closes_at=T0, tags=("weather",), tick=1_000, version=2)
    closed = market(closed=True, accepting_orders=False)
    assert merged(closed, market(question="", slug="", accepting_orders=False)).closed


def test_a_source_that_knows_no_games_does_not_resume_one() -> None:
    known = market(game_starts_at=T0, game_ended=True)
    told = market(question="", slug="")
    assert merged(known, told).game_ended
    assert not merged(known, market(game_starts_at=T0)).game_ended
