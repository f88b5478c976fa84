"""What dies is delivered again and counts once; what dies always is buried with its payload."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.group import Fill
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.ledger import Entry
from chalicelib.domain.trade import Trade, effective
from chalicelib.ports import Put, Write
from chalicelib.queue_handlers import RECEIVES_MAX
from infra.chalice_files import PROJECT_ROOT
from infra.local.stack import wait_until
from tests.e2e.engines import Engine
from tests.e2e.ledgers import attempts_of, entries_of, follow_since, trade, work_of
from tests.workflow.harness import TOKEN, M, chain, leg, tx

COMMITS_PER_FILL = 4
"""The trade, its shadow entry, its group, and that all of it was handed on."""
BURIED_SECONDS_MAX = 25.0


class Dying:
    """Stands before the store and kills the ingestion of some leaders after a certain commit."""

    def __init__(self, engine: Engine, patch: pytest.MonkeyPatch, dies_at: dict[str, int]) -> None:
        self.commits = dict.fromkeys(dies_at, 0)
        inner = engine.store.commit

        def commit(writes: Sequence[Write]) -> None:
            inner(writes)
            for leader in {_ingested(write) for write in writes} & dies_at.keys():
                self.commits[leader] += 1
                if self.commits[leader] == dies_at[leader]:
                    raise RuntimeError(f"died after commit {dies_at[leader]}")

        patch.setattr(engine.store, "commit", commit)


def _ingested(write: Write) -> str:
    """The leader whose evidence a write of the ingestion is about."""
    if not isinstance(write, Put):
        return ""
    record = write.record
    if isinstance(record, Trade | Fill):
        return record.leader
    is_shadow = isinstance(record, Entry) and record.portfolio_id.startswith("shadow/")
    return record.leader if isinstance(record, Entry) and is_shadow else ""


def bought(leader: str, ts: int, number: int = 1) -> FillMessage:
    part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=number)
    return chain([part], number=number, ts_seen=ts, leader=leader)


def counted(engine: Engine, leader: str, number: int = 1) -> int:
    """Shares of the trade, or 0 while it is unknown or not handed on."""
    found = trade(engine.store, trade_id(leader, tx(number), TOKEN, "BUY"))
    return effective(found).shares if found and not found.pending else 0


def test_dying_after_any_commit_counts_once(
    engine: Engine, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    leaders = [f"0x{0xDE << 32 | number:040x}" for number in range(1, COMMITS_PER_FILL + 1)]
    for leader in leaders:
        follow_since(engine.store, past - 600_000, [leader])
    dying = Dying(engine, monkeypatch, {one: number for number, one in enumerate(leaders, 1)})
    engine.send(*(bought(leader, past) for leader in leaders))
    engine.settle()
    for dies_at, leader in enumerate(leaders, start=1):
        assert dying.commits[leader] >= dies_at, "it never died"
        assert counted(engine, leader) == 10_000 * M
        shadow = [(e.kind, e.shares) for e in entries_of(engine.store, f"shadow/{leader}")]
        assert shadow == [("OPENING", 0), ("TRADE_FILL", 10_000 * M)]
        (attempt,) = attempts_of(engine.store, f"main/leader/{leader}")
        assert attempt.status == "FILLED"
    assert work_of(engine.store) == []
    assert engine.buried() == []
    assert engine.refused() == []


def test_what_always_dies_is_buried_with_its_payload_and_its_neighbours_go_on(
    engine: Engine, leader: str, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    neighbour = leader.replace("0x0", "0xe")
    follow_since(engine.store, past - 600_000, [neighbour])
    inner = engine.store.commit

    def commit(writes: Sequence[Write]) -> None:
        records = [write.record for write in writes if isinstance(write, Put)]
        if any(isinstance(r, Trade) and (r.leader, r.tx_hash) == (leader, tx(1)) for r in records):
            raise RuntimeError("a fault in our own code")
        inner(writes)

    monkeypatch.setattr(engine.store, "commit", commit)
    # His next fill waits in the same line; hers is in the same batch but in another line.
    engine.send(bought(leader, past, 1), bought(leader, past + 15_000, 2), bought(neighbour, past))
    assert wait_until(lambda: counted(engine, neighbour), 5.0, 0.02), "a neighbour was held up"
    assert counted(engine, leader, 2) == 0, "his own later fill must not overtake"
    engine.settle(BURIED_SECONDS_MAX)
    (buried,) = engine.buried()
    message = json.loads(buried)
    message = message.get("message", message)
    assert (message["leader"], message["chain"][0]["tx_hash"]) == (leader, tx(1))
    assert message["chain"][0]["leg"]["shares"] == 10_000 * M
    assert counted(engine, leader, 2) == 10_000 * M, "the next in line was lost with it"
    assert len(attempts_of(engine.store, f"main/leader/{leader}")) == 1


def test_the_handler_knows_the_queues_last_delivery() -> None:
    template = (PROJECT_ROOT / "infra" / "base.yaml").read_text()
    queue = template.split("\n  FillsQueue:\n")[1].split("\n\n")[0]
    assert f"maxReceiveCount: {RECEIVES_MAX}\n" in queue + "\n"
