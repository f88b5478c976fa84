"""A leader whose true holdings are known at every moment, and what the venue says of them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from chalicelib.domain.errors import PapercopyError
from chalicelib.domain.evidence import ActivityEvidence, FillMessage
from chalicelib.domain.portfolio import fold
from chalicelib.domain.registry import Leader
from chalicelib.keyspace import leader_key
from chalicelib.ports import Holding, Holdings
from chalicelib.services.portfolios import opening_head, positions_of
from tests.workflow.harness import (
    CONDITION,
    HOLDINGS_LAG_MS,
    LEADER,
    System,
    tx,
)

M = 1_000_000
SHADOW = f"shadow/{LEADER}"
PRICE = 600_000


@dataclass
class Truth:
    """Signed changes (block time in milliseconds, token, shares) of one wallet."""

    changes: list[tuple[int, str, int]] = field(default_factory=list)

    def holds(self, ts: int) -> dict[str, int]:
        """Shares per token after everything up to `ts`, zeros left out."""
        sums: dict[str, int] = {}
        for ts_block, token, shares in self.changes:
            if ts_block <= ts:
                sums[token] = sums.get(token, 0) + shares
        return {token: shares for token, shares in sums.items() if shares}

    def serve(self, system: System, lag_ms: int = HOLDINGS_LAG_MS) -> None:
        """Let the system's venue answer from here, `lag_ms` behind."""

        def holdings(wallet: str) -> Holdings:
            system.venue._answer()
            as_of = (system.clock.now_ms() - lag_ms) // 1000 * 1000
            held = [Holding(t, s, PRICE) for t, s in sorted(self.holds(as_of).items())]
            return Holdings(as_of, tuple(held))

        system.venue.holdings = holdings  # type: ignore[method-assign]


def leader_of(system: System) -> Leader:
    found = system.store.get(Leader, leader_key(LEADER))
    assert found is not None
    return found


def shadow(system: System) -> dict[str, int]:
    """What the shadow holds, zeros left out."""
    rows = positions_of(system.store, SHADOW, 1)
    return {row.token_id: row.shares for row in rows if row.shares}


def event(
    kind: str,
    shares: int,
    *,
    number: int = 77,
    cash: int | None = None,
    count: int = 1,
    ts_block: int,
    condition: str = CONDITION,
    token: str = "",
    outcome: int | None = None,
) -> ActivityEvidence:
    paid = shares if cash is None else cash
    return ActivityEvidence(
        kind, tx(number), condition, token, shares, paid, ts_block, count, outcome, '{"a":1}'
    )


def told(*events: ActivityEvidence, ts_seen: int | None = None) -> FillMessage:
    seen = max(e.ts_block for e in events) + 5_000 if ts_seen is None else ts_seen
    return FillMessage(LEADER, LEADER, seen, events=events)


def tried(action: Callable[..., object], *arguments: object) -> None:
    """As a queue or a schedule does: what failed comes again."""
    for _ in range(6):
        try:
            action(*arguments)
        except PapercopyError:
            continue
        return
    raise AssertionError("the step never succeeded")


def assert_folds(system: System) -> None:
    """The shadow equals the fold of its entries, and no money is unexplained."""
    entries = system.entries(SHADOW)
    head, positions = fold(opening_head(SHADOW, "shadow", LEADER, 0), entries)
    stored = system.head(SHADOW)
    for name in ("cash", "brought", "realized", "fees", "entries"):
        assert getattr(head, name) == getattr(stored, name), name
    rows = {(p.token_id, p.leader): p for p in positions_of(system.store, SHADOW, 1)}
    assert {k: (p.shares, p.cost) for k, p in positions.items()} == {
        k: (p.shares, p.cost) for k, p in rows.items()
    }
    costs = sum(p.cost for p in rows.values())
    assert head.cash + costs == head.brought + head.realized - head.fees
