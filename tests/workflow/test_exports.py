"""Exports in pages of any size are one export: everything once, in order, old epochs included."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.export_rows import COLUMNS, LEDGER, ExportKind, Row
from chalicelib.domain.ledger import Entry
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import Put
from chalicelib.services import exports
from chalicelib.services.exports import Page, Selection
from chalicelib.services.portfolios import portfolios_of
from infra.export import moment
from tests.workflow.harness import LEADER, OTHER, M, System, chain, leg

DAY_MS = 86_400_000
SIZES = (2, 3, 7, 250)


@pytest.fixture(scope="module")
def system() -> System:
    """Trades over three days, the global portfolio reset after the second."""
    made = System()
    made.follow()
    made.follow(OTHER, "bea")
    made.clock.advance(10_000)
    number = 0
    for each in range(3):
        for _ in range(5):
            number += 1
            ts = made.clock.now_ms()
            part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=number, block=number)
            side = "SELL" if number % 4 == 0 else "BUY"
            whose = OTHER if number % 3 == 0 else LEADER
            message = chain([part], number=number, side=side, ts_seen=ts, leader=whose)  # type: ignore[arg-type]
            made.services.ingest(message)
            made.run_workflows()
            made.clock.advance(60_000)
        made.clock.advance(DAY_MS)
        if each == 1:
            made.services.reset_paper({"main/global": 1}, who="ada")
            made.services.sweep(0)
    return made


def taken(system: System, wanted: Selection) -> list[Row]:
    return [row for page in system.services.exports(wanted) for row in page.rows]


def cells(rows: list[Row], kind: ExportKind, name: str) -> list[object]:
    place = [column.name for column in COLUMNS[kind]].index(name)
    return [row[place] for row in rows]


@pytest.mark.parametrize("kind", COLUMNS)
@pytest.mark.parametrize("size", SIZES)
def test_pages_of_any_size_gone_on_from_any_cursor_are_the_same(
    system: System, kind: ExportKind, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = taken(system, Selection(kind))
    assert len(whole) > 8
    assert len(set(whole)) == len(whole)
    monkeypatch.setattr(exports, "PAGE_ROWS", size)
    assert taken(system, Selection(kind)) == whole
    rows: list[Row] = []
    cursor: str | None = None
    for _ in range(1_000):
        page: Page = next(system.services.exports(Selection(kind), cursor))
        assert len(page.rows) <= size
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            break
    assert rows == whole


def test_a_page_may_end_at_the_longest_key(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    """Settlements and set changes have references that name a market or event and a token."""
    token, condition, many = "7" * 77, "0x" + "c" * 64, str(10**18)
    change = f"set/{'e' * 64}/{many}/{many}/49"
    references = (f"settlement/{condition}/{token}/{LEADER}/0", f"{change}/{token}")
    ref = next(r for r in portfolios_of(system.store) if r.portfolio_id == f"main/leader/{OTHER}")
    system.store.commit(
        [
            Put(
                Entry(
                    ref.portfolio_id,
                    ref.epoch,
                    900 + n,
                    "SETTLEMENT",
                    name,
                    token,
                    LEADER,
                    0,
                    0,
                    10**12 + n,
                )
            )
            for n, name in enumerate(references)
        ]
    )
    wanted = Selection("ledger", portfolio_id=ref.portfolio_id)
    whole = taken(system, wanted)
    monkeypatch.setattr(exports, "PAGE_ROWS", 2)
    rows: list[Row] = []
    cursor: str | None = None
    for _ in range(1_000):
        page: Page = next(system.services.exports(wanted, cursor))
        rows, cursor = [*rows, *page.rows], page.cursor
        if cursor is None:
            break
    assert rows == whole


def test_the_ledger_is_complete_in_every_epoch(system: System) -> None:
    stored: list[Row] = []
    for ref in portfolios_of(system.store):
        for epoch in range(1, ref.epoch + 1):
            pk = portfolio_pk(ref.portfolio_id, epoch)
            entries = system.store.query(
                Entry, "portfolio", pk, start="entry#", end="entry$", limit=1000
            )
            stored += [LEDGER.row(entry) for entry in entries]
    assert taken(system, Selection("ledger")) == stored
    epochs = cells(
        taken(system, Selection("ledger", portfolio_id="main/global")), "ledger", "epoch"
    )
    assert set(epochs) == {1, 2}
    assert epochs == sorted(epochs)  # type: ignore[type-var]
    only = taken(system, Selection("ledger", portfolio_id="main/global", epoch=1))
    assert set(cells(only, "ledger", "epoch")) == {1}


def test_fills_are_those_of_the_attempts_with_their_fees(system: System) -> None:
    fills = taken(system, Selection("fills", portfolio_id="main/global"))
    attempts = taken(system, Selection("attempts", portfolio_id="main/global"))
    filled = {
        cells([row], "attempts", "attempt_id")[0]: cells([row], "attempts", "fee")[0]
        for row in attempts
        if cells([row], "attempts", "filled_shares")[0] != "0.000000"
    }
    ids, fees = cells(fills, "fills", "source_id"), cells(fills, "fills", "fee")
    assert dict(zip(ids, fees, strict=True)) == filled
    assert any(fee != "0.000000" for fee in fees)


@pytest.mark.parametrize("kind", COLUMNS)
def test_a_range_of_time_takes_its_start_and_leaves_its_end(
    system: System, kind: ExportKind
) -> None:
    name = {"attempts": "decided", "trades": "listed"}.get(kind, "time")
    times = sorted(set(cells(taken(system, Selection(kind)), kind, name)))  # type: ignore[type-var]
    first, last = times[1], times[-2]
    low, high = moment(str(first)), moment(str(last))
    part = taken(system, Selection(kind, ts_from=low, ts_until=high))
    inside = set(cells(part, kind, name))
    assert inside == {t for t in times if first <= t < last}  # type: ignore[operator]
    assert taken(system, Selection(kind, ts_from=high, ts_until=high)) == []


def test_trades_come_newest_first(system: System) -> None:
    times = cells(taken(system, Selection("trades")), "trades", "listed")
    assert times == sorted(times, reverse=True)  # type: ignore[type-var]
    assert len(times) == 15


def test_a_shadow_can_be_exported_and_other_accounts_cannot(system: System) -> None:
    shadow = taken(system, Selection("fills", portfolio_id=f"shadow/{LEADER}"))
    assert len(shadow) == 10
    with pytest.raises(InvalidInput, match="portfolio"):
        system.services.exports(Selection("ledger", account_id="eve", portfolio_id="main/global"))
    assert taken(system, Selection("ledger", account_id="eve")) == []


@pytest.mark.parametrize(
    ("wanted", "cursor", "named"),
    [
        (Selection("secrets"), None, "kind"),  # type: ignore[arg-type]
        (Selection("ledger", ts_from=5, ts_until=4), None, "from"),
        (Selection("ledger", ts_from=-1), None, "from"),
        (Selection("ledger", portfolio_id="main/nobody"), None, "portfolio"),
        (Selection("ledger", epoch=7), None, "epoch"),
        (Selection("trades", portfolio_id="main/global"), None, "portfolio"),
        (Selection("ledger"), "%%", "cursor"),
        (Selection("ledger"), "x" * 2_000, "cursor"),
        (Selection("ledger"), "bWFpbg", "cursor"),
        (Selection("trades"), "bWFpbg", "cursor"),
    ],
)
def test_what_cannot_be_is_named(
    system: System, wanted: Selection, cursor: str | None, named: str
) -> None:
    with pytest.raises(InvalidInput) as refused:
        system.services.exports(wanted, cursor)
    assert refused.value.field == named


def test_a_cursor_of_another_account_is_refused(system: System) -> None:
    foreign = exports._encoded("eve/global#1#entry#")
    with pytest.raises(InvalidInput, match="cursor"):
        system.services.exports(Selection("ledger"), foreign)


def test_one_page_is_in_memory_at_a_time(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "PAGE_ROWS", 2)
    reads: list[int] = []
    query = system.store.query

    def counted(*arguments: object, **named: object) -> object:
        found = query(*arguments, **named)  # type: ignore[arg-type]
        reads.append(len(found))
        return found

    pages: Iterator[Page] = system.services.exports(Selection("ledger"))
    monkeypatch.setattr(system.store, "query", counted)
    for number, _ in enumerate(pages, start=1):
        assert len(reads) == number
        assert reads[-1] <= 2


def test_nothing_stored_is_one_empty_page() -> None:
    empty = System()
    for kind in COLUMNS:
        pages = list(empty.services.exports(Selection(kind)))
        assert [row for page in pages for row in page.rows] == []
        assert pages[-1].cursor is None
