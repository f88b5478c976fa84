"""Exchange contracts are rows: new ones, upgraded ones, and logs of both."""

from __future__ import annotations

import json

from feed_fakes import WALLET, kind_of, log_in, notification, upgrade_log
from listening import confirm, legs, listening, only, open_socket, ts

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.exchange_log import LIVE_EXCHANGES
from chalicelib.domain.registry import ExchangeContract
from chalicelib.services.exchanges import (
    DEFAULTS,
    exchanges,
    generations,
    record_upgrade,
    seed_exchanges,
)
from chalicelib.watcher.outputs import Counted, Refused, Send, Upgraded
from chalicelib.watcher.session import PolygonSession

NEW = "0x" + "e4" * 20
CODE = "0x" + "c0" * 20
NEWER = "0x" + "c1" * 20
PROXY = LIVE_EXCHANGES[2]
KNOWN = list(DEFAULTS)
WITH_NEW = [*KNOWN, ExchangeContract(NEW, "v3", True)]


def test_a_new_exchange_is_listened_to_before_the_old_filters_end() -> None:
    session = listening()
    assert session.set_exchanges(KNOWN, ts(101)) == []
    outputs = session.set_exchanges(WITH_NEW, ts(101))
    asked = [sent.text for sent in only(Send, outputs)]
    assert [kind_of(text) for text in asked] == ["fills", "upgrades"]
    for text in asked:
        assert json.loads(text)["params"][1]["address"] == [*LIVE_EXCHANGES, NEW]
    ended = only(Send, confirm(session, outputs, ts(102)))
    assert [kind_of(sent.text) for sent in ended] == ["end", "end"]
    assert session.exchanges == (*LIVE_EXCHANGES, NEW)


def test_its_fills_are_decoded_and_those_of_strangers_are_not() -> None:
    session = listening()
    log = notification(log_in(101, address=NEW))
    assert session.receive(log, ts(101)) == []
    session.set_exchanges(WITH_NEW, ts(101))
    (leg,) = legs(session.receive(log, ts(101)))
    assert leg.shares == 100_000_000


def test_an_exchange_that_is_no_longer_live_is_decoded_but_not_listened_to() -> None:
    session = listening()
    gone = [c if c.address != PROXY else ExchangeContract(PROXY, "v3", False) for c in KNOWN]
    outputs = session.set_exchanges(gone, ts(101))
    for sent in only(Send, outputs):
        assert PROXY not in sent.text
    assert len(legs(session.receive(notification(log_in(101, address=PROXY)), ts(101)))) == 1


def test_no_exchange_at_all_changes_nothing() -> None:
    session = listening()
    assert session.set_exchanges([], ts(101)) == []
    assert session.exchanges == LIVE_EXCHANGES


def test_changes_while_offline_are_in_the_next_filters() -> None:
    session = PolygonSession({WALLET: "lead"})
    assert session.set_exchanges(WITH_NEW, 0) == []
    frames = session.connected(1)
    assert all(NEW in frame for frame in frames if kind_of(frame) != "heads")


def test_an_upgrade_is_reported_once_and_named_in_the_health() -> None:
    session = listening()
    frame = notification(upgrade_log(PROXY, CODE))
    assert session.receive(frame, ts(101)) == [
        Counted("exchange_upgraded"),
        Upgraded(PROXY, CODE),
    ]
    assert session.receive(frame, ts(101)) == []
    health = session.health(ts(101))
    assert health.up
    assert health.detail == f"listening for 1 wallets; exchange {PROXY} was upgraded to {CODE}"
    assert only(Upgraded, session.receive(notification(upgrade_log(PROXY, NEWER)), ts(102)))


def test_a_known_upgrade_a_removed_one_and_one_of_a_stranger_are_no_news() -> None:
    session = listening()
    session.set_exchanges([ExchangeContract(PROXY, "v3", True, CODE)], ts(101))
    for log in (
        upgrade_log(PROXY, CODE),
        upgrade_log(PROXY, NEWER, removed=True),
        upgrade_log("0x" + "99" * 20, NEWER),
    ):
        assert session.receive(notification(log), ts(101)) == []


def test_a_malformed_upgrade_is_refused() -> None:
    log = upgrade_log(PROXY, CODE)
    topics = log["topics"]
    assert isinstance(topics, list)
    (refused,) = listening().receive(notification(log | {"topics": [topics[0], "0x1"]}), 1)
    assert isinstance(refused, Refused)


def test_the_built_in_contracts_are_stored_once_and_then_edited_by_people() -> None:
    store = MemoryStore()
    assert [c.address for c in exchanges(store)] == [c.address for c in DEFAULTS]
    assert seed_exchanges(store) == len(DEFAULTS)
    assert seed_exchanges(store) == 0
    assert {c.address: c.live for c in exchanges(store)} == {c.address: c.live for c in DEFAULTS}
    assert generations(store)[PROXY] == "v3"


def test_an_upgrade_is_stored_once() -> None:
    store = MemoryStore()
    assert record_upgrade(store, PROXY, CODE)
    assert not record_upgrade(store, PROXY, CODE)
    assert record_upgrade(store, PROXY, NEWER)
    assert not record_upgrade(store, "0x" + "99" * 20, CODE)
    assert len(exchanges(store)) == len(DEFAULTS)
    (row,) = [c for c in exchanges(store) if c.address == PROXY]
    assert (row.implementation, row.generation, row.live) == (NEWER, "v3", True)


def test_reopened_sockets_listen_for_upgrades_too() -> None:
    session = listening()
    session.disconnected("gone")
    open_socket(session, ts(110))
    frames = session.connected(ts(111))
    assert [kind_of(frame) for frame in frames] == ["heads", "fills", "upgrades"]
