"""Who users are, in the venue's own shapes; what does not parse is left out, never guessed."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from chalicelib.adapters.polymarket.http import NotFound
from chalicelib.adapters.polymarket.profiles import VenueProfiles
from chalicelib.domain.errors import Retryable
from chalicelib.ports import Holding, Profile

WALLET = "0x" + "7" * 40
OTHER = "0x" + "8" * 40


class Host:
    """Answers by path; an exception is raised."""

    def __init__(self, **answers: object) -> None:
        self.answers = {f"/{name.replace('_', '/')}": answer for name, answer in answers.items()}
        self.asked: list[tuple[str, dict[str, str]]] = []

    def get(self, path: str, params: Any = ()) -> object:
        self.asked.append((path, dict(params)))
        answer = self.answers[path.replace("-", "/")]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def post(self, path: str, body: object) -> object:
        raise AssertionError(path)


def profile_row(wallet: str = WALLET, **changes: object) -> dict[str, object]:
    row = {"name": "gus", "pseudonym": "Mealy-Oar", "proxyWallet": wallet, "bio": ""}
    return {**row, **changes}


def page(rows: list[object], more: bool = False) -> dict[str, object]:
    return {"data": rows, "pagination": {"limit": 500, "has_more": more, "next_cursor": None}}


def activity(**changes: object) -> dict[str, object]:
    row = {
        "proxy_wallet": WALLET,
        "timestamp": 1_790_000_000,
        "condition_id": "0x" + "c" * 64,
        "type": "TRADE",
        "size": 10,
        "usdc_size": 5,
        "transaction_hash": "0x" + "a" * 64,
        "price": Decimal("0.5"),
        "token_id": "1234567890",
        "side": "BUY",
        "outcome_index": 0,
    }
    return {**row, **changes}


def test_the_user_of_a_wallet() -> None:
    gamma = Host(public_profile=profile_row(WALLET.replace("7", "7").upper().replace("0X", "0x")))
    found = VenueProfiles(gamma, Host()).profile(WALLET)
    assert found == Profile(WALLET, "gus", "Mealy-Oar")
    assert gamma.asked == [("/public-profile", {"address": WALLET})]


@pytest.mark.parametrize("answer", [NotFound("no"), {}, [], {"proxyWallet": "0x1"}, None])
def test_an_unknown_or_broken_user_is_none(answer: object) -> None:
    assert VenueProfiles(Host(public_profile=answer), Host()).profile(WALLET) is None


def test_a_search_leaves_out_the_venues_nulls_and_bounds_what_it_returns() -> None:
    rows = [None, profile_row(), {"name": "x"}, profile_row(OTHER, name=None), profile_row(OTHER)]
    gamma = Host(public_search={"events": None, "profiles": rows})
    found = VenueProfiles(gamma, Host()).search("gus", 2)
    assert found == [Profile(WALLET, "gus", "Mealy-Oar"), Profile(OTHER, "", "Mealy-Oar")]
    assert gamma.asked[0][1] == {"q": "gus", "search_profiles": "true", "limit_per_type": "2"}


@pytest.mark.parametrize("answer", [{"profiles": None}, {}, [], "x"])
def test_a_search_that_finds_nothing(answer: object) -> None:
    assert VenueProfiles(Host(public_search=answer), Host()).search("gus", 5) == []


@pytest.mark.parametrize("name", ["a\x00b", "a\u202eb", "n" * 500])
def test_names_are_printable_and_short(name: str) -> None:
    gamma = Host(public_search={"profiles": [profile_row(name=name)]})
    (found,) = VenueProfiles(gamma, Host()).search("gus", 5)
    assert found.name.isprintable() and len(found.name) <= 80


def test_activity_is_one_page_newest_first_without_what_does_not_parse() -> None:
    rows: list[object] = [
        activity(timestamp=1_790_000_001),
        activity(timestamp=1_790_000_005),
        activity(price="x"),
        activity(proxy_wallet=OTHER),
        7,
    ]
    data = Host(v2_activity=page(rows, more=True))
    found = VenueProfiles(Host(), data).recent(WALLET)
    assert [event.timestamp for event in found] == [1_790_000_005, 1_790_000_001]
    assert len(data.asked) == 1
    assert data.asked[0][1]["sort_direction"] == "DESC" and data.asked[0][1]["_"]


def test_taker_trades_are_counted_from_a_second_on() -> None:
    data = Host(v2_trades=page([1, 2, 3]))
    assert VenueProfiles(Host(), data).taker_trades(WALLET, 1_790_000_000) == 3
    query = data.asked[0][1]
    assert (query["taker_only"], query["start"], query["user"]) == ("true", "1790000000", WALLET)


def test_holdings_are_sorted_by_what_they_are_worth() -> None:
    def row(token: str, size: int, price: str) -> dict[str, object]:
        return {
            "proxy_wallet": WALLET,
            "token_id": token,
            "current_size": size,
            "current_price": Decimal(price),
        }

    rows: list[object] = [row("1", 1, "0.5"), row("2", 10, "0.9"), row("3", 0, "0.9"), {}]
    found = VenueProfiles(Host(), Host(v2_positions=page(rows, more=True))).holdings(WALLET)
    assert (found.count, found.more, found.value) == (2, True, 9_500_000)
    assert found.largest[0] == Holding("2", 10_000_000, 900_000)


@pytest.mark.parametrize("answer", [None, [], {"data": None}, {"error": "x"}])
def test_a_page_of_another_shape_is_no_answer(answer: object) -> None:
    data = Host(v2_activity=answer, v2_positions=answer, v2_trades=answer)
    profiles = VenueProfiles(Host(), data)
    for ask in (profiles.recent, profiles.holdings):
        with pytest.raises(Retryable):
            ask(WALLET)
    with pytest.raises(Retryable):
        profiles.taker_trades(WALLET, 1)
