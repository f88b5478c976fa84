"""What is asked wrongly is refused with a problem that names the parameter; nothing ends in a 500
because of what a caller sent."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.api.reading import Sources
from tests.api.calling import Api, trading
from tests.workflow.harness import System

SYSTEM = trading(days=2, trades_per_day=4)
LISTINGS = ("/api/trades", "/api/copy-attempts", "/api/completeness")
TEXT = st.text(max_size=60)


@pytest.fixture
def api() -> Api:
    return Api(SYSTEM)


@pytest.mark.parametrize(
    ("target", "named"),
    [
        ("/api/health?verbose=1", "verbose"),
        ("/api/overview?leader=0x1", "leader"),
        ("/api/trades?portfolio=main/global", "portfolio"),
        ("/api/trades?limit=0", "limit"),
        ("/api/trades?limit=201", "limit"),
        ("/api/trades?limit=-1", "limit"),
        ("/api/trades?limit=1.5", "limit"),
        ("/api/trades?limit=", "limit"),
        ("/api/trades?limit=%D9%A3", "limit"),
        ("/api/trades?limit=000000001999", "limit"),
        (f"/api/trades?limit=000000001{'9' * 5000}", "limit"),
        ("/api/trades?leader=0x12", "leader"),
        ("/api/trades?leader=", "leader"),
        ("/api/trades?cursor=", "cursor"),
        ("/api/trades?cursor=7", "cursor"),
        (f"/api/trades?cursor=2026-11-20~{'x' * 300}", "cursor"),
        ("/api/copy-attempts?decision=MAYBE", "decision"),
        ("/api/copy-attempts?leader=0x1", "leader"),
        ("/api/copy-attempts?cursor=nonsense", "cursor"),
        ("/api/completeness?decision=SKIP", "decision"),
        ("/api/completeness?cursor=nonsense", "cursor"),
        ("/api/latency?leader=0x1", "leader"),
    ],
)
def test_a_wrong_parameter_is_named(api: Api, target: str, named: str) -> None:
    answer = api.get(target)
    assert answer.status == 400
    assert answer.body["detail"].startswith(f"{named}: ")


@pytest.mark.parametrize("limit", [1, 200])
@pytest.mark.parametrize("path", LISTINGS)
def test_the_bounds_of_a_page_are_allowed(api: Api, path: str, limit: int) -> None:
    assert api.get(f"{path}?limit={limit}").status == 200


@settings(max_examples=150, deadline=None)
@given(path=st.sampled_from(LISTINGS), cursor=TEXT, limit=st.integers(1, 200))
@example(path=LISTINGS[0], cursor="9999-99-99~\U0010ffff", limit=1)
@example(path=LISTINGS[0], cursor="0000000000~0", limit=1)
@example(path=LISTINGS[0], cursor="2026-11-18~\0", limit=200)
@example(path=LISTINGS[1], cursor="##########~~~", limit=5)
def test_any_cursor_gets_an_answer_or_a_refusal(path: str, cursor: str, limit: int) -> None:
    answer = Api(SYSTEM).get(f"{path}?limit={limit}&cursor={quote(cursor)}")
    assert answer.status in (200, 400)


@settings(max_examples=100, deadline=None)
@given(day=st.sampled_from(["2026-11-18", "2026-11-17", "2099-01-01"]), rest=TEXT)
def test_a_forged_cursor_never_breaks_the_sqlite_store(day: str, rest: str) -> None:
    answer = Api(SYSTEM, store=EMPTY).get(f"/api/trades?cursor={quote(f'{day}~{rest}')}")
    assert answer.status in (200, 400)


@settings(max_examples=100, deadline=None)
@given(
    path=st.sampled_from(["/api/health", "/api/overview", "/api/latency", *LISTINGS]),
    query=st.dictionaries(
        st.sampled_from(["limit", "cursor", "leader", "portfolio", "decision", "x", ""]) | TEXT,
        TEXT,
        max_size=4,
    ),
)
def test_any_query_gets_an_answer_or_a_refusal(path: str, query: dict[str, str]) -> None:
    text = "&".join(f"{quote(name)}={quote(value)}" for name, value in query.items())
    assert Api(SYSTEM).get(f"{path}?{text}").status in (200, 400)


EMPTY = SqliteStore(":memory:")


def test_a_store_that_fails_is_503_and_says_what_failed(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "papercopy.sqlite3")
    api = Api(System(), store=store)
    # Signed in before the store failed: what fails is the view, not the door.
    assert api.get("/api/overview").status == 200
    store.close()
    for path in ("/api/health", "/api/overview", "/api/latency", *LISTINGS):
        answer = api.get(path)
        assert answer.status == 503
        assert "closed" in answer.body["detail"]


def test_a_failure_of_ours_is_a_500_without_its_trace(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> dict[str, object]:
        raise ZeroDivisionError("secret detail")

    Sources.health = broken
    answer = api.get("/api/health")
    assert answer.status == 500
    assert "secret" not in str(answer.body)
    assert "ZeroDivisionError" in caplog.text
