"""The checker on real ledgers: in pieces, in turn, and alarmed by a single micro."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chalicelib.domain.errors import Permanent
from chalicelib.domain.ledger_check import LedgerCheck, LedgerPass
from chalicelib.domain.portfolio import Head
from chalicelib.domain.registry import Heartbeat
from chalicelib.keyspace import head_key, heartbeat_key, key_of, ledger_check_key
from chalicelib.ports import Delete, Put
from chalicelib.services import check_ledger
from chalicelib.services.check_ledger import CHECK_EVERY_MS, SOURCE, CheckLedgers
from chalicelib.services.portfolios import portfolio_ref
from infra.check import report
from tests.workflow.harness import LEADER, System, chain, leg
from tests.workflow.holdings_world import M
from tests.workflow.test_copying import buys, sells

SHADOW = f"shadow/{LEADER}"
NAMES = ("main/global", f"main/leader/{LEADER}", SHADOW)


@pytest.fixture
def system() -> System:
    made = System()
    made.follow()
    made.clock.advance(10_000)
    buys(made)
    made.run_workflows()
    sells(made, 4_000)
    made.run_workflows()
    return made


def verdict(system: System, name: str) -> LedgerCheck:
    found = system.store.get(LedgerCheck, ledger_check_key(name, 1))
    assert found is not None, name
    return found


def head_in(system: System, name: str, epoch: int) -> Head:
    found = system.store.get(Head, head_key(name, epoch))
    assert found is not None
    return found


def is_up(system: System) -> bool:
    found = system.store.get(Heartbeat, heartbeat_key(SOURCE))
    assert found is not None
    return found.up


def mismatches(system: System) -> int:
    return system.metrics.snapshot().get("ledger_mismatch", 0)


def test_every_portfolio_agrees_and_the_verdict_is_stored(system: System) -> None:
    assert system.services.check_ledgers() == 3
    for name in NAMES:
        found = verdict(system, name)
        assert (found.wrong, found.entries) == ((), len(system.entries(name)))
        assert found.entries > 1
    assert is_up(system)
    assert mismatches(system) == 0


def test_a_head_that_is_off_by_a_micro_alarms_until_it_is_mended(system: System) -> None:
    head = system.head(SHADOW)
    system.store.commit([Put(replace(head, cash=head.cash + 1))])
    system.services.check_ledgers()
    assert verdict(system, SHADOW).wrong == (f"cash is {head.cash + 1} instead of {head.cash}",)
    assert (mismatches(system), is_up(system)) == (1, False)
    system.store.commit([Put(replace(head, version=head.version + 1))])
    system.clock.advance(CHECK_EVERY_MS)
    system.services.check_ledgers()
    assert (mismatches(system), is_up(system)) == (1, True)


def test_positions_and_lost_entries_are_found(system: System) -> None:
    position = system.position()
    system.store.commit([Put(replace(position, cost=position.cost - 1))])
    lost = system.entries(f"main/leader/{LEADER}")[1]
    system.store.commit([Delete(key_of(lost), lost.version)])
    system.services.check_ledgers()
    assert [what.split(" of ")[0] for what in verdict(system, "main/global").wrong] == ["cost"]
    assert f"entry {lost.seq} is missing" in verdict(system, f"main/leader/{LEADER}").wrong
    assert mismatches(system) == 2


def test_who_was_checked_comes_again_in_time_and_only_if_he_moved(system: System) -> None:
    assert system.services.check_ledgers() == 3
    system.clock.advance(CHECK_EVERY_MS - 1)
    assert system.services.check_ledgers() == 0
    system.clock.advance(1)
    assert system.services.check_ledgers() == 0
    buys(system, number=9)
    assert system.services.check_ledgers() == 1, "the shadow moved"


def test_a_long_ledger_takes_several_runs_and_may_grow_meanwhile(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_ledger, "QUERY_LIMIT_MAX", 3)
    monkeypatch.setattr("chalicelib.services.portfolios.QUERY_LIMIT_MAX", 3)
    for number in range(10, 30):
        buys(system, shares=10 + number, number=number)
    known = len(system.entries(SHADOW))
    check = CheckLedgers(system.store, system.clock, system.metrics)
    runs = passes = late = 0
    while not system.store.get(LedgerCheck, ledger_check_key(SHADOW, 1)):
        # A process of its own each time: what it remembers is in the store.
        check = CheckLedgers(system.store, system.clock, system.metrics)
        check(6)
        runs += 1
        if system.store.query(LedgerPass, "registry", "ledger_passes"):
            passes += 1
            late += 1
            ts = system.clock.now_ms() - 9_000 - 60_000 * late
            part = leg(M, 400_000, index=late, ts_block=ts)
            system.services.ingest(chain([part], number=800 + late, ts_seen=ts + 2_000))
        assert runs < 60
    assert passes > 2
    found = verdict(system, SHADOW)
    assert found.wrong == ()
    assert known <= found.entries <= len(system.entries(SHADOW))
    assert system.store.query(LedgerPass, "registry", "ledger_passes") == []


def test_only_the_current_epoch_is_told_of_and_checked(system: System) -> None:
    """Ten resets on: an old epoch's verdict and its unfinished pass concern nobody any more."""
    name = "main/global"
    for epoch in range(1, 11):
        if epoch == 9:
            head = head_in(system, name, 9)
            system.store.commit([Put(replace(head, cash=head.cash + 1))])
        system.services.check_ledgers()
        assert is_up(system) is (epoch != 9)
        system.services.reset_paper({name: epoch}, who="ada")
        system.clock.advance(CHECK_EVERY_MS)
    head = head_in(system, name, 10)
    system.store.commit([Put(LedgerPass(name, 10, 1, "entry#", head, ""))])
    system.services.check_ledgers()
    assert is_up(system)
    system.clock.advance(1)
    assert system.services.check_ledgers() == 0, "everything was checked a moment ago"
    assert system.store.query(LedgerPass, "registry", "ledger_passes") == []


def test_a_pass_too_large_to_keep_goes_on_to_its_end(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check_ledger, "QUERY_LIMIT_MAX", 2)
    monkeypatch.setattr("chalicelib.services.portfolios.QUERY_LIMIT_MAX", 2)
    monkeypatch.setattr(check_ledger, "PACKED_CHARS_MAX", 1)
    done = sum(system.services.check_ledgers(2) for _ in range(3))
    assert done == 3
    assert system.store.query(LedgerPass, "registry", "ledger_passes") == []


def test_a_part_of_a_ledger_proves_nothing(system: System, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_ledger, "QUERY_LIMIT_MAX", 1)
    monkeypatch.setattr("chalicelib.services.portfolios.QUERY_LIMIT_MAX", 1)
    monkeypatch.setattr(check_ledger, "ENTRIES_MAX", 2)
    ref = portfolio_ref(system.store, SHADOW)
    assert ref
    with pytest.raises(Permanent, match="more than 2 entries"):
        CheckLedgers(system.store, system.clock, system.metrics).check(ref)
    assert system.store.get(LedgerCheck, ledger_check_key(SHADOW, 1)) is None


def test_on_demand_every_ledger_is_reported(
    system: System, capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(system.store, [])
    assert capsys.readouterr().out.count(" agrees\n") == 3
    head = system.head(SHADOW)
    system.store.commit([Put(replace(head, fees=head.fees + 1))])
    assert report(system.store, ["main/global"])
    assert not report(system.store, [SHADOW])
    assert f"  fees is {head.fees + 1} instead of {head.fees}\n" in capsys.readouterr().out
    with pytest.raises(LookupError):
        report(system.store, ["main/nobody"])
