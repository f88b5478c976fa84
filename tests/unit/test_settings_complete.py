"""A setting that exists is described, bounded, shown, and decides something."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from pydantic import BaseModel

from chalicelib.settings import CopySettings, SystemSettings
from chalicelib.settings_schema import copy_schema, system_schema

ROOT = Path(__file__).parents[2]
CHALICELIB = ROOT / "chalicelib"
SHOWING = ("settings.py", "settings_schema.py", "api/", "services/read_models/")
"""Who reads a setting only to validate or show it gives it no effect."""
HOLDERS = re.compile(r"\b(rules|copied|system\(\)|system|now|rules_for\(.*\))$")
"""Expressions that hold evaluated settings where they are used."""

Row = dict[str, object]


def schema() -> list[Row]:
    return [*copy_schema(), *system_schema()]


def fields() -> list[tuple[type[BaseModel], str]]:
    return [(model, n) for model in (CopySettings, SystemSettings) for n in model.model_fields]


@cache
def attributes_read() -> frozenset[str]:
    """Names read off evaluated settings by code that decides or detects."""
    found: set[str] = set()
    for path in CHALICELIB.rglob("*.py"):
        name = path.relative_to(CHALICELIB).as_posix()
        if name.startswith(SHOWING):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Attribute) or not isinstance(node.ctx, ast.Load):
                continue
            holder = ast.unparse(node.value)
            # What CopyRules derives from its own fields counts as theirs.
            is_own = name == "domain/rules.py" and holder == "self"
            if is_own or HOLDERS.search(holder):
                found.add(node.attr)
    return frozenset(found)


def test_the_schema_has_every_field_once() -> None:
    assert sorted(str(row["name"]) for row in schema()) == sorted(name for _, name in fields())


@pytest.mark.parametrize("row", schema(), ids=lambda row: str(row["name"]))
def test_a_setting_is_described_and_bounded(row: Row) -> None:
    sentence = str(row["description"] or "")
    assert sentence.endswith(".") and 10 <= len(sentence) <= 110, "one sentence says what it does"
    if row["kind"] == "choice":
        assert row["choices"] and row["default"] in row["choices"]  # type: ignore[operator]
    elif row["kind"] != "switch":
        assert row["unit"], "a number needs a unit"
        assert row["minimum"] is not None and row["maximum"] is not None, "a number needs bounds"


@pytest.mark.parametrize(("model", "name"), fields(), ids=lambda one: getattr(one, "__name__", one))
def test_a_setting_decides_something(model: type[BaseModel], name: str) -> None:
    assert name in attributes_read(), f"{model.__name__}.{name} is never read where it could decide"


def test_a_setting_that_nobody_reads_would_be_noticed() -> None:
    assert "a_setting_nobody_reads" not in attributes_read()
    assert "description" not in attributes_read()


def test_every_setting_has_a_name_people_read() -> None:
    """The control itself is generic; `tests/browser/manage.mjs` finds one for each field."""
    script = (ROOT / "dashboard/js/settings.js").read_text()
    labels = script[script.index("const LABELS") : script.index("const CHOICES")]
    named = set(re.findall(r"^  (\w+):", labels, re.MULTILINE))
    assert named == {name for _, name in fields()}
