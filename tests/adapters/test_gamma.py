"""The market catalogue: Gamma's keyset pages with the CLOB behind them."""

import copy
from decimal import Decimal

import pytest
from venue_fakes import EVENTS, SAMPLES, FakeHttp, load, needs_samples

from chalicelib.adapters.polymarket.gamma import FEE_LOOKUPS_MAX, Gamma
from chalicelib.adapters.polymarket.http import NotFound
from chalicelib.adapters.polymarket.market_shape import (
    gamma_digest,
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


def nothing_known(number: int, digest: bytes) -> bool:
    return False


def test_a_page_names_all_it_lists_and_reads_only_what_changed() -> None:
    refused: list[str] = []
    http = FakeHttp(lambda path, asked: PAGE | {"next_cursor": "c1"})
    catalogue = Gamma(http, FakeHttp(clob), refused=lambda _, why: refused.append(why))
    page = catalogue.market_page("c0", nothing_known)
    # 4 has no order book, 5 and 6 cannot be read.
    assert page.seen == (1, 2, 3, 5, 6)
    assert page.after == "c1"
    assert dict(http.calls[0][1])["after_cursor"] == "c0"
    markets = {listed.number: listed.market for listed in page.changed}
    assert [number for number, market in markets.items() if market is None] == [5, 6]
    assert [error.split(":")[0] for error in refused] == ["conditionId", "version"]

    digests = {listed.number: listed.digest for listed in page.changed}
    again = catalogue.market_page("", lambda number, digest: digests.get(number) == digest)
    assert again.changed == ()
    assert again.seen == page.seen
    assert len(refused) == 2, "what was refused is not reported with every walk"


@pytest.mark.parametrize(
    ("changes", "is_news"),
    [
        ({"outcomePrices": '["0.1", "0.9"]', "volumeNum": 7, "bestBid": 1}, False),
        ({"orderPriceMinTickSize": Decimal("0.01")}, True),
        ({"acceptingOrders": False}, True),
        ({"umaResolutionStatus": "proposed"}, True),
        ({"gameStartTime": "2026-02-07 20:00:00+00"}, True),
        ({"tags": [{"slug": "sports", "updatedAt": "now"}, {"slug": "nba"}]}, False),
        ({"tags": [{"slug": "politics"}]}, True),
        ({"feeSchedule": {"rate": Decimal("0.03"), "exponent": 1}}, True),
    ],
)
def test_the_digest_is_of_what_is_stored(changes: dict[str, object], is_news: bool) -> None:
    assert (gamma_digest(ROWS[0] | changes) != gamma_digest(ROWS[0])) is is_news
    stored = market_of_gamma(ROWS[0], FeeSchedule(50_000, 1))
    fee = gamma_fee(ROWS[0] | changes)
    assert fee is not None
    assert (market_of_gamma(ROWS[0] | changes, fee) != stored) is is_news


def test_a_fee_that_could_not_be_asked_for_is_asked_for_again() -> None:
    down = FakeHttp(lambda path, asked: Retryable("clob: status 500"))
    page = Gamma(gamma(ROWS[2], ROWS[0]), down).market_page("", nothing_known)
    assert page.seen == (3, 1)
    assert [listed.number for listed in page.changed] == [1]


def test_the_fees_asked_for_a_page_are_bounded() -> None:
    asked: list[str] = []

    def answer(path: str, _: object) -> object:
        asked.append(path)
        return CLOB_MARKET

    rows = [ROWS[2] | {"id": str(number)} for number in range(100, 200)]
    page = Gamma(gamma(*rows), FakeHttp(answer)).market_page("", nothing_known)
    assert len(asked) == len(page.changed) == FEE_LOOKUPS_MAX
    assert len(page.seen) == 100


def test_markets_by_number_closed_ones_first() -> None:
    def listing(path: str, asked: object) -> object:
        query = dict(asked)  # type: ignore[call-overload]
        numbers = {value for name, value in asked if name == "id"}  # type: ignore[attr-defined]
        rows = [ROWS[0] | {"closed": True}] if query["closed"] == "true" else [ROWS[1]]
        return {"markets": [row for row in rows if row["id"] in numbers]}

    http = FakeHttp(listing)
    found = Gamma(http, FakeHttp(clob)).markets_numbered([1, 2, 7])
    assert {number: market.closed for number, market in found.items()} == {1: True, 2: False}
    assert [name for name, _ in http.calls[1][1]].count("id") == 2
    with pytest.raises(ValueError, match="at most"):
        Gamma(http, FakeHttp(clob)).markets_numbered(list(range(101)))


def test_a_closed_market_without_any_fee_pays_none() -> None:
    http = gamma(ROWS[2] | {"closed": True})
    nowhere = FakeHttp(lambda path, asked: NotFound("clob: status 404"))
    assert Gamma(http, nowhere).markets_numbered([3])[3].fee == FeeSchedule()


def test_the_data_api_knows_the_condition_of_tokens_nobody_else_lists() -> None:
    token = "7761625012251534202429121"

    def by_condition(path: str, asked: object) -> object:
        named = dict(asked).get("condition_ids")  # type: ignore[call-overload]
        return {"markets": [ROWS[0]] if named else []}

    def data(path: str, asked: object) -> object:
        assert path == "/v2/tokens"
        row = {"token_id": token, "condition_id": ROWS[0]["conditionId"], "module": "v1_ctf"}
        return {"data": [row]}

    nowhere = FakeHttp(lambda path, asked: NotFound("status 404"))
    market = Gamma(FakeHttp(by_condition), nowhere, FakeHttp(data)).market_of_token(token)
    assert market is not None
    assert market.slug == "nba-was-bkn"
    # It is not documented, so that it may be gone.
    assert Gamma(gamma(), nowhere, nowhere).market_of_token(token) is None
    empty = FakeHttp(lambda path, asked: {"data": []})
    assert Gamma(gamma(), nowhere, empty).market_of_token(token) is None


def test_tags_and_game_start_are_kept() -> None:
    tags = [{"slug": "nba"}, {"slug": "sports"}, {"slug": "NBA"}, {"slug": 7}]
    row = ROWS[0] | {"tags": tags, "gameStartTime": "2026-02-07 20:00:00+00"}
    market = market_of_gamma(row, FeeSchedule())
    assert (market.category, market.tags) == ("sports", ("sports", "nba"))
    assert market.game_starts_at == market.closes_at == 1_770_494_400_000


def test_the_venue_sorts_by_liquidity_itself() -> None:
    http = gamma(ROWS[0], {"enableOrderBook": False}, {"conditionId": "x"}, ROWS[1])
    found = Gamma(http, gamma(), gamma()).most_liquid(2)
    assert found == [market_of_gamma(row, FeeSchedule()).tokens for row in ROWS[:2]]
    assert Gamma(http, gamma(), gamma()).most_liquid(1) == found[:1]
    asked = dict(http.calls[0][1])  # type: ignore[call-overload]
    assert (asked["order"], asked["ascending"]) == ("liquidityNum", "false")
    assert len(http.calls) == 2


def test_the_most_liquid_go_over_as_many_pages_as_they_need() -> None:
    pages = {"": ([ROWS[0]] * 100, "b"), "b": ([ROWS[1]] * 100, "c"), "c": ([ROWS[1]], None)}

    def page(path: str, asked: object) -> object:
        rows, cursor = pages[dict(asked).get("after_cursor", "")]  # type: ignore[call-overload]
        return {"markets": rows, "next_cursor": cursor}

    http = FakeHttp(page)
    assert len(Gamma(http, gamma(), gamma()).most_liquid(150)) == 150
    assert len(http.calls) == 2
    assert len(Gamma(FakeHttp(page), gamma(), gamma()).most_liquid(500)) == 201


def test_a_game_that_is_over_says_so_and_is_read_again_for_it() -> None:
    event = ROWS[0]["events"][0] | {"ended": False, "live": True}  # type: ignore[index]
    on = ROWS[0] | {"events": [event]}
    over = ROWS[0] | {"events": [event | {"ended": True, "live": False}]}
    assert not market_of_gamma(on, FeeSchedule()).game_ended
    assert market_of_gamma(over, FeeSchedule()).game_ended
    assert gamma_digest(on) != gamma_digest(over)
