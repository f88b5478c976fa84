"""Marks on one sheet: nothing is lost but fractions of a second."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.mark_sheet import MARKS_MAX, mark_sheet, marks_on
from chalicelib.domain.registry import Mark, MarkSheet

NOW = 1_795_000_000_000
MARKS = st.builds(
    Mark,
    st.integers(1, 2**256 - 1).map(str),
    st.integers(0, 1_000_000),
    st.integers(0, 1_000_000).map(lambda age_s: NOW - 1000 * age_s),
)


@given(st.lists(MARKS, max_size=5))
def test_marks_come_back(marks: list[Mark]) -> None:
    sheet = mark_sheet(marks, NOW, "shadows", 3)
    assert marks_on(sheet) == tuple(marks)
    assert (sheet.scope, sheet.ts, sheet.version) == ("shadows", NOW, 3)


def test_ages_are_whole_seconds_and_bounded() -> None:
    token = str(2**256 - 1)
    old, ahead, recent = Mark(token, 1, 0), Mark(token, 2, NOW + 5_000), Mark(token, 3, NOW - 1_999)
    ages = [
        (NOW - mark.ts) // 1000
        for mark in marks_on(mark_sheet([old, ahead, recent], NOW, "latest"))
    ]
    assert ages == [2**24 - 1, 0, 1]


def test_a_full_sheet_fits_into_an_item() -> None:
    full = mark_sheet([Mark(str(2**256 - 1), 1_000_000, NOW)] * MARKS_MAX, NOW, "latest")
    assert len(full.packed) < 210_000


@pytest.mark.parametrize("packed", ["?", base64.b64encode(b"short").decode()])
def test_a_broken_sheet_is_refused(packed: str) -> None:
    with pytest.raises(InvalidInput):
        marks_on(MarkSheet(packed, NOW))
