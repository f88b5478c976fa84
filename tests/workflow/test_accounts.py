"""Nothing that belongs to one account shows up in, or changes, what belongs to another."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.export_rows import COLUMNS
from chalicelib.domain.lane import Attempt
from chalicelib.domain.market_lists import MarketLists
from chalicelib.domain.reasons import Reason
from chalicelib.domain.registry import PortfolioRef
from chalicelib.keyspace import portfolio_pk
from chalicelib.ports import Put
from chalicelib.services import portfolios
from chalicelib.services.control_portfolios import ControlPortfolios
from chalicelib.services.exports import Selection
from chalicelib.services.read_models import ReadModels
from chalicelib.services.read_models.attempt_ref import ref_of
from chalicelib.services.read_models.attempts import Wanted
from tests.workflow.harness import CASH, CONDITION, LEADER, M, System, chain, leg

SERVICES = Path(__file__).resolve().parents[2] / "chalicelib"
STRANGER = "zoe"
"""Sorts behind `main`; `alice` sorts before it."""


def copied(*strangers: str) -> System:
    """The same trades, copied by `main` and by other accounts."""
    system = System()
    system.follow()
    for account in strangers:
        for name, kind, leader in (
            (portfolios.global_id(account), "global", ""),
            (portfolios.leader_portfolio_id(LEADER, account), "leader", LEADER),
        ):
            ref = PortfolioRef(name, account, kind, leader, 1)  # type: ignore[arg-type]
            head, entry = portfolios.opening(ref, CASH, system.clock.now_ms())
            system.store.commit([Put(ref), Put(head), Put(entry)])
    system.clock.advance(10_000)
    for number, side in ((1, "BUY"), (2, "BUY"), (3, "SELL")):
        ts = system.clock.now_ms()
        part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=number, block=number)
        system.services.ingest(chain([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]
        system.run_workflows()
        system.clock.advance(30_000)
    system.services.mark_portfolios()
    return system


FACTS = {"engine": "embedded", "stage": "local", "version": "0", "venue": "simulated"}
QUEUES = {"fills": 0, "dead": 0, "failures": 0}
VIEWS: dict[str, Callable[[ReadModels], Any]] = {
    "overview": lambda r: r.overview(),
    "health": lambda r: r.health(FACTS, QUEUES),
    "trades": lambda r: r.trades(None, 200, None),
    "copy_attempts": lambda r: r.copy_attempts(None, 200, Wanted()),
    "copy_attempt": lambda r: [r.copy_attempt(ref) for ref in refs(r)],
    "tape": lambda r: [r.tape(ref) for ref in refs(r)],
    "completeness": lambda r: r.completeness(None, 200, None),
    "latency": lambda r: r.latency(),
    "portfolio": lambda r: [r.portfolio("main.global"), r.portfolio(f"main.leader.{LEADER}")],
    "snapshots": lambda r: r.snapshots("main.global", "1d"),
    "performance": lambda r: r.performance(LEADER, "1d"),
    "skip_ledger": lambda r: r.skip_ledger("main.global", None),
    "audit": lambda r: r.audit(None, 200),
    "users": lambda r: r.users(None, 200, None),
    "user": lambda r: r.user(LEADER),
    "global_portfolio": lambda r: r.global_portfolio(),
    "standings": lambda r: r.standings(),
    "pnl": lambda r: r.pnl("main.global", 7),
    "system": lambda r: r.system(FACTS, QUEUES, []),
    "market_lists": lambda r: r.market_lists(),
}
"""Everything the pages show; a view that is added belongs here."""


def refs(read: ReadModels) -> list[str]:
    return [row["ref"] for row in read.copy_attempts(None, 200, Wanted())["items"]]


def shown(system: System) -> dict[str, Any]:
    """Everything the read models say, and every export."""
    seen = {name: view(system.services.read) for name, view in VIEWS.items()}
    for kind in COLUMNS:
        pages = system.services.exports(Selection(kind))
        seen[f"export {kind}"] = [row for page in pages for row in page.rows]
    return seen


def test_every_view_is_looked_at() -> None:
    views = {name for name in vars(ReadModels) if not name.startswith("_")}
    assert views == set(VIEWS)


@pytest.mark.parametrize("strangers", [("zoe",), ("alice",), ("alice", "zoe")])
def test_whoever_else_is_there_an_account_sees_the_same(strangers: tuple[str, ...]) -> None:
    alone, together = copied(), copied(*strangers)
    for stranger in strangers:
        pk = portfolio_pk(f"{stranger}/global", 1)
        assert together.store.query(Attempt, "portfolio", pk, start="attempt#", end="attempt$")
    seen, expected = shown(together), shown(alone)
    for name, view in seen.items():
        assert not any(stranger in repr(view) for stranger in strangers), name
        assert view == expected[name], name


def test_an_attempt_of_another_account_cannot_be_named() -> None:
    system = copied(STRANGER)
    pk = portfolio_pk(f"{STRANGER}/global", 1)
    (attempt, *_) = system.store.query(
        Attempt, "portfolio", pk, start="attempt#", end="attempt$", limit=9
    )
    for view in (system.services.read.copy_attempt, system.services.read.tape):
        with pytest.raises(InvalidInput):
            view(ref_of(attempt))
    with pytest.raises(InvalidInput):
        system.services.exports(Selection("ledger", portfolio_id=f"{STRANGER}/global"))


def test_changes_stay_within_their_account() -> None:
    system = copied(STRANGER)
    mine = f"{STRANGER}/global"
    with pytest.raises(InvalidInput):
        system.services.reset_paper({mine: 1}, who="ada")
    with pytest.raises(InvalidInput):
        ControlPortfolios(system.store, system.clock).pause("ada", mine)
    ControlPortfolios(system.store, system.clock).pause("ada")
    ref = portfolios.portfolio_ref(system.store, mine)
    assert ref
    assert portfolios.head_of(system.store, ref).pauses == ()
    system.services.reset_paper({mine: 1}, who="zoe", account_id=STRANGER)
    own = portfolios.portfolio_ref(system.store, "main/global")
    assert own and own.epoch == 1
    audit = system.services.read.audit(None, 200)["items"]
    assert all(row["subject"] != mine for row in audit)


def test_lists_of_markets_bind_the_account_that_made_them() -> None:
    system = System()
    system.follow()
    stranger = copied(STRANGER)
    stranger.services.market_lists.add(
        "blacklist", "market", CONDITION, who="zoe", account_id=STRANGER
    )
    stranger.clock.advance(60_000)
    ts = stranger.clock.now_ms()
    part = leg(10_000 * M, 510_000, ts_block=ts - 2_000, index=9, block=9)
    stranger.services.ingest(chain([part], number=9, ts_seen=ts))
    stranger.run_workflows()
    last = {}
    for account in ("main", STRANGER):
        pk = portfolio_pk(f"{account}/global", 1)
        found = stranger.store.query(
            Attempt, "portfolio", pk, start="attempt#", end="attempt$", newest_first=True, limit=1
        )
        last[account] = Reason.MARKET_BLACKLISTED in found[0].reasons
    assert last == {"main": False, STRANGER: True}
    assert stranger.store.query(MarketLists, "registry", "market_lists")[0].account_id == STRANGER


def test_the_enumerator_knows_every_account_and_no_shadow() -> None:
    system = copied("alice", "zoe")
    assert portfolios.accounts(system.store) == ["alice", "main", "zoe"]
    own = portfolios.portfolios_of(system.store, "zoe")
    assert {ref.account_id for ref in own} == {"zoe"}
    everything = portfolios.all_portfolios(system.store)
    assert len({ref.portfolio_id for ref in everything}) == len(everything) == 7


def _names(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return names | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def test_nothing_that_is_shown_enumerates_accounts() -> None:
    shown_by = [*(SERVICES / "services/read_models").glob("*.py"), *(SERVICES / "api").glob("*.py")]
    shown_by += [SERVICES / "services/exports.py", SERVICES / "services/reset_paper.py"]
    assert len(shown_by) > 10
    for path in shown_by:
        assert not {"all_portfolios", "accounts"} & _names(path), path


def _walks_portfolios(path: Path) -> bool:
    """Whether a module queries the partition that lists the portfolios."""
    calls = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
    return any(
        isinstance(argument, ast.Constant) and argument.value == "portfolios"
        for call in calls
        if isinstance(call.func, ast.Attribute) and call.func.attr == "query"
        for argument in call.args
    )


def test_the_list_of_portfolios_is_walked_in_one_place() -> None:
    walkers = [path.name for path in SERVICES.rglob("*.py") if _walks_portfolios(path)]
    assert walkers == ["portfolios.py"]
