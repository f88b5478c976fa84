"""Readings of holdings: all sizes, all pages, exact amounts, and how new they are."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import pytest
from venue_fakes import SAMPLES, FakeHttp, load, needs_samples

from chalicelib.adapters.clock import ManualClock
from chalicelib.adapters.polymarket.data_api import FeedStatus
from chalicelib.adapters.polymarket.positions import Positions
from chalicelib.domain.errors import Retryable
from chalicelib.ports import Holding

WALLET = "0x" + "1" * 40
NOW_S = 1_795_000_000
COMBO = "1478180995445884194963783500106018329313736528433258596285541062936163778560"


def row(token: int, size: str = "10", last: int = NOW_S - 5_000, **changes: object) -> object:
    return {
        "proxy_wallet": WALLET,
        "token_id": str(token),
        "current_size": Decimal(size),
        "current_price": Decimal("0.1535"),
        "status": "OPEN",
        "last_event_at": last,
    } | changes


def page(*rows: object, cursor: str | None = None) -> object:
    more = cursor is not None
    return {"data": list(rows), "pagination": {"has_more": more, "next_cursor": cursor}}


def feed(
    answer: Callable[[dict[str, str]], object], lag: int = 4, age: int = 24
) -> tuple[Positions, FakeHttp, list[tuple[str, str]]]:
    refused: list[tuple[str, str]] = []
    http = FakeHttp(lambda path, asked: answer(dict(asked)))  # type: ignore[call-overload]
    positions = Positions(
        http,
        lambda: FeedStatus(lag, age),
        ManualClock(NOW_S * 1000 + 789),
        refused=lambda *why: refused.append(why),
    )
    return positions, http, refused


def open_only(*rows: object) -> Callable[[dict[str, str]], object]:
    return lambda asked: page(*rows) if asked["status"] == "OPEN" else page()


def test_every_page_is_asked_with_the_same_filters_and_a_fresh_address() -> None:
    def answer(asked: dict[str, str]) -> object:
        if asked["status"] != "OPEN":
            return page()
        return page(row(2)) if "cursor" in asked else page(row(1), cursor="c1")

    positions, http, _ = feed(answer)
    assert [h.token_id for h in positions.holdings(WALLET.upper().replace("0X", "0x")).held] == [
        "1",
        "2",
    ]
    first, second, lost, closed = (dict(asked) for _, asked in http.calls)  # type: ignore[call-overload]
    assert first.pop("_") != second.pop("_")
    assert second.pop("cursor") == "c1"
    assert first == second
    assert first["user"] == closed["user"] == WALLET
    assert 0 < Decimal(first["filter_amount"]) < Decimal("0.0001")
    assert first["include_archived"] == "true"
    assert lost["status"] == "REDEEMABLE_LOST"


def test_amounts_are_exact_and_dust_is_held_too() -> None:
    positions, _, _ = feed(open_only(row(1, "81027.2657"), row(2, "0.0001"), row(3, "0")))
    assert positions.holdings(WALLET).held == (
        Holding("1", 81_027_265_700, 153_500),
        Holding("2", 100, 153_500),
    )


def test_a_reading_is_as_old_as_the_feed_says() -> None:
    positions, _, _ = feed(open_only(row(1)))
    read = positions.holdings(WALLET)
    assert read.as_of == (NOW_S - 28) * 1000
    assert read.ts_newest == (NOW_S - 5_000) * 1000


def test_a_reading_that_shows_a_later_event_contains_everything_up_to_it() -> None:
    positions, _, _ = feed(open_only(row(1, last=NOW_S - 9)))
    assert positions.holdings(WALLET).as_of == (NOW_S - 9) * 1000


def test_what_was_sold_out_a_moment_ago_says_how_new_the_reading_is() -> None:
    def answer(asked: dict[str, str]) -> object:
        if asked["status"] != "CLOSED":
            return page()
        assert asked["start"] == str(NOW_S - 28)
        return page(row(1, "0", NOW_S - 7, status="CLOSED"))

    positions, _, _ = feed(answer)
    read = positions.holdings(WALLET)
    assert (read.held, read.as_of) == ((), (NOW_S - 7) * 1000)


def test_a_reading_is_never_from_the_future() -> None:
    positions, _, _ = feed(open_only(row(1, last=NOW_S + 500)), lag=0, age=0)
    assert positions.holdings(WALLET).as_of == NOW_S * 1000


def test_bad_rows_are_refused_and_their_neighbours_stay() -> None:
    bad = [
        "text",
        row(1, proxy_wallet="0x" + "2" * 40),
        row(2, token_id="0x12"),
        row(3, "-1"),
        row(4, current_price=Decimal("1.2")),
        row(5, current_size=Decimal("1E+999999")),
    ]
    positions, _, refused = feed(open_only(*bad, row(6)))
    read = positions.holdings(WALLET)
    assert [h.token_id for h in read.held] == ["6"]
    assert read.refused == len(bad)
    assert [error.split(":")[0] for _, error in refused][:5] == [
        "row",
        "proxy_wallet",
        "token_id",
        "current_size",
        "current_price",
    ]


def test_losing_shares_are_held_until_they_are_redeemed() -> None:
    def answer(asked: dict[str, str]) -> object:
        return page(row(8, "3")) if asked["status"] == "REDEEMABLE_LOST" else page()

    positions, _, _ = feed(answer)
    assert [h.token_id for h in positions.holdings(WALLET).held] == ["8"]


def test_combos_take_no_part() -> None:
    positions, _, refused = feed(open_only(row(int(COMBO)), row(7)))
    assert [h.token_id for h in positions.holdings(WALLET).held] == ["7"]
    assert refused == []


def test_a_position_that_moves_during_the_walk_counts_as_it_is_now() -> None:
    def answer(asked: dict[str, str]) -> object:
        if asked["status"] != "OPEN":
            return page()
        if "cursor" in asked:
            return page(row(1, "4", NOW_S - 3), row(2, "0", NOW_S - 2))
        return page(row(1, "9"), row(2, "5"), cursor="c1")

    positions, _, _ = feed(answer)
    assert positions.holdings(WALLET).held == (Holding("1", 4_000_000, 153_500),)


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"data": []},
        {"data": {}, "pagination": {"has_more": False}},
        {"data": [], "pagination": {"has_more": "no"}},
        {"data": [], "pagination": {"has_more": True, "next_cursor": ""}},
        page(row(1), cursor="again"),
        Retryable("down"),
    ],
)
def test_a_part_of_a_reading_is_no_reading(answer: object) -> None:
    positions, http, _ = feed(lambda asked: answer)
    with pytest.raises(Retryable):
        positions.holdings(WALLET)
    assert len(http.calls) <= 3


def test_without_a_stated_age_there_is_no_reading() -> None:
    def down() -> FeedStatus:
        raise Retryable("no status")

    http = FakeHttp(lambda path, asked: page())
    with pytest.raises(Retryable):
        Positions(http, down, ManualClock(NOW_S * 1000)).holdings(WALLET)


@needs_samples
@pytest.mark.parametrize(
    ("name", "held"),
    [("positions_open", 2), ("positions_redeemable", 2), ("positions_closed", 0)],
)
def test_recorded_pages_are_understood(name: str, held: int) -> None:
    sample = load(SAMPLES / "data-v2" / f"{name}.json")
    assert isinstance(sample, dict)
    wallet = sample["data"][0]["proxy_wallet"]
    last = {"data": sample["data"], "pagination": {"has_more": False}}
    positions, _, refused = feed(lambda asked: last if asked["status"] == "OPEN" else page())
    read = positions.holdings(wallet)
    assert (len(read.held), refused) == (held, [])
    for holding, source in zip(read.held, sample["data"], strict=False):
        assert Decimal(holding.shares) == source["current_size"] * 1_000_000
