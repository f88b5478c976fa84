"""A poisoned fill is buried, its cause mended, the fill handed in again: it counts once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest

from chalicelib.api.desk import Desk
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.registry import AuditRow
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import audit_pk, month
from chalicelib.ports import Put, Write
from chalicelib.services.redrive import LIMIT_MAX, Redrive
from infra.local.stack import wait_until
from tests.e2e.engines import Engine
from tests.e2e.ledgers import attempts_of, digests, entries_of
from tests.e2e.test_redelivery import BURIED_SECONDS_MAX, bought, counted
from tests.workflow.harness import M, tx


def poisoned(engine: Engine, leader: str, patch: Any) -> None:
    """Let everything about the leader's first trade fail."""
    inner = engine.store.commit

    def commit(writes: Sequence[Write]) -> None:
        records = [write.record for write in writes if isinstance(write, Put)]
        if any(isinstance(r, Trade) and (r.leader, r.tx_hash) == (leader, tx(1)) for r in records):
            raise RuntimeError("a fault in our own code")
        inner(writes)

    patch.setattr(engine.store, "commit", commit)


def redrive() -> Redrive:
    made = Desk.office().redrive
    assert made is not None
    return made


def test_a_mended_fill_is_handed_in_again_and_counts_once(
    engine: Engine, leader: str, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as poison:
        poisoned(engine, leader, poison)
        engine.send(bought(leader, past))
        assert wait_until(lambda: dead() == 1, BURIED_SECONDS_MAX, 0.05), "it was never buried"
    assert counted(engine, leader) == 0
    assert redrive()("fills", 10, "ops", dry_run=True).moved == 0
    assert dead() == 1, "a dry run moves nothing"
    done = redrive()("fills", 10, "ops")
    assert (done.moved, done.left) == (1, 0)
    engine.settle()
    assert counted(engine, leader) == 10_000 * M
    (attempt,) = attempts_of(engine.store, f"main/leader/{leader}")
    assert attempt.group_id
    before = digests(engine.store)
    assert redrive()("fills", 10, "ops").moved == 0
    engine.send(bought(leader, past))
    engine.settle()
    assert digests(engine.store) == before, "what comes again changes nothing"
    assert len(entries_of(engine.store, f"shadow/{leader}")) == 2
    assert audited(engine) == ["ops redrives fills", "ops redrives fills"]


def dead() -> int:
    return redrive()("fills", 1, "ops", dry_run=True).left


def audited(engine: Engine) -> list[str]:
    now = Desk.office().clock.now_ms()
    rows = engine.store.query(AuditRow, "audit", audit_pk("main", month(now)))
    found = [row for row in rows if row.action == "deadletters.redrive"]
    return [f"{row.actor} redrives {row.subject}" for row in found]


def test_what_cannot_be_a_fill_stays_for_a_person(engine: Engine, leader: str, past: int) -> None:
    kept = json.dumps({"never": "a fill"})
    quarantine = office_quarantine(engine)
    quarantine.keep("gamma", kept, "no market")
    quarantine.keep("ingest", kept, "no fill")
    done = redrive()("failures", 10, "ops")
    assert (done.moved, done.kept) == (0, 2)
    assert sorted(row["source"] for row in engine.refused()) == ["gamma", "ingest"]


def office_quarantine(engine: Engine) -> Any:
    """Where the engine keeps what it refuses."""
    from chalicelib.bootstrap import production

    return engine.engine.quarantine if engine.name == "embedded" else production().ports.quarantine


@pytest.mark.parametrize(("queue", "limit"), [("other", 1), ("fills", 0), ("fills", LIMIT_MAX + 1)])
def test_bounds_are_refused_before_anything_is_audited(
    engine: Engine, queue: str, limit: int
) -> None:
    before = audited(engine)
    with pytest.raises(InvalidInput):
        redrive()(queue, limit, "ops")
    assert audited(engine) == before
