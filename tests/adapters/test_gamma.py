"""The market catalogue: Gamma's keyset pages with the CLOB behind them."""

import copy
from decimal import Decimal

import pytest
from venue_fakes import EVENTS, SAMPLES, FakeHttp, load, needs_samples

from chalicelib.adapters.polymarket.gamma import Gamma
from chalicelib.adapters.polymarket.http import NotFound
from chalicelib.adapters.polymarket.market_shape import (
    gamma_fee,
    market_of_clob,
    market_of_gamma,
    time_ms,
)
from chalicelib.domain.errors import InvalidInput, Permanent, Retryable
from chalicelib.domain.fee import FeeSchedule

PAGE = load(EVENTS / "gamma_markets_page.json")
CLOB_MARKET = load(EVENTS / "clob_market.json")
ROWS = PAGE["markets"]
UP = "6708000000000000000000001"
POSITION = ROWS[1]["positionIds"][1]
COMBO = "1478180995445884194963783500106018329313736528433258596285541062936163778560"


def clob(path: str, asked: object) -> object:
    if path == f"/markets-by-token/{UP}":
        return {"condition_id": CLOB_MARKET["c"], "primary_token_id": UP}
    if path == f"/clob-markets/{CLOB_MARKET['c']}":
        return CLOB_MARKET
    return NotFound("clob: status 404")


def gamma(*markets: dict[str, object]) -> FakeHttp:
    return FakeHttp(lambda path, asked: {"markets": list(markets)})


def test_markets_of_both_versions_and_what_is_refused() -> None:
    refused: list[tuple[str, str]] = []
    http = FakeHttp(lambda path, asked: PAGE)
    catalogue = Gamma(http, FakeHttp(clob), refused=lambda *why: refused.append(why))
    game, second, up_down = list(catalogue.markets())

    assert game.tokens == ("7761625012251534202429121", "5906250122515342024291219")
    assert game.outcomes == ("Wizards", "Nets")
    assert game.condition_id == ROWS[0]["conditionId"].lower()
    assert (game.protocol, game.category, game.event_id) == ("v1", "sports", "195458")
    assert (game.tick, game.order_shares_min, game.delay_ms) == (1_000, 5_000_000, 3_000)
    assert game.fee == FeeSchedule(50_000, 1)
    assert game.closes_at == 1_770_494_400_000
    assert game.accepting_orders
    assert not game.closed
    assert not game.neg_risk

    assert second.tokens == tuple(ROWS[1]["positionIds"])
    assert len(second.condition_id) == 66
    assert (second.protocol, second.category, second.tick) == ("v2", "crypto", 2_500)
    assert second.fee == FeeSchedule()
    assert second.neg_risk
    assert second.closes_at == 1_798_720_200_000

    assert up_down.fee == FeeSchedule(70_000, 1)
    assert (up_down.delay_ms, up_down.closes_at, up_down.category) == (150, None, "")

    assert [error.split(":")[0] for _, error in refused] == ["conditionId", "version"]
    assert '"Broken"' in refused[0][0]
    query = http.calls[0][1]
    assert ("version", "v1") in query
    assert ("version", "v2") in query
    assert ("closed", "false") in query


def test_pages_follow_the_cursor_and_not_their_length() -> None:
    pages = {None: {"markets": [], "next_cursor": "c1"}, "c1": {"markets": ROWS[:1]}}
    http = FakeHttp(lambda path, asked: pages[dict(asked).get("after_cursor")])
    assert len(list(Gamma(http, FakeHttp(clob)).markets())) == 1


def test_a_page_that_fails_or_repeats_is_not_the_end_of_the_list() -> None:
    for answer in ([], {"markets": None}, {"markets": [], "next_cursor": 7}, Retryable("500")):
        with pytest.raises(Retryable):
            list(Gamma(FakeHttp(lambda path, asked, a=answer: a), FakeHttp(clob)).markets())
    circle = FakeHttp(lambda path, asked: {"markets": [], "next_cursor": "c"})
    with pytest.raises(Retryable, match="circle"):
        list(Gamma(circle, FakeHttp(clob)).markets())


def test_a_fee_that_cannot_be_read_skips_that_market_only() -> None:
    refused: list[tuple[str, str]] = []
    down = FakeHttp(lambda path, asked: Retryable("clob: status 500"))
    catalogue = Gamma(gamma(ROWS[2], ROWS[0]), down, refused=lambda *why: refused.append(why))
    assert [market.slug for market in catalogue.markets()] == ["nba-was-bkn"]
    assert refused[0][1] == "clob: status 500"


def test_market_of_a_token_open_or_closed() -> None:
    def closed_only(path: str, asked: object) -> object:
        found = dict(asked)["closed"] == "true"
        return {"markets": [ROWS[0] | {"closed": True}] if found else []}

    http = FakeHttp(closed_only)
    market = Gamma(http, FakeHttp(clob)).market_of_token("5906250122515342024291219")
    assert market is not None
    assert market.closed
    assert market.outcome_of("5906250122515342024291219") == "Nets"
    assert http.calls[0][1][0] == ("clob_token_ids", "5906250122515342024291219")


def test_market_of_a_position_id() -> None:
    http = gamma(ROWS[1])
    market = Gamma(http, FakeHttp(clob)).market_of_token(POSITION)
    assert market is not None
    assert market.protocol == "v2"
    assert http.calls[0][1][0] == ("position_ids", POSITION)


def test_a_position_id_of_a_first_version_market_is_not_its_token() -> None:
    assert Gamma(gamma(ROWS[0]), FakeHttp(clob)).market_of_token("1447") is None


def test_the_clob_knows_markets_gamma_does_not_list() -> None:
    market = Gamma(gamma(), FakeHttp(clob)).market_of_token(UP)
    assert market == market_of_clob(CLOB_MARKET)
    assert market.outcomes == ("Up", "Down")
    assert (market.delay_ms, market.tick, market.fee) == (150, 10_000, FeeSchedule(70_000, 1))


def test_unknown_tokens_and_combos_have_no_market() -> None:
    http = gamma()
    catalogue = Gamma(http, FakeHttp(clob))
    assert catalogue.market_of_token("12345") is None
    asked = len(http.calls)
    assert catalogue.market_of_token(COMBO) is None
    assert len(http.calls) == asked


def test_an_answer_that_cannot_be_understood_is_permanent() -> None:
    with pytest.raises(Permanent, match="outcomes"):
        Gamma(gamma(ROWS[0] | {"outcomes": "nonsense"}), FakeHttp(clob)).market_of_token("1")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"clobTokenIds": '["1"]'}, "clobTokenIds"),
        ({"clobTokenIds": '["1", "1"]'}, "clobTokenIds"),
        ({"clobTokenIds": None}, "clobTokenIds"),
        ({"outcomes": "["}, "outcomes"),
        ({"orderPriceMinTickSize": None}, "orderPriceMinTickSize"),
        ({"orderPriceMinTickSize": Decimal("0.9")}, "orderPriceMinTickSize"),
        ({"orderMinSize": "many"}, "orderMinSize"),
        ({"endDate": "tomorrow"}, "endDate"),
        ({"secondsDelay": 10**6}, "secondsDelay"),
        ({"closed": "no"}, "closed"),
        ({"question": 5}, "question"),
    ],
)
def test_refusals_name_the_field(changes: dict[str, object], field: str) -> None:
    raw = copy.deepcopy(ROWS[0]) | changes
    with pytest.raises(InvalidInput) as refusal:
        market_of_gamma(raw, FeeSchedule())
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"feesEnabled": False, "feeSchedule": {"rate": 1, "exponent": 1}}, FeeSchedule()),
        ({}, FeeSchedule()),
        ({"feesEnabled": True}, None),
        ({"feeSchedule": {"rate": Decimal("0.07"), "exponent": 1}}, FeeSchedule(70_000, 1)),
    ],
)
def test_what_a_market_says_of_its_fee(
    raw: dict[str, object], expected: FeeSchedule | None
) -> None:
    assert gamma_fee(raw) == expected


@pytest.mark.parametrize(
    ("schedule", "field"),
    [
        ({"rate": 2, "exponent": 1}, "feeSchedule.rate"),
        ({"rate": Decimal("0.05"), "exponent": Decimal("1.5")}, "feeSchedule.exponent"),
        ([], "feeSchedule"),
    ],
)
def test_a_fee_schedule_is_never_guessed(schedule: object, field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        gamma_fee({"feesEnabled": True, "feeSchedule": schedule})
    assert refusal.value.field == field


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-02-07T20:00:00Z", 1_770_494_400_000),
        ("2026-02-07 20:00:00+00", 1_770_494_400_000),
        ("2026-02-07", 1_770_422_400_000),
        ("2026-04-01T18:24:05.41Z", 1_775_067_845_410),
        ("", None),
        (None, None),
    ],
)
def test_both_date_syntaxes(text: str | None, expected: int | None) -> None:
    assert time_ms(text, "endDate") == expected


def recorded_gamma_markets() -> list[dict[str, object]]:
    found: list[dict[str, object]] = []
    for path in sorted((SAMPLES / "gamma").glob("*market*.json")):
        raw = load(path)
        found += raw.get("markets", [raw])
    for path in sorted((SAMPLES / "gamma").glob("event*.json")):
        raw = load(path)
        for event in raw.get("events", [raw]):
            found += event["markets"]
    return found


@needs_samples
def test_recorded_gamma_markets() -> None:
    markets = recorded_gamma_markets()
    assert len(markets) > 10
    for raw in markets:
        # One source cut its markets down to a few keys.
        raw.setdefault("outcomes", '["Yes", "No"]')
        fee = gamma_fee(raw)
        assert fee is not None
        market = market_of_gamma(raw, fee)
        assert market.tokens[0] in raw["clobTokenIds"]


@needs_samples
def test_recorded_clob_markets() -> None:
    for raw in load(SAMPLES / "clob" / "clob_markets_fed_2026-05.json"):
        market = market_of_clob(raw)
        assert market.fee == FeeSchedule(50_000, 1)
        assert (market.tick, market.order_shares_min) == (1_000, 5_000_000)
        assert market.neg_risk
