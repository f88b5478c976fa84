"""Blacklist and whitelist: what they forbid, and what may be put on them."""

from __future__ import annotations

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.market_lists import (
    ENTRIES_MAX,
    MarketLists,
    list_entry,
    listed,
    with_entry,
    without_entry,
)
from chalicelib.domain.reasons import Reason
from tests.workflow.harness import CONDITION, T0, market

OTHER = "0x" + "d" * 64


def lists(*entries: tuple[str, str, str]) -> MarketLists:
    made = MarketLists("main")
    for listing, kind, value in entries:
        made = with_entry(made, list_entry(listing, kind, value, by="me", ts=T0))
    return made


@pytest.mark.parametrize(
    ("entries", "reason"),
    [
        ([], None),
        ([("blacklist", "market", CONDITION)], Reason.MARKET_BLACKLISTED),
        ([("blacklist", "market", OTHER)], None),
        ([("blacklist", "category", "weather")], Reason.MARKET_BLACKLISTED),
        ([("blacklist", "category", "rain")], Reason.MARKET_BLACKLISTED),
        ([("blacklist", "category", "sports")], None),
        ([("whitelist", "market", CONDITION)], None),
        ([("whitelist", "category", "sports"), ("whitelist", "category", "rain")], None),
        ([("whitelist", "market", OTHER)], Reason.NOT_WHITELISTED),
        ([("whitelist", "category", "sports")], Reason.NOT_WHITELISTED),
        (
            [("whitelist", "market", CONDITION), ("blacklist", "category", "weather")],
            Reason.MARKET_BLACKLISTED,
        ),
    ],
)
def test_listed(entries: list[tuple[str, str, str]], reason: Reason | None) -> None:
    assert listed(market(tags=("weather", "rain")), lists(*entries)) == reason


def test_entries_are_brought_into_the_markets_form() -> None:
    entry = list_entry("blacklist", "market", "0x" + "C" * 64, by="me", ts=T0, note="odd rules")
    assert (entry.value, entry.by, entry.ts, entry.note) == (CONDITION, "me", T0, "odd rules")
    short = list_entry("blacklist", "market", "0x01" + "a" * 60, by="me", ts=T0)
    assert short.value == "0x01" + "a" * 60 + "00"
    assert list_entry("whitelist", "category", " Sports ", by="me", ts=T0).value == "sports"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"listing": "greylist"}, "listing"),
        ({"kind": "event"}, "kind"),
        ({"value": "0x12"}, "value"),
        ({"kind": "category", "value": "<script>"}, "value"),
        ({"kind": "category", "value": None}, "value"),
        ({"by": ""}, "by"),
        ({"by": "x" * 101}, "by"),
        ({"note": "x" * 201}, "note"),
    ],
)
def test_a_bad_entry_is_refused(change: dict[str, object], field: str) -> None:
    given: dict[str, object] = {
        "listing": "blacklist",
        "kind": "market",
        "value": CONDITION,
        "by": "me",
        "ts": T0,
    }
    given |= change
    with pytest.raises(InvalidInput) as refused:
        list_entry(**given)  # type: ignore[arg-type]
    assert refused.value.field == field


def test_adding_twice_keeps_who_was_first_and_removing_is_exact() -> None:
    one = lists(("blacklist", "market", CONDITION))
    again = list_entry("blacklist", "market", CONDITION, by="somebody else", ts=T0 + 1)
    assert with_entry(one, again) == one
    white = list_entry("whitelist", "market", CONDITION, by="me", ts=T0)
    assert without_entry(one, white) == one
    assert without_entry(one, again) == MarketLists("main")


def test_the_lists_are_bounded() -> None:
    full = lists(*(("blacklist", "market", f"0x{n:064x}") for n in range(ENTRIES_MAX)))
    with pytest.raises(InvalidInput, match="at most"):
        with_entry(full, list_entry("blacklist", "market", CONDITION, by="me", ts=T0))
