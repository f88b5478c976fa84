"""Portfolios, their series, how copying a leader fares and what skips gave up, as the API says."""

from __future__ import annotations

from typing import Any

import pytest

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.domain.completeness import HourTally
from chalicelib.domain.hindsight import Hindsight
from chalicelib.domain.histogram import SLIPPAGE_BOUNDS
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry
from chalicelib.domain.performance import LeaderCounts
from chalicelib.domain.portfolio import Position
from chalicelib.domain.registry import HoldingsCheck, Leader, PortfolioRef, SignOut
from chalicelib.domain.snapshot import Snapshot
from chalicelib.ports import R, Table
from tests.api.calling import Api, measure
from tests.workflow.harness import LEADER, OTHER, TOKEN, M, System, book, chain, leg

HOUR, DAY = 3_600_000, 86_400_000
SHOWN = (
    "/api/portfolios/main.global",
    f"/api/portfolios/main.leader.{LEADER}",
    f"/api/portfolios/shadow.{LEADER}",
    "/api/portfolios/main.global/snapshots?span=1h",
    "/api/portfolios/main.global/snapshots",
    f"/api/portfolios/shadow.{LEADER}/snapshots?span=all",
    f"/api/users/{LEADER}/performance",
    f"/api/users/{LEADER}/performance?span=1d",
    "/api/skip-ledger",
    f"/api/skip-ledger?leader={LEADER}&portfolio=main.leader.{LEADER}",
)


class WatchedStore(MemoryStore):
    """Knows which kinds of record were read in ranges, and how many at once."""

    def __init__(self) -> None:
        super().__init__()
        self.ranges: set[type] = set()
        self.feeds = 0
        self.most = 0

    def query(self, kind: type[R], table: Table, pk: str, **how: Any) -> list[R]:  # type: ignore[override]
        found = super().query(kind, table, pk, **how)
        self.ranges.add(kind)
        self.most = max(self.most, len(found))
        return found

    def feed(self, kind: type[R], *where: Any, **how: Any) -> list[tuple[str, R]]:  # type: ignore[override]
        self.feeds += 1
        return super().feed(kind, *where, **how)


def trade(system: System, number: int, side: str = "BUY", shares: int = 10_000) -> None:
    ts = system.clock.now_ms()
    part = leg(shares * M, 510_000, ts_block=ts - 2_000, index=number, block=number)
    system.services.ingest(chain([part], number=number, side=side, ts_seen=ts))  # type: ignore[arg-type]
    system.run_workflows()


def passes(system: System, milliseconds: int, step: int) -> None:
    for _ in range(milliseconds // step):
        system.clock.advance(step)
        system.services.mark_portfolios()


def lived() -> System:
    """Two days: a buy on the first, a skip and a sell at a gain on the second."""
    system = System(store=WatchedStore())
    system.follow()
    system.follow(OTHER, "bea")
    system.clock.advance(10_000)
    trade(system, 1)
    passes(system, 2 * HOUR, 300_000)
    system.venue.books[TOKEN] = book(560_000, 580_000)
    passes(system, DAY, HOUR)
    system.venue.books[TOKEN] = book(510_000, 520_000, M)
    trade(system, 2)
    system.venue.books[TOKEN] = book(600_000, 620_000)
    trade(system, 3, "SELL", 5_000)
    passes(system, HOUR, 60_000)
    system.services.look_back()
    measure(system)
    return system


@pytest.fixture(scope="module")
def system() -> System:
    return lived()


@pytest.fixture
def api(system: System) -> Api:
    return Api(system)


@pytest.mark.parametrize("target", SHOWN)
def test_every_page_revalidates_without_a_body(api: Api, target: str) -> None:
    first = api.get(target)
    assert first.status == 200
    again = api.get(target, {"If-None-Match": first.headers["etag"]})
    assert (again.status, again.body) == (304, None)


@pytest.mark.parametrize("target", SHOWN)
def test_no_page_reads_history(api: Api, system: System, target: str) -> None:
    """Snapshots, counters and sums; of ledger, attempts and positions nothing."""
    store = system.store
    assert isinstance(store, WatchedStore)
    store.ranges, store.feeds, store.most = set(), 0, 0
    assert api.get(target).status == 200
    kinds = {Leader, PortfolioRef, SignOut, Snapshot, LeaderCounts, Hindsight, HourTally}
    assert store.ranges <= kinds
    assert not store.ranges & {Entry, Attempt, Position}
    assert store.feeds == 0
    assert store.most <= 300


def test_the_overview_reads_no_positions_while_nothing_moved(api: Api, system: System) -> None:
    store = system.store
    assert isinstance(store, WatchedStore)
    store.ranges = set()
    body = api.get("/api/overview").body
    assert store.ranges <= {Leader, PortfolioRef, SignOut, Snapshot, HourTally, HoldingsCheck}
    rows = {row["portfolio_id"]: row for row in body["portfolios"]}
    for name, row in rows.items():
        shown = api.get(f"/api/portfolios/{name.replace('/', '.')}").body
        assert row["equity_micros"] == shown["snapshot"]["equity_micros"]
        assert row["unrealized_micros"] == shown["snapshot"]["unrealized_micros"]


def test_a_portfolios_measures(api: Api, system: System) -> None:
    body = api.get("/api/portfolios/main.global").body
    head, position = system.head(), system.position()
    unrealized = position.shares * 610_000 // M - position.cost
    assert (body["closings"], body["wins"], body["win_rate_micros"]) == (1, 1, M)
    gain = head.realized + unrealized - head.fees
    assert body["gain_micros"] == body["week_micros"] == gain
    assert body["snapshot"]["equity_micros"] == head.starting_cash + gain
    assert 0 < body["today_micros"] < gain, "the rest was earned on the first day"
    assert body["exposure_micros"] == position.shares * 610_000 // M
    (mine,) = [row for row in body["leaders"] if row["leader"] == LEADER]
    assert mine["gain_before_fees_micros"] == gain + head.fees
    rates = mine["rates"]
    assert (rates["attempts"], rates["executed"], rates["filled"]) == (3, 2, 2)
    assert rates["attempt_rate_micros"] == 666_667
    gap = mine["tracking"]
    assert gap["gap_micros"] == gap["return_micros"] - gap["shadow_return_micros"]
    # Bought one cent above his price, and sold above it.
    sold = gap["sold_micros"] - gap["sold_micros"] * 510_000 // 600_000
    paid = gap["bought_micros"] - gap["bought_micros"] * 510_000 // 520_000
    assert abs(gap["paid_beyond_his_micros"] - (paid - sold)) <= 2
    shadow = api.get(f"/api/portfolios/shadow.{LEADER}").body
    assert shadow["leaders"] == []
    assert shadow["closings"] == 1


def test_a_series_ends_with_the_present_minute_and_is_bounded(api: Api, system: System) -> None:
    for span, least, most in (("1h", 56, 61), ("1d", 20, 289), ("7d", 20, 169), ("all", 2, 4)):
        body = api.get(f"/api/portfolios/main.global/snapshots?span={span}").body
        times = [point["ts"] for point in body["points"]]
        assert times == sorted(set(times))
        assert least <= len(times) <= most, span
        assert system.clock.now_ms() - times[-1] < 300_000
        present = api.get("/api/portfolios/main.global").body["snapshot"]
        assert body["points"][-1] == present
    assert body["span"] == "all"


def test_how_copying_a_leader_fares(api: Api) -> None:
    body = api.get(f"/api/users/{LEADER}/performance?span=30d").body
    assert [row["portfolio_id"] for row in body["portfolios"]] == [
        f"main/leader/{LEADER}",
        "main/global",
    ]
    copied = body["portfolios"][1]
    assert copied["rates"]["attempts"] == 3
    assert [(one["code"], one["count"]) for one in copied["skips"]] == [("DEPTH_TOO_THIN", 1)]
    assert copied["slippage"]["bounds_micros"] == list(SLIPPAGE_BOUNDS)
    assert copied["slippage"]["leader"]["count"] == 2
    assert copied["slippage"]["leader"]["p95_micros"] == 10_000
    assert body["shadow"]["win_rate_micros"] is not None
    assert {one["stage"] for one in body["delays"]["stages"]} >= {"decided", "placed", "done"}
    lately = api.get(f"/api/users/{LEADER}/performance?span=1d").body["portfolios"][1]
    assert lately["rates"]["attempts"] == 2, "the newest hours only"
    quiet = api.get(f"/api/users/{OTHER}/performance").body["portfolios"][1]
    assert quiet["rates"]["attempts"] == 0
    assert quiet["tracking"] is None


def test_what_skips_gave_up(api: Api) -> None:
    body = api.get("/api/skip-ledger").body
    every = [row for row in body["total"] if row["reason"] is None]
    assert [(row["horizon"], row["signals"], row["won"]) for row in every] == [("1h", 1, 1)]
    alone = [row for row in body["total"] if row["alone"]]
    assert [row["reason"] for row in alone] == ["DEPTH_TOO_THIN"]
    assert alone[0]["gain_micros"] == every[0]["gain_micros"] > 0
    assert [row["leader"] for row in body["leaders"]] == [LEADER]
    assert [row["estimated"] for row in every] == [1], "nothing was recorded"
    other = api.get(f"/api/skip-ledger?leader={OTHER}").body
    assert (other["total"], other["unjudged"], other["unjudged_reasons"]) == ([], 0, [])


def test_skips_of_which_no_order_is_known_are_told_apart(api: Api, system: System) -> None:
    trade(system, 4, shares=1)
    body = api.get("/api/skip-ledger").body
    assert body["unjudged"] == 1
    (reason,) = body["unjudged_reasons"]
    assert (reason["code"], reason["count"]) == ("LEADER_TRADE_TOO_SMALL", 1)
    mine = api.get(f"/api/skip-ledger?leader={LEADER}").body
    assert (mine["unjudged"], mine["unjudged_reasons"]) == (1, [reason])


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/api/portfolios/main.nothing", 404),
        ("/api/portfolios/other.global", 404),
        ("/api/portfolios/main", 400),
        ("/api/portfolios/main.global.x.y.z", 400),
        ("/api/portfolios/MAIN.global", 400),
        ("/api/portfolios/main.global?span=1d", 400),
        ("/api/portfolios/main.global/snapshots?span=2d", 400),
        ("/api/portfolios/main.nothing/snapshots", 404),
        (f"/api/users/{'0x' + '9' * 40}/performance", 404),
        ("/api/users/ada/performance", 400),
        (f"/api/users/{LEADER}/performance?span=", 400),
        (f"/api/skip-ledger?portfolio=shadow.{LEADER}", 404),
        ("/api/skip-ledger?leader=ada", 400),
    ],
)
def test_what_is_not_there_or_asked_wrongly_is_refused(api: Api, target: str, status: int) -> None:
    assert api.get(target).status == status
