"""The ledger's proof: folds in pieces, grows meanwhile, and finds every micro that is missing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain import ledger_check
from chalicelib.domain.ledger import Entry, EntryKind, order_key
from chalicelib.domain.ledger_check import COUNTED, LedgerFold, unpacked
from chalicelib.domain.portfolio import Head, PortfolioKind, Position, fold
from chalicelib.services.portfolios import opening_head
from tests.unit.wire import LEADER, NO, NOW_MS, YES

M = 1_000_000
KINDS: tuple[EntryKind, ...] = (
    "TRADE_FILL", "FEE", "SPLIT", "MERGE", "CONVERSION", "REDEEM", "SETTLEMENT", "MARK",
    "CORRECTION",
)  # fmt: skip


def blank(kind: PortfolioKind) -> Head:
    return opening_head("p", kind, LEADER, 0 if kind == "shadow" else 1_000 * M)


@st.composite
def ledgers(draw: st.DrawFn, *kinds: PortfolioKind) -> tuple[Head, list[Entry]]:
    """A head as it opens, and entries whose times follow their numbers only roughly."""
    head = blank(draw(st.sampled_from(kinds or ("shadow", "global"))))
    entries = [Entry("p", 1, 0, "OPENING", "opening", "", "", 0, head.starting_cash, NOW_MS)]
    for seq in range(1, draw(st.integers(0, 20)) + 1):
        kind = draw(st.sampled_from(KINDS))
        moves = kind not in ("FEE", "MARK")
        shares = draw(st.integers(-50, 50)) * M if moves else 0
        entry = Entry(
            "p", 1, seq, kind, f"r{seq}",
            draw(st.sampled_from((YES, NO))), draw(st.sampled_from((LEADER, "other"))), shares,
            0 if kind == "MARK" else -shares // 2 + draw(st.integers(-9, 9)),
            NOW_MS + draw(st.integers(0, 6)) * 1_000, draw(st.integers(0, 2)),
            value=draw(st.integers(-5, 5)) * M if kind in ("CORRECTION", "MARK") else 0,
        )  # fmt: skip
        entries.append(entry)
    return head, entries


def streamed(entries: list[Entry]) -> list[Entry]:
    """As the store's sort keys give them."""
    return sorted(entries, key=order_key)


def verdict(head: Head, entries: list[Entry], stored: Head, rows: list[Position]) -> list[str]:
    checked = LedgerFold(head, stored.entries)
    for entry in streamed(entries):
        checked.take(entry)
    return checked.verdict(stored, rows)


@settings(max_examples=300)
@given(ledgers())
def test_what_is_the_fold_of_its_ledger_agrees(made: tuple[Head, list[Entry]]) -> None:
    head, entries = made
    stored, positions = fold(head, entries)
    assert verdict(head, entries, stored, list(positions.values())) == []


@settings(max_examples=200)
@given(ledgers(), st.data())
def test_a_pass_may_stop_anywhere_and_the_ledger_may_grow(
    made: tuple[Head, list[Entry]], data: st.DataObject
) -> None:
    head, entries = made
    known = data.draw(st.integers(1, len(entries)))
    stored, _ = fold(head, [e for e in entries if e.seq < known])
    grown, positions = fold(head, entries)
    assert grown.entries == len(entries)
    checked = LedgerFold(head, stored.entries)
    for entry in streamed(entries):
        checked.take(entry)
        if data.draw(st.booleans()):
            checked = unpacked(head, stored.entries, checked.packed())
    touched = {(e.token_id, e.leader) for e in entries if e.seq >= known and e.kind != "MARK"}
    rows = list(positions.values())
    assert checked.verdict(stored, rows) == [], touched


@settings(max_examples=200)
@given(ledgers(), st.data())
def test_a_micro_anywhere_is_found(made: tuple[Head, list[Entry]], data: st.DataObject) -> None:
    head, entries = made
    stored, positions = fold(head, entries)
    rows = list(positions.values())
    name = data.draw(st.sampled_from(COUNTED[:4] + COUNTED[5:]))
    wrong: Any = replace(stored, **{name: getattr(stored, name) + 1})
    assert verdict(head, entries, wrong, rows)
    if rows:
        place = data.draw(st.integers(0, len(rows) - 1))
        name = data.draw(st.sampled_from(("shares", "cost", "realized")))
        changed: Any = replace(rows[place], **{name: getattr(rows[place], name) - 1})
        assert verdict(head, entries, stored, [*rows[:place], changed, *rows[place + 1 :]])
        if any(getattr(rows[place], n) for n in ("shares", "cost", "realized")):
            assert verdict(head, entries, stored, [*rows[:place], *rows[place + 1 :]])


@settings(max_examples=200)
@given(ledgers(), st.data())
def test_a_lost_entry_is_found(made: tuple[Head, list[Entry]], data: st.DataObject) -> None:
    head, entries = made
    stored, positions = fold(head, entries)
    lost = data.draw(st.integers(0, len(entries) - 1))
    left = [entry for entry in entries if entry.seq != lost]
    assert verdict(head, left, stored, list(positions.values()))


@given(ledgers("global"))
def test_a_number_given_twice_is_found(made: tuple[Head, list[Entry]]) -> None:
    head, entries = made
    stored, positions = fold(head, entries)
    again = replace(entries[-1], reference="again", ts_effective=NOW_MS + 9_000)
    found = verdict(head, [*entries, again], stored, list(positions.values()))
    assert f"two entries have number {again.seq}" in found


def test_one_missing_number_does_not_hold_up_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger_check, "AHEAD_MAX", 3)
    head = blank("global")
    fills = [
        Entry("p", 1, seq, "TRADE_FILL", f"r{seq}", YES, LEADER, M, -M, NOW_MS + seq)
        for seq in range(1, 10)
    ]
    stored, positions = fold(head, fills)
    found = verdict(head, fills, replace(stored, entries=10), list(positions.values()))
    assert found[:2] == ["entry 0 is missing", "entries is 10 instead of 9"]
    assert all("entry" not in what for what in found[2:])
