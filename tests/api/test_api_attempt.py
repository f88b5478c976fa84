"""One attempt in full and the tape around it: everything that was stored is told, bounded, and
only of what the caller may name."""

from __future__ import annotations

from base64 import urlsafe_b64encode
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.domain.completeness import lags_of
from chalicelib.domain.reasons import EXPLANATIONS, Reason
from chalicelib.domain.rules import CopyRules
from chalicelib.ports import Put
from chalicelib.services.market_directory import store_market
from chalicelib.services.read_models.tape_series import (
    BEST_POINTS_MAX,
    DEPTH_MOMENTS_MAX,
    LEVELS_MAX,
    series_of,
)
from tests.api.calling import Api
from tests.browser import fixture_server
from tests.browser.fixture_attempts import CASES
from tests.unit.tapes import segment, tape
from tests.unit.wire import NOW_MS
from tests.workflow.harness import CONDITION, TOKEN, M, market
from tests.workflow.taped import DECIDED, START, TapedSystem

BIDS = [(50.0, 500), (49.0, 800)]
ASKS = [(51.0, 60), (54.0, 400)]
GALLERY = fixture_server.gallery()


def ref(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.fixture
def partly() -> TapedSystem:
    """A BUY whose offer had shrunk to 20 of 60 shares when it was placed; the rest waits."""
    system = TapedSystem()
    system.record(BIDS, ASKS, [(DECIDED + 200, "ask", 51.0, 20)])
    system.expect_tape()
    system.buys(shares=4_000, price=500_000)
    system.at(DECIDED + 4_000)
    return system


def the_row(system: TapedSystem) -> dict[str, Any]:
    rows = Api(system).get("/api/copy-attempts?portfolio=main/global").items
    assert len(rows) == 1
    return rows[0]


def test_the_detail_has_the_row_and_what_a_row_has_no_room_for(partly: TapedSystem) -> None:
    row = the_row(partly)
    answer = Api(partly).get(f"/api/copy-attempts/{row['ref']}")
    assert answer.status == 200
    detail = answer.body
    assert {name: detail[name] for name in row} == row
    assert (row["status"], row["filled_shares_micros"]) == ("PARTIAL", 20 * M)
    assert row["ts_done"] is None and row["known_until"] is not None
    (part,) = detail["execution"]["slices"]
    assert part["levels"] == [{"price_micros": 510_000, "shares_micros": 20 * M}]
    assert part["cash_micros"] == 20 * 510_000
    assert detail["execution"]["rests"]
    assert detail["execution"]["segments"]
    assert detail["order"]["ts_expiry"] == detail["order"]["ts_placed"] + 30_000
    assert detail["slippage"]["leader_micros"] == 510_000 - 500_000
    assert detail["decided"]["segment"]
    assert detail["decided"]["reasons"] == []
    assert {check["state"] for check in detail["checks"]} == {"passed"}
    assert [p["latency_ms"] for p in detail["stress"]["points"]]


def test_it_ends_as_the_order_does(partly: TapedSystem) -> None:
    partly.at(DECIDED + 40_000)
    row = the_row(partly)
    detail = Api(partly).get(f"/api/copy-attempts/{row['ref']}").body
    assert row["status"] == "CANCELLED" and row["known_until"] is None
    assert row["ts_done"] == detail["order"]["ts_expiry"]
    assert detail["reasons"] == [
        {"code": "REMAINDER_CANCELLED", "text": EXPLANATIONS[Reason.REMAINDER_CANCELLED]}
    ]


def test_the_tape_shows_the_book_from_before_the_decision_to_the_end(partly: TapedSystem) -> None:
    row = the_row(partly)
    drawn = Api(partly).get(f"/api/copy-attempts/{row['ref']}/tape").body
    decided = row["ts_decided"]
    assert drawn["ts_from"] == decided - 5_000
    assert drawn["ts_until"] == drawn["ts_end"] + 2_000
    assert drawn["ts_end"] == partly.clock.now_ms()
    assert (drawn["source"], drawn["complete"], drawn["rests"]) == ("tape", True, True)
    assert drawn["gaps"] == [[decided - 5_000, START - 1_000]]
    assert drawn["limit_micros"] == row["limit_micros"]
    assert drawn["leader"] == {"ts": row["ts_block"], "price_micros": 500_000}
    assert [(f["price_micros"], f["shares_micros"]) for f in drawn["fills"]] == [(510_000, 20 * M)]
    known = [p for p in drawn["best"] if p["bid_micros"] is not None]
    assert {(p["bid_micros"], p["ask_micros"]) for p in known} == {(500_000, 510_000)}
    asks = [dict(map(tuple, moment["asks"]))[510_000] for moment in drawn["depth"]]
    assert asks == [60 * M, 20 * M]


def test_without_a_tape_the_source_is_the_snapshot() -> None:
    system = TapedSystem()
    system.buys()
    system.at(DECIDED + 1_000)
    row = the_row(system)
    drawn = Api(system).get(f"/api/copy-attempts/{row['ref']}/tape").body
    assert (drawn["source"], drawn["recorded"], drawn["complete"]) == ("rest", False, False)
    assert drawn["best"] == [{"ts": drawn["ts_from"], "bid_micros": None, "ask_micros": None}]
    assert drawn["depth"] == [] and drawn["fills"]
    assert drawn["snapshot"] == {
        "ts": row["ts_decided"],
        "bid_micros": 510_000,
        "ask_micros": 520_000,
    }


def test_bounds_are_told_only_under_the_settings_of_the_decision(partly: TapedSystem) -> None:
    path = f"/api/copy-attempts/{the_row(partly)['ref']}"
    api = Api(partly)
    other = api.get(path).body
    assert not other["bounds_known"]
    assert {(c["at_least"], c["at_most"]) for c in other["checks"]} == {(None, None)}
    api.rules.copying = CopyRules(digest=other["decided"]["rules_digest"])
    same = api.get(path).body
    assert same["bounds_known"]
    spread = next(c for c in same["checks"] if c["check"] == "spread")
    assert (spread["found"], spread["at_most"]) == (10_000, 20_000)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_every_reason_of_a_decision_is_a_failed_check(case: Any) -> None:
    detail = GALLERY.detail(GALLERY.refs[case.name])
    assert detail is not None
    failed = [code for check in detail["checks"] for code in check["reasons"]]
    assert sorted(failed) == sorted(r["code"] for r in detail["decided"]["reasons"])
    assert all((check["state"] == "failed") == bool(check["reasons"]) for check in detail["checks"])
    for reason in (*detail["reasons"], *detail["decided"]["reasons"]):
        assert reason["text"] == EXPLANATIONS[Reason(reason["code"])]


def test_the_gallery_has_every_status_and_every_skip_that_a_book_can_cause() -> None:
    rows = GALLERY.listing()
    statuses = {row["status"] for row in rows}
    assert statuses == {"FILLED", "PARTIAL", "SUBMITTED", "CANCELLED", "SKIPPED", "FAILED"}
    told = {reason["code"] for row in rows for reason in row["reasons"]}
    wanted = """WORSE_THAN_LEADER BEYOND_MID PRICE_MOVED OUTSIDE_PRICE_BAND SPREAD_TOO_WIDE
        DEPTH_TOO_THIN BOOK_MISSING BOOK_STALE BOOK_TOO_LATE NO_LIQUIDITY_WITHIN_BOUNDS
        REMAINDER_KILLED REMAINDER_CANCELLED TAPE_INCOMPLETE MARKET_CLOSES_SOON MARKET_CLOSED"""
    assert set(wanted.split()) <= told


def test_rows_say_where_their_market_stands(partly: TapedSystem) -> None:
    assert the_row(partly)["life_cycle"] == "open"
    store_market(partly.store, market(accepting_orders=False, closed=True, version=1))
    partly.clock.advance(61_000)
    row = the_row(partly)
    assert row["life_cycle"] == "closed"
    detail = Api(partly).get(f"/api/copy-attempts/{row['ref']}").body
    assert detail["market"]["life_cycle"] == "closed"
    assert detail["market"]["condition_id"] == CONDITION


@pytest.mark.parametrize("part", ["", "/tape"])
@pytest.mark.parametrize(
    "name",
    [
        "x",
        "a" * 401,
        ref("nonsense"),
        ref("other/global#1#1795000000000#" + "a" * 64),
        ref("main/global#0#1795000000000#" + "a" * 64),
        ref("main/global#1#-5#" + "a" * 64),
        ref("main/global#1#1795000000000#../../etc"),
        ref("main/global#1#1795000000000#" + "a" * 64 + "#work"),
        "%00",
        "%F0%9F%98%80",
    ],
)
def test_a_name_that_is_not_ours_is_refused(partly: TapedSystem, name: str, part: str) -> None:
    answer = Api(partly).get(f"/api/copy-attempts/{name}{part}")
    assert answer.status == 400
    assert answer.body["detail"].startswith("attempt: ")


@pytest.mark.parametrize("part", ["", "/tape"])
def test_an_attempt_that_is_not_there_is_404(partly: TapedSystem, part: str) -> None:
    name = ref("main/global#1#1795000000000#" + "a" * 64)
    assert Api(partly).get(f"/api/copy-attempts/{name}{part}").status == 404


def test_another_accounts_attempt_cannot_be_named(partly: TapedSystem) -> None:
    mine = partly.attempt()
    foreign = type(mine)(
        **{name: getattr(mine, name) for name in mine.__dataclass_fields__}
        | {"portfolio_id": "other/global", "version": 0}
    )
    partly.store.commit([Put(foreign)])
    decided = foreign.decision.ts_decided
    name = ref(f"other/global#{foreign.epoch}#{decided}#{foreign.attempt_id}")
    assert Api(partly).get(f"/api/copy-attempts/{name}").status == 400


def test_neither_takes_parameters_and_both_revalidate(partly: TapedSystem) -> None:
    path = f"/api/copy-attempts/{the_row(partly)['ref']}"
    api = Api(partly)
    for target in (path, f"{path}/tape"):
        assert api.get(f"{target}?x=1").status == 400
        tag = api.get(target).headers["etag"]
        assert api.get(target, {"If-None-Match": tag}).status == 304


@settings(max_examples=60, deadline=None)
@given(
    events=st.lists(
        st.tuples(
            st.integers(1, 20_000),
            st.sampled_from(["bid", "ask"]),
            st.integers(1, 40),
            st.integers(0, 900),
        ),
        max_size=900,
    ),
    hole=st.integers(0, 9_000),
)
def test_a_series_is_bounded_and_tells_what_the_tape_says(
    events: list[tuple[int, str, int, int]], hole: int
) -> None:
    moves = [(ms, w, p if w == "bid" else 50 + p, s) for ms, w, p, s in sorted(events)]
    whole = segment(
        [(40 - k, 10 + k) for k in range(30)],
        [(51 + k, 10 + k) for k in range(30)],
        moves,
        length=20_000,
    )
    later = segment(
        [(30.0, 5)], [(60.0, 5)], start=NOW_MS + 20_001 + hole, length=5_000, token=whole.token_id
    )
    recorded = tape(whole, later)
    t0, t1 = NOW_MS - 500, NOW_MS + 27_000
    drawn = series_of(recorded, t0, t1)
    assert len(drawn["best"]) <= BEST_POINTS_MAX
    assert len(drawn["depth"]) <= DEPTH_MOMENTS_MAX
    assert all(len(d[side]) <= LEVELS_MAX for d in drawn["depth"] for side in ("bids", "asks"))
    for moment in drawn["depth"]:
        book = recorded.book_at(moment["ts"])
        assert book is not None
        assert moment["bids"] == [[lv.price, lv.shares] for lv in book.bids[:LEVELS_MAX]]
    for point in drawn["best"]:
        book = recorded.book_at(point["ts"])
        if point["bid_micros"] is not None and book is not None:
            assert (point["bid_micros"], point["ask_micros"]) == (book.best_bid, book.best_ask)
    assert all(recorded.book_at((a + b) // 2) is None for a, b in drawn["gaps"] if b - a > 2)


def test_a_tape_of_another_token_shows_nothing() -> None:
    drawn = series_of(tape(token=TOKEN), 0, 10_000)
    assert drawn["gaps"] == [[0, 10_000]]
    assert drawn["depth"] == [] and not drawn["thinned"]


def test_an_order_that_rests_is_not_counted_as_done(partly: TapedSystem) -> None:
    resting = partly.attempt()
    assert sum(lags_of([], [resting]).done) == 0
    partly.at(DECIDED + 40_000)
    assert sum(lags_of([], [partly.attempt()]).done) == 1
