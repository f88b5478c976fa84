"""Markets by condition: what activity without a token names."""

from __future__ import annotations

import pytest
from venue_fakes import EVENTS, FakeHttp, load

from chalicelib.adapters.polymarket.gamma import Gamma
from chalicelib.adapters.polymarket.http import NotFound
from chalicelib.domain.errors import InvalidInput, Permanent

PAGE = load(EVENTS / "gamma_markets_page.json")
CLOB_MARKET = load(EVENTS / "clob_market.json")
ROW = PAGE["markets"][0]  # type: ignore[index]
NOBODY = FakeHttp(lambda path, asked: NotFound("status 404"))
EMPTY = FakeHttp(lambda path, asked: {"markets": []})


def test_a_closed_market_is_found_by_its_condition() -> None:
    def answer(path: str, asked: object) -> object:
        query = dict(asked)  # type: ignore[call-overload]
        assert query["condition_ids"] == ROW["conditionId"].lower()
        return {"markets": [ROW] if query["closed"] == "true" else []}

    market = Gamma(FakeHttp(answer), NOBODY).market_of_condition(
        ROW["conditionId"].upper().replace("0X", "0x")
    )
    assert market is not None
    assert market.condition_id == ROW["conditionId"].lower()


def test_the_clob_is_asked_when_gamma_knows_nothing() -> None:
    condition = CLOB_MARKET["c"]  # type: ignore[index]
    clob = FakeHttp(lambda path, asked: CLOB_MARKET)
    market = Gamma(EMPTY, clob).market_of_condition(condition)
    assert market is not None
    assert market.condition_id == condition
    assert [path for path, _ in clob.calls] == [f"/clob-markets/{condition}"]


def test_nobody_knows_it() -> None:
    assert Gamma(EMPTY, NOBODY).market_of_condition("0x" + "a" * 64) is None


def test_another_market_than_the_one_asked_for_is_none() -> None:
    other = FakeHttp(lambda path, asked: {"markets": [ROW]})
    assert Gamma(other, NOBODY).market_of_condition("0x" + "a" * 64) is None


def test_what_cannot_be_understood_is_permanent() -> None:
    broken = FakeHttp(lambda path, asked: {"markets": [ROW | {"outcomes": 5}]})
    with pytest.raises(Permanent):
        Gamma(broken, NOBODY).market_of_condition(ROW["conditionId"])
    with pytest.raises(InvalidInput):
        Gamma(EMPTY, NOBODY).market_of_condition("0x12")
