"""Every change is told with who, what, before and after, in the commit that makes it, for good."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from chalicelib.adapters.stored_rules import GLOBAL, change_settings
from chalicelib.domain.errors import Retryable
from chalicelib.domain.registry import AUDIT_TEXT_MAX, AuditRow
from chalicelib.keyspace import key_of
from chalicelib.ports import Delete, Put, Require
from chalicelib.services.audit import audited
from chalicelib.services.control_portfolios import ControlPortfolios
from tests.workflow.harness import CONDITION, LEADER, System
from tests.workflow.test_exactly_once import DyingStore

MONTH = "audit#main#2026-11"
WALLET = "0x" + "3" * 40


def log(system: System) -> list[AuditRow]:
    return system.store.query(AuditRow, "audit", MONTH, limit=100)


def unfollowed(system: System) -> object:
    return system.services.unfollow(LEADER, who="ada")


CHANGES: dict[str, Callable[[System], object]] = {
    "leader.follow": lambda s: s.services.follow([LEADER, WALLET], "ada", who="ada"),
    "leader.unfollow": unfollowed,
    "settings.change": lambda s: change_settings(
        s.store, s.clock, GLOBAL, {"order_ttl_ms": 60_000}, who="ada"
    ),
    "market_lists.add": lambda s: s.services.market_lists.add(
        "blacklist", "market", CONDITION, who="ada"
    ),
    "portfolio.reset": lambda s: s.services.reset_paper({"main/global": 1}, who="ada"),
    "portfolio.pause": lambda s: ControlPortfolios(s.store, s.clock).pause("ada", "main/global"),
}


@pytest.mark.parametrize("action", CHANGES)
def test_a_change_is_told_once_however_often_it_is_repeated(action: str) -> None:
    system = System()
    system.follow()
    before = log(system)
    assert [row.action for row in before] == ["leader.follow"]
    system.clock.advance(1_000)
    CHANGES[action](system)
    CHANGES[action](system)
    (row,) = [r for r in log(system) if r not in before and r.actor == "ada"]
    assert (row.action, row.ts) == (action, system.clock.now_ms())
    assert row.after
    assert row.after != row.before


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("action", CHANGES)
def test_change_and_row_are_one_commit(action: str, after: bool) -> None:
    """Whoever dies in a change finds both or neither, and repeating it ends with one of each."""

    def run(dies_at: int) -> tuple[System, DyingStore]:
        store = DyingStore(dies_at, after)
        system = System(store=store)
        system.follow()
        system.clock.advance(1_000)
        store.armed = True
        for _ in range(2):
            try:
                CHANGES[action](system)
            except Retryable:
                continue
        return system, store

    undisturbed, store = run(0)
    assert store.commits >= 1
    for dies_at in range(1, store.commits + 1):
        system, _ = run(dies_at)
        assert log(system) == log(undisturbed), f"commit {dies_at}"


def test_leaving_lists_and_settling_leaders_is_told_too() -> None:
    system = System()
    system.follow()
    system.services.market_lists.add("whitelist", "category", "sports", who="ada", note="n")
    system.services.market_lists.remove("whitelist", "category", "sports", who="bea")
    unfollowed(system)
    rows = {row.action: row for row in log(system)}
    removed = rows["market_lists.remove"]
    assert (removed.actor, removed.subject, removed.after) == (
        "bea",
        "whitelist category sports",
        "",
    )
    assert json.loads(removed.before)["entries"][0]["note"] == "n"
    settled = rows["leader.settle"]
    assert settled.actor == "system"
    states = json.loads(settled.before)["state"], json.loads(settled.after)["state"]
    assert states == ("sell_only", "off")


def test_nothing_is_changed_or_removed_any_more() -> None:
    system = System()
    put = audited("ada", "a", "s", "", "x", ts=1_795_000_000_000)
    system.store.commit([put])
    (row,) = log(system)
    for write in (Put(row), Delete(key_of(row), row.version), Require(key_of(row), row.version)):
        with pytest.raises(ValueError, match="appended"):
            system.store.commit([write])
    assert log(system) == [row]


def test_long_texts_are_cut_and_equal_changes_of_one_moment_differ() -> None:
    row = audited("a" * 900, "x", "s", "b" * 10**6, "", ts=5).record
    assert isinstance(row, AuditRow)
    assert len(row.before) <= AUDIT_TEXT_MAX
    assert "sha256" in row.before
    assert len(row.actor) == 200
    again = [audited("a", "x", "s", "1", "2", ts=5, revision=n).record for n in (1, 2)]
    assert key_of(again[0]) != key_of(again[1])
    assert again[0] == audited("a", "x", "s", "1", "2", ts=5, revision=1).record


def test_it_is_read_newest_first_page_by_page_over_months() -> None:
    system = System()
    stamps = [system.clock.now_ms() - n * 9 * 86_400_000 for n in range(12)]
    for ts in stamps:
        system.store.commit([audited("ada", "a", "s", "", str(ts), ts=ts)])
    foreign = audited("eve", "a", "s", "", "x", ts=stamps[0], account_id="eve")
    system.store.commit([foreign])
    for limit in (1, 4, 5, 200):
        found: list[int] = []
        cursor: str | None = None
        for _ in range(100):
            page = system.services.read.audit(cursor, limit)
            assert len(page["items"]) <= limit
            found += [item["ts"] for item in page["items"]]
            cursor = page["next_cursor"]
            if cursor is None:
                break
        assert found == stamps
