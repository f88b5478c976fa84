"""What a store came to, in a form that engines and replays are compared by."""

from __future__ import annotations

from chalicelib.domain.complete_set import SetDecision
from chalicelib.domain.ledger import digest
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import Store
from chalicelib.services.portfolios import positions_of
from tests.e2e.acceptance.scene import Ending, Order, Scene
from tests.e2e.ledgers import attempts_of, entries_of, head

GLOBAL = "main/global"


def ending(store: Store, scene: Scene) -> Ending:
    """The leader's own portfolio, and his shadow where the scene says what it holds."""
    now = head(store, scene.portfolio)
    wanted = scene.ending
    return Ending(
        held=_held(store, scene.portfolio),
        cash=now.cash,
        realized=now.realized,
        orders=_orders(store, scene),
        shadow=_held(store, scene.shadow) if wanted and wanted.shadow is not None else None,
        sets=_sets(store, scene.portfolio) if wanted and wanted.sets else (),
    )


def parts(store: Store, scene: Scene) -> dict[str, str]:
    """Digests of the ledgers of his own, and of his part of the global one."""
    of_his = [e for e in entries_of(store, GLOBAL) if e.leader == scene.leader]
    return {
        "shadow": digest(entries_of(store, scene.shadow)),
        "own": digest(entries_of(store, scene.portfolio)),
        "part of global": digest(of_his),
    }


def _held(store: Store, portfolio: str) -> dict[str, int]:
    rows = positions_of(store, portfolio, 1)
    return {row.token_id: row.shares for row in rows if row.shares}


def _orders(store: Store, scene: Scene) -> tuple[Order, ...]:
    """In the order in which the leader traded."""
    found = sorted(
        attempts_of(store, scene.portfolio),
        key=lambda a: a.decision.ts_decided - a.decision.age_ms,
    )
    return tuple((a.side, a.status, tuple(str(r.value) for r in a.reasons)) for a in found)


def _sets(store: Store, portfolio: str) -> tuple[tuple[str, ...], ...]:
    pk = portfolio_pk(portfolio, 1)
    rows = store.query(SetDecision, "portfolio", pk, start="set#", end="set$", limit=100)
    return tuple((r.kind, r.verdict, *(str(reason.value) for reason in r.reasons)) for r in rows)
