"""The settings page's metadata says what the models do."""

from __future__ import annotations

import json
from dataclasses import fields
from decimal import Decimal
from typing import Any

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.rules import CopyRules, digest_of, rules_text
from chalicelib.domain.safety_caps import HARD_CAPS, caps_of
from chalicelib.settings import CopySettings, SystemSettings, evaluate, evaluate_system
from chalicelib.settings_schema import COPY_GROUPS, copy_schema, shown_values, system_schema

COPY = {row["name"]: row for row in copy_schema()}
SYSTEM = {row["name"]: row for row in system_schema()}
NUMBERS = [row for row in COPY.values() if row["kind"] in ("number", "integer")]
CROSSED = {
    "price_band_min",
    "price_band_max",
    "live_age_ms_max",
    "catch_up_age_ms_max",
    "book_fresh_ms",
    "book_age_ms_max",
    "decision_latency_ms",
}
"""Settings whose bounds another setting narrows."""


def test_every_setting_has_one_heading_and_a_whole_row() -> None:
    listed = [name for names in COPY_GROUPS.values() for name in names]
    assert sorted(listed) == sorted(CopySettings.model_fields)
    assert set(SYSTEM) == set(SystemSettings.model_fields)
    rows = [*copy_schema(), *system_schema()]
    assert json.loads(json.dumps(rows)) == rows
    for row in rows:
        assert len(row["description"]) > 10, row["name"]
        if row["kind"] in ("number", "integer"):
            assert row["unit"], row["name"]
            assert row["minimum"] is not None
            assert row["maximum"] is not None
        assert (row["kind"] == "choice") == bool(row["choices"])


def test_kinds_and_units() -> None:
    assert (COPY["copying"]["kind"], COPY["copying"]["unit"]) == ("switch", None)
    assert COPY["sizing"]["choices"] == ["percent_of_notional", "fixed_notional", "leader_equity"]
    assert (COPY["buy_cash_max"]["unit"], COPY["buy_cash_max"]["default"]) == ("usdc", "250")
    assert COPY["order_ttl_ms"]["unit"] == "milliseconds"
    assert COPY["maker_ratio"]["minimum_excluded"] is True
    assert (SYSTEM["poll_interval_s"]["optional"], SYSTEM["poll_interval_s"]["minimum"]) == (
        True,
        5,
    )
    assert not SYSTEM["strict_both"]["per_leader"]
    assert COPY["daily_loss_max"]["per_leader"]


@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row["name"])
def test_the_bounds_that_are_shown_are_the_bounds_that_hold(row: dict[str, Any]) -> None:
    step = Decimal("0.000001") if row["kind"] == "number" else 1
    kind = Decimal if row["kind"] == "number" else int
    lowest, highest = kind(row["minimum"]), kind(row["maximum"])
    inside = [lowest + step if row["minimum_excluded"] else lowest, highest]
    outside = [lowest if row["minimum_excluded"] else lowest - step, highest + step]
    for value in inside:
        if row["name"] not in CROSSED:
            assert getattr(evaluate({row["name"]: value}), row["name"]) == value
    for value in outside:
        with pytest.raises(InvalidInput, match=row["name"]):
            evaluate({row["name"]: value})


def test_defaults_are_those_of_the_rules() -> None:
    rules = CopySettings().rules()
    defaults = CopyRules()
    for field in fields(CopyRules):
        if field.name != "digest":
            assert getattr(rules, field.name) == getattr(defaults, field.name), field.name
    assert set(shown_values(CopySettings())) == set(CopySettings.model_fields)
    assert shown_values(CopySettings())["sell_spread_max"] == "0.10"


def test_no_setting_lifts_a_hard_cap() -> None:
    highest = {name: COPY[name]["maximum"] for name in COPY_GROUPS["caps"]}
    assert caps_of(evaluate(highest).rules()) == HARD_CAPS


@pytest.mark.parametrize(
    "layer",
    [
        {"price_band_min": "0.6", "price_band_max": "0.5"},
        {"live_age_ms_max": 20_000, "catch_up_age_ms_max": 10_000},
        {"book_fresh_ms": 6_000},
    ],
)
def test_settings_that_contradict_each_other_are_refused(layer: dict[str, object]) -> None:
    with pytest.raises(InvalidInput, match="must not be above"):
        evaluate(layer)


def test_equal_configurations_have_one_digest_and_others_have_others() -> None:
    plain = evaluate({"buy_cash_min": 5}).rules()
    assert evaluate({"buy_cash_min": "5.00"}).rules() == plain == evaluate({}).rules()
    assert plain.digest == digest_of(rules_text(plain))
    changed = {
        evaluate(layer).rules().digest
        for layer in (
            {"buy_cash_min": "5.000001"},
            {"skip_maker": True},
            {"sizing": "leader_equity"},
        )
    }
    assert len(changed | {plain.digest}) == 4
    told = json.loads(rules_text(plain))
    assert CopyRules(digest=plain.digest, **told) == plain


def test_every_copy_setting_can_be_overridden_by_a_leader() -> None:
    for name, row in COPY.items():
        if row["kind"] == "switch":
            value: object = not row["default"]
        elif row["kind"] == "choice":
            value = row["choices"][-1]
        elif name in CROSSED:
            continue
        else:
            value = row["maximum"]
        assert getattr(evaluate({name: row["default"]}, {name: value}), name) != row["default"]


def test_system_settings_are_evaluated_apart() -> None:
    with pytest.raises(InvalidInput, match="copy_fraction"):
        evaluate_system({"copy_fraction": "0.5"})
