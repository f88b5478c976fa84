"""The fast way of reading price changes says exactly what the careful one says, or nothing."""

from __future__ import annotations

import json
from copy import deepcopy

import pytest
from book_venue import FEED, MARKET, NO, T0, YES, SmallVenue
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.adapters.polymarket.market_events import LevelChanges, MalformedEvent
from chalicelib.adapters.polymarket.market_ws import parse_event, parse_frame
from chalicelib.watcher import book_frames
from chalicelib.watcher.book_store import BookStore

NUMBERS = (
    st.decimals(0, 1, places=4).map(str)
    | st.integers(1, 9_999).map(lambda n: f"0.{n:04d}")
    | st.decimals(0, 10**9, places=2).map(str)
    | st.sampled_from(
        ["0", "1", "", "1e-2", "0.5 ", "٠.٥", "-0.1", "+0.5", ".5", "5.", "0.1234567", "0.5000000",
         "1_0", "1" * 14, "1000000000000", "1000000000001", "nan", "0x1", "00.5", "1e400"]
    )
)  # fmt: skip
ODD = st.sampled_from([None, 5, 0.5, True, [], {}, ["0.5"], "x"])
VENUE = SmallVenue({480_000: 5_000_000}, {500_000: 3_000_000}, T0 - 1_000)
FIELDS = ["asset_id", "price", "size", "side", "hash", "best_bid", "best_ask"]


def frame_of() -> dict[str, object]:
    """A usual frame; its best prices are those of the book it changes."""
    frame: dict[str, object] = json.loads(VENUE.frame(T0, [(True, 460_000, 1_230_000)]))
    return frame


def told() -> BookStore:
    """A store with the venue's book that knows the names of the usual frame."""
    store = BookStore()
    store.track({FEED: [YES, NO]})
    store.frame(VENUE.dump(), FEED, T0)
    store.names.learn(frame_of())
    return store


def state(store: BookStore) -> list[object]:
    found: list[object] = []
    for book in store.books.values():
        stated = book.last.get("hash")
        found += [book.bids, book.asks, list(book.ring), book.ts_venue, book.broken_from]
        found += [book.best_bid, book.best_ask, stated if isinstance(stated, str) else ""]
    return found


def check(event: dict[str, object]) -> bool:
    """Whether the fast way read it; if so, the careful way says the same."""
    quick, careful = told(), told()
    if not quick.price_change(event, FEED, T0 + 9):
        return False
    parsed = parse_event(event, T0 + 9)
    assert isinstance(parsed, LevelChanges)
    careful.event(parsed, FEED, T0 + 9)
    assert state(quick) == state(careful)
    return True


def test_the_usual_frame_takes_the_fast_way() -> None:
    assert check(frame_of())


@settings(max_examples=400)
@given(st.sampled_from(FIELDS), st.integers(0, 1), NUMBERS | ODD | st.text(max_size=8))
def test_any_value_of_any_field(name: str, which: int, value: object) -> None:
    event = deepcopy(frame_of())
    event["price_changes"][which][name] = value  # type: ignore[index]
    check(event)


@given(
    st.sampled_from(["market", "timestamp", "price_changes", "event_type"]),
    ODD | st.sampled_from(["1795000000001", " 5", "5_0", "٥", "9" * 16, "book", "0x" + "3C" * 32]),
)
def test_any_value_beside_the_changes(name: str, value: object) -> None:
    check(frame_of() | {name: value})


@given(st.sampled_from(FIELDS), st.integers(0, 1))
def test_a_missing_field_is_left_to_the_careful_way(name: str, which: int) -> None:
    event = deepcopy(frame_of())
    del event["price_changes"][which][name]  # type: ignore[index]
    assert check(event) == (name == "hash"), "without a hash it is complete"


@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=5))
def test_prices_and_sizes_are_exact(pairs: list[tuple[str, str]]) -> None:
    rows = [frame_of()["price_changes"][0] | {"price": p, "size": s} for p, s in pairs]  # type: ignore[index]
    check(frame_of() | {"price_changes": rows})


def test_names_are_learnt_from_the_careful_way_only() -> None:
    store = BookStore()
    store.track({FEED: [YES]})
    assert not store.price_change(frame_of(), FEED, T0)
    unknown = json.dumps(frame_of() | {"market": "0x12"})
    assert len(store.frame(unknown, FEED, T0)) == 1, "malformed"
    assert store.frame(json.dumps(frame_of()), FEED, T0) == ()
    assert store.names.markets == {MARKET}
    assert store.names.tokens == {YES, NO}
    assert store.price_change(frame_of(), FEED, T0)


def test_what_is_odd_in_the_middle_of_a_frame_leaves_its_books_in_doubt() -> None:
    store = told()
    odd = frame_of()
    odd["price_changes"][1]["size"] = "many"  # type: ignore[index]
    (event,) = store.frame(json.dumps(odd), FEED, T0 + 9)
    assert isinstance(event, MalformedEvent)
    assert [book.broken_from is None for book in store.books.values()] == [False, False]


@given(st.lists(st.sampled_from(["usual", "later", "other", "bare"]), max_size=5))
def test_an_array_says_what_its_events_say(kinds: list[str]) -> None:
    """Odd neighbours included: every event is applied once, in order."""
    bare = frame_of()
    del bare["price_changes"][0]["best_bid"]  # type: ignore[attr-defined]
    made = {
        "usual": frame_of(),
        "later": frame_of() | {"timestamp": str(T0 + 1)},
        "other": {"event_type": "novelty"},
        "bare": bare | {"timestamp": str(T0 + 1)},
    }
    store, plain = told(), told()
    heard = store.frame(json.dumps([made[kind] for kind in kinds]), FEED, T0 + 9)
    for kind in kinds:
        plain.frame(json.dumps(made[kind]), FEED, T0 + 9)
    assert len(heard) == kinds.count("other")
    assert state(store) == state(plain)


def test_what_only_the_careful_parser_can_read() -> None:
    store = told()
    odd = frame_of()
    odd["price_changes"][0]["hash"] = "\ud800"  # type: ignore[index]
    assert store.frame(json.dumps([odd, odd]), FEED, T0 + 9) == ()
    assert store.books[YES].bids[460_000] == 1_230_000
    short = frame_of() | {"market": "0x01" + "a" * 60}
    assert store.frame(json.dumps(short), FEED, T0 + 9) == ()
    assert store.price_change(short, FEED, T0 + 9), "an id of the short form is known by now"


def test_remembered_conversions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_frames, "TEXTS_MAX", 10)
    for known in (book_frames.SIZES, book_frames.PRICES, book_frames.BESTS):
        known.clear()
    for n in range(1, 100):
        assert book_frames.SIZES[f"{n}.5"] == n * 1_000_000 + 500_000
        assert book_frames.PRICES[f"0.{n:04d}"] == n * 100
        assert book_frames.BESTS[f"0.{n:04d}"] == n * 100
        assert max(map(len, (book_frames.SIZES, book_frames.PRICES, book_frames.BESTS))) <= 10


@given(st.text(max_size=20) | st.sampled_from(["PONG", "[]", "{}", "[1]", "null", '"x"', "[{}]"]))
def test_no_frame_raises_and_everything_else_is_told(text: str) -> None:
    store = BookStore()
    heard = store.frame(text, FEED, T0)
    plain = [e for e in parse_frame(text, T0) if not isinstance(e, LevelChanges)]
    assert list(heard) == plain
