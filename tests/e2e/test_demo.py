"""A small demo on either engine ends well, and its verdict would not if something were wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, cast

import pytest

from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.portfolio import Head
from chalicelib.domain.trade import Trade
from chalicelib.keyspace import head_key, key_of, trade_key
from chalicelib.ports import Delete, Put
from infra.local.demo import demo
from infra.local.ground_truth import Verdict, compare, ledgers_hold
from infra.local.simulator_process import SimulatorProcess
from infra.local.stack import EngineName
from infra.local.staged import ENDINGS, Scenes
from simulator.scenes import SCENES
from tests.workflow.harness import LEADER, T0, TOKEN, System, api, chain, leg, row, tx

M = 1_000_000
FILLS = 25
SCRIPTED_FILLS = sum(len(scene.entrances) for scene in SCENES)
ENGINES: tuple[EngineName, ...] = ("embedded", "aws")


@pytest.fixture(scope="module")
def runs() -> dict[str, tuple[bool, list[str]]]:
    """Both demos side by side, because what one does most of the time is wait."""

    def run(engine: EngineName) -> tuple[bool, list[str]]:
        said: list[str] = []
        return demo(engine, FILLS, said.append), said

    with ThreadPoolExecutor(len(ENGINES)) as pool:
        return dict(zip(ENGINES, pool.map(run, ENGINES), strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_nothing_is_missed_duplicated_or_wrong(
    runs: dict[str, tuple[bool, list[str]]], engine: EngineName
) -> None:
    clean, said = runs[engine]
    assert clean, "\n".join(said)
    table = said[-1]
    fills = FILLS + SCRIPTED_FILLS
    for label, count in (
        ("leader fills (ground truth)", fills),
        ("seen by chain", fills),
        ("seen by API", fills),
        ("missed", 0),
        ("duplicated", 0),
        ("wrong", 0),
    ):
        assert re.search(rf"^ *{re.escape(label)}  +{count}$", table, re.MULTILINE), table


@pytest.mark.parametrize("engine", ENGINES)
def test_every_outcome_and_every_reason_of_prices_and_books_occurs(
    runs: dict[str, tuple[bool, list[str]]], engine: EngineName
) -> None:
    _, said = runs[engine]
    assert not any(line.startswith("did not occur") for line in said)
    table = said[-2]
    for name in (
        "FILLED", "PARTIAL", "CANCELLED", "SKIPPED",
        "WORSE_THAN_LEADER", "BEYOND_MID", "PRICE_MOVED", "SPREAD_TOO_WIDE", "DEPTH_TOO_THIN",
        "BOOK_STALE", "NO_LIQUIDITY_WITHIN_BOUNDS", "REMAINDER_CANCELLED",
    ):  # fmt: skip
        assert re.search(rf"^{name} +[1-9]", table, re.MULTILINE), (name, table)


def test_every_scene_has_an_ending_and_is_missed_when_it_does_not_occur() -> None:
    names = [scene.name for scene in SCENES]
    assert {ending.scene for ending in ENDINGS} == set(names)
    scenes = Scenes({str(number): name for number, name in enumerate(names)}, SCRIPTED_FILLS)
    assert scenes.missing([]) == [str(ending) for ending in ENDINGS]
    assert Scenes({}, 0).missing([]) == []


class Truth:
    """What a simulator would say about three fills of one leader."""

    def control(self, path: str, **query: Any) -> Any:
        if path == "positions":
            return {LEADER: {TOKEN: {"shares_micros": 350 * M}}}
        legs = [(1, 100, 1), (1, 200, 2), (2, 50, 3)]
        fills = [
            {
                "wallet": LEADER,
                "tx_hash": tx(number),
                "token_id": TOKEN,
                "side": "BUY",
                "shares_micros": shares * M,
                "cash_micros": shares * 500_000,
                "logged_cash_micros": shares * 500_000,
                "fee_micros": 0,
                "role": "maker",
                "block_hash": f"0x{1:064x}",
                "log_index": index,
            }
            for number, shares, index in legs
        ]
        return {"fills": fills[query["after"] :], "total": len(fills), "done": True}


@pytest.fixture
def system() -> System:
    """A system that recorded exactly that."""
    made = System()
    made.follow()
    made.services.ingest(chain([leg(100 * M, 500_000, index=1), leg(200 * M, 500_000, index=2)]))
    made.services.ingest(api([row(100 * M, 500_000), row(200 * M, 500_000)]))
    made.services.ingest(chain([leg(50 * M, 500_000, index=3)], number=2))
    return made


def verdict(system: System) -> Verdict:
    return compare(system.store, cast("SimulatorProcess", Truth()), "both", T0)


def stored(system: System) -> Trade:
    found = system.store.get(Trade, trade_key(trade_id(LEADER, tx(1), TOKEN, "BUY")))
    assert found is not None
    return found


def lost(system: System) -> None:
    trade = stored(system)
    system.store.commit([Delete(key_of(trade), trade.version)])


def halved(system: System) -> None:
    trade = stored(system)
    system.store.commit([Put(replace(trade, legs=trade.legs[:1], rows=()))])


def doubled(system: System) -> None:
    trade = stored(system)
    again = replace(trade.legs[0], log_index=99)
    system.store.commit([Put(replace(trade, legs=(*trade.legs, again)))])


def cheaper(system: System) -> None:
    trade = stored(system)
    first = replace(trade.legs[0], cash=trade.legs[0].cash - 1)
    system.store.commit([Put(replace(trade, legs=(first, *trade.legs[1:])))])


def elsewhere(system: System) -> None:
    trade = stored(system)
    legs = tuple(replace(one, block_hash=tx(77)) for one in trade.legs)
    system.store.commit([Put(replace(trade, legs=legs))])


def taken(system: System) -> None:
    trade = stored(system)
    legs = tuple(replace(one, role="taker") for one in trade.legs)
    system.store.commit([Put(replace(trade, legs=legs))])


def invented(system: System) -> None:
    system.services.ingest(chain([leg(M, 500_000, index=5)], number=3))


def posted_twice(system: System) -> None:
    position = system.position(f"shadow/{LEADER}")
    system.store.commit([Put(replace(position, shares=position.shares + 100 * M))])


Tampering = Callable[[System], None]


def test_what_is_true_is_clean(system: System) -> None:
    found = verdict(system)
    assert found.clean
    assert (found.truth, found.seen_chain, found.seen_api) == (3, 3, 2)
    assert ledgers_hold(system.store) == []


@pytest.mark.parametrize(
    ("tamper", "missed", "duplicated", "wrong"),
    [
        (lost, 2, 0, 0),
        (halved, 1, 0, 1),
        (doubled, 0, 1, 1),
        (cheaper, 0, 0, 1),
        (elsewhere, 0, 0, 1),
        (taken, 0, 0, 1),
        (invented, 0, 0, 2),
        (posted_twice, 0, 0, 1),
    ],
)
def test_what_was_tampered_with_is_found(
    system: System, tamper: Tampering, missed: int, duplicated: int, wrong: int
) -> None:
    tamper(system)
    found = verdict(system)
    assert not found.clean
    counts = (len(found.missed), len(found.duplicated), bool(found.wrong))
    assert counts == (missed, duplicated, bool(wrong)), found


def test_a_ledger_that_does_not_add_up_is_found(system: System) -> None:
    head = system.store.get(Head, head_key(f"shadow/{LEADER}", 1))
    assert head is not None
    system.store.commit([Put(replace(head, cash=head.cash + 1))])
    assert len(ledgers_hold(system.store)) == 1
