"""Resolutions: the Data API's two shapes, and the CLOB's winners behind them."""

from __future__ import annotations

import pytest
from venue_fakes import SAMPLES, FakeHttp, load, needs_samples

from chalicelib.adapters.polymarket.http import NotFound
from chalicelib.adapters.polymarket.market_shape import gamma_resolution
from chalicelib.adapters.polymarket.resolutions import (
    CONDITIONS_MAX,
    Resolutions,
    resolution_of_clob,
    resolution_of_row,
)
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.market import Market, Resolution

ONE, HALF = "1" + "0" * 18, "5" + "0" * 17
FIRST, SECOND, VOID = (1_000_000, 0), (0, 1_000_000), (500_000, 500_000)
UMA = {"question_id": "0x1", "proposed_price": ONE, "reproposed_price": "69", "price": "69"}


def condition(number: int) -> str:
    return f"0x{number:064x}"


def market(number: int) -> Market:
    return Market(
        condition_id=condition(number),
        question="q",
        slug="s",
        event_id="",
        category="",
        protocol="v1",
        tokens=(f"{number}1", f"{number}2"),
        outcomes=("Yes", "No"),
        tick=10_000,
        order_shares_min=0,
        fee=FeeSchedule(),
        neg_risk=False,
        delay_ms=0,
        closes_at=None,
        closed=True,
        accepting_orders=False,
    )


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ({"status": "resolved", "payouts": [0, 1_000_000]}, Resolution("resolved", SECOND, True)),
        ({"status": "resolved", "payouts": list(VOID)}, Resolution("resolved", VOID, True)),
        ({"status": "proposed", "payouts": list(FIRST)}, Resolution("proposed", FIRST)),
        ({"status": "active"}, Resolution()),
        ({"status": "a new word"}, Resolution()),
        (UMA | {"status": "resolved", "price": ONE}, Resolution("resolved", FIRST, True)),
        (UMA | {"status": "resolved", "price": "0"}, Resolution("resolved", SECOND, True)),
        (UMA | {"status": "resolved", "price": HALF}, Resolution("resolved", VOID, True)),
        # Resolved without saying how: nothing is final yet.
        (UMA | {"status": "resolved"}, Resolution("resolved")),
        (UMA | {"status": "resolved", "price": str(-(2**255))}, Resolution("resolved")),
        (UMA | {"status": "proposed"}, Resolution("proposed", FIRST)),
        (UMA | {"status": "disputed", "reproposed_price": HALF}, Resolution("disputed", VOID)),
        (UMA | {"status": "posed", "proposed_price": "69"}, Resolution()),
        ({"status": "arbitration", "price": None}, Resolution("disputed")),
    ],
)
def test_rows_of_both_shapes(row: dict[str, object], expected: Resolution) -> None:
    assert resolution_of_row(row) == expected


@pytest.mark.parametrize(
    ("row", "field"),
    [
        ({"payouts": [1, 2]}, "payouts"),
        ({"payouts": [1_000_000]}, "payouts"),
        ({"payouts": [True, 999_999]}, "payouts"),
        ({"payouts": [-1, 1_000_001]}, "payouts"),
        ({"payouts": "no"}, "payouts"),
        ({"price": "7"}, "price"),
        ({"price": "x"}, "price"),
        ({"price": 0}, "price"),
    ],
)
def test_rows_that_say_nonsense_are_refused(row: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        resolution_of_row({"status": "resolved"} | row)
    assert refused.value.field == field


def test_winners_of_the_clob_in_the_markets_order() -> None:
    tokens = [{"token_id": "12", "winner": True}, {"token_id": "11", "winner": False}]
    raw: dict[str, object] = {"closed": True, "tokens": tokens}
    assert resolution_of_clob(raw, ("11", "12")) == Resolution("resolved", SECOND, True)
    assert resolution_of_clob(raw | {"closed": False}, ("11", "12")) == Resolution()
    void = resolution_of_clob(raw | {"is_50_50_outcome": True}, ("11", "12"))
    assert void == Resolution("resolved", VOID, True)
    both = [token | {"winner": True} for token in tokens]
    assert resolution_of_clob(raw | {"tokens": both}, ("11", "12")) == Resolution()
    with pytest.raises(InvalidInput):
        resolution_of_clob(raw, ("11", "13"))


def test_the_data_api_is_asked_in_chunks_and_the_clob_for_the_rest() -> None:
    refused: list[str] = []
    rows = [
        {"condition_id": condition(1), "status": "resolved", "payouts": [1_000_000, 0]},
        UMA | {"condition_id": condition(1), "status": "proposed", "proposed_price": "0"},
        {"condition_id": condition(2), "status": "disputed"},
        {"condition_id": condition(3), "status": "resolved"},
        {"condition_id": condition(4), "status": "resolved", "payouts": [7]},
        {"condition_id": condition(99), "status": "resolved", "payouts": [0, 1_000_000]},
        "no row",
    ]

    def clob(path: str, asked: object) -> object:
        if path == f"/markets/{condition(3)}":
            tokens = [{"token_id": "31", "winner": False}, {"token_id": "32", "winner": True}]
            return {"closed": True, "tokens": tokens}
        return NotFound("clob: status 404")

    http, clob_http = FakeHttp(lambda path, asked: {"data": rows}), FakeHttp(clob)
    feed = Resolutions(http, clob_http, refused=lambda _, why: refused.append(why))
    found = feed.resolutions([market(number) for number in range(1, CONDITIONS_MAX + 2)])
    assert found == {
        condition(1): Resolution("resolved", FIRST, True),
        condition(2): Resolution("disputed"),
        condition(3): Resolution("resolved", SECOND, True),
    }
    assert [dict(asked)["condition"].count(",") + 1 for _, asked in http.calls] == [20, 1]
    assert len({dict(asked)["_"] for _, asked in http.calls}) == 2, "cached answers repeat"
    # What is disputed is not asked of the CLOB.
    assert f"/markets/{condition(2)}" not in {path for path, _ in clob_http.calls}
    assert len(clob_http.calls) <= 20
    assert [why.split(":")[0] for why in refused[:2]] == ["payouts", "row"]


@pytest.mark.parametrize("answer", [[], {"data": 7}, Retryable("data: status 503")])
def test_an_answer_that_is_no_list_is_retried(answer: object) -> None:
    with pytest.raises(Retryable):
        Resolutions(FakeHttp(lambda *_: answer), FakeHttp(lambda *_: {})).resolutions([market(1)])


def test_a_miss_is_no_resolution() -> None:
    nowhere = FakeHttp(lambda *_: NotFound("clob: status 404"))
    assert Resolutions(FakeHttp(lambda *_: {"data": None}), nowhere).resolutions([market(1)]) == {}
    assert Resolutions(nowhere, nowhere).resolutions([]) == {}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ({"closed": False, "outcomePrices": '["0", "1"]'}, Resolution()),
        ({"closed": True, "outcomePrices": '["0", "1"]'}, Resolution("open", SECOND)),
        (
            {"closed": True, "outcomePrices": '["0.5", "0.5"]', "umaResolutionStatus": "resolved"},
            Resolution("resolved", VOID),
        ),
        ({"closed": True, "outcomePrices": '["0", "0"]'}, Resolution()),
        ({"closed": True, "outcomePrices": '["0.58", "0.42"]'}, Resolution()),
        ({"closed": True, "outcomePrices": "nonsense"}, Resolution()),
        ({"umaResolutionStatus": "disputed"}, Resolution("disputed")),
        ({"resolutionStatus": "proposed"}, Resolution("proposed")),
    ],
)
def test_what_gamma_says_is_never_final(raw: dict[str, object], expected: Resolution) -> None:
    assert gamma_resolution(raw) == expected


@needs_samples
def test_recorded_resolutions() -> None:
    def rows(name: str) -> list[dict[str, object]]:
        return load(SAMPLES / "data-v2" / name)["data"]  # type: ignore[index,no-any-return]

    [with_payouts] = rows("resolutions_with_payouts.json")
    told = resolution_of_row(with_payouts)
    assert told == Resolution("resolved", SECOND, True, 1_790_455_206_000), "resolved_at"
    [oracle] = rows("resolutions_uma_no_payouts.json")
    updated = 1_770_511_027_000
    assert resolution_of_row(oracle) == Resolution("resolved", SECOND, True, updated)
    disputed, proposed = map(resolution_of_row, rows("resolutions_pending.json"))
    assert disputed == Resolution("disputed", VOID)
    assert proposed == Resolution("proposed", FIRST)


@needs_samples
def test_a_recorded_market_of_the_clob() -> None:
    raw = load(SAMPLES / "clob" / "market_closed_but_accepting_2026-05.json")
    tokens = [token["token_id"] for token in raw["tokens"]]  # type: ignore[index,call-overload]
    assert resolution_of_clob(raw, tokens) == Resolution("resolved", FIRST, True)  # type: ignore[arg-type]
