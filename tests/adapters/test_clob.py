"""Books and midpoints: parsing, hashes, chunks, and the moment a copy is known to be from."""

import copy
from hashlib import sha1

import pytest
from venue_fakes import EVENTS, SAMPLES, CountingMetrics, FakeHttp, FakeTime, load, needs_samples

from chalicelib.adapters.polymarket.clob import Clob, book_hash, hash_matches, parse_book
from chalicelib.adapters.polymarket.http import NotFound
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.orderbook import Level

RAW = load(EVENTS / "clob_book.json")
TOKEN = RAW["asset_id"]


def raw(**changes: object) -> dict[str, object]:
    return copy.deepcopy(RAW) | changes


def client(http: FakeHttp, time: FakeTime) -> Clob:
    return Clob(http, time, CountingMetrics(), sleep=time.sleep)


def test_the_best_level_comes_first() -> None:
    book = parse_book(RAW, 7)
    assert book.bids[0] == Level(5_000, 31_357_090_000)
    assert book.asks[0] == Level(6_000, 10_139_860_000)
    assert [level.price for level in book.asks] == [6_000, 998_000, 999_000]
    assert (book.ts_venue, book.ts_received, book.token_id) == (1_778_997_825_875, 7, TOKEN)


def test_equal_prices_are_added_and_empty_levels_left_out() -> None:
    bids = [
        {"price": "0.3", "size": "1.5"},
        {"price": "0.30", "size": "2"},
        {"price": "0.4", "size": "0"},
    ]
    assert parse_book(raw(bids=bids, asks=[]), 7).bids == (Level(300_000, 3_500_000),)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"bids": None}, "bids"),
        ({"asks": [1]}, "asks[0]"),
        ({"bids": [{"price": 0.5, "size": "1"}]}, "bids[0].price"),
        ({"bids": [{"price": "1", "size": "1"}]}, "bids[0].price"),
        ({"bids": [{"price": "0", "size": "1"}]}, "bids[0].price"),
        ({"bids": [{"price": "0.0000001", "size": "1"}]}, "bids[0].price"),
        ({"bids": [{"price": "0.5", "size": "-1"}]}, "bids[0].size"),
        ({"bids": [{"price": "0.5", "size": "nan"}]}, "bids[0].size"),
        ({"bids": [{"price": "0.5", "size": "1e40"}]}, "bids[0].size"),
        ({"bids": [{"price": "0.006", "size": "1"}]}, "bids"),
        ({"timestamp": 1778997825875}, "timestamp"),
        ({"timestamp": "soon"}, "timestamp"),
        ({"asset_id": 5}, "asset_id"),
    ],
)
def test_a_malformed_or_crossed_book_is_refused(changes: dict[str, object], field: str) -> None:
    with pytest.raises(InvalidInput) as refusal:
        parse_book(raw(**changes), 7)
    assert refusal.value.field == field


def test_the_hash_is_over_the_compact_json_without_itself() -> None:
    text = (EVENTS / "clob_book.json").read_text().strip()
    assert book_hash(RAW) == sha1(text.encode()).hexdigest()
    assert hash_matches(raw(hash=book_hash(RAW))) is True
    assert hash_matches(raw(hash="0" * 40)) is False
    assert hash_matches(RAW) is None
    assert hash_matches({"hash": "0" * 40, "bids": [], "asks": []}) is None


def test_a_book_is_stamped_with_the_moment_before_its_request() -> None:
    time = FakeTime()

    def slow(path: str, asked: object) -> object:
        time.now_s += 2
        return RAW

    book = client(FakeHttp(slow), time).book(TOKEN, 999_000)
    assert book is not None
    assert book.ts_received == 1_000_000


def test_a_book_of_the_near_future_is_waited_for() -> None:
    time = FakeTime()
    book = client(FakeHttp(lambda path, asked: RAW), time).book(TOKEN, 1_001_250)
    assert book is not None
    assert book.ts_received == 1_001_250
    assert time.naps == [1.25]


def test_a_book_of_the_far_future_is_refused_without_a_request() -> None:
    http = FakeHttp(lambda path, asked: RAW)
    with pytest.raises(Retryable):
        client(http, FakeTime()).book(TOKEN, 1_003_001)
    stopped = Clob(http, FakeTime(), CountingMetrics(), sleep=lambda _: None)
    with pytest.raises(Retryable):
        stopped.book(TOKEN, 1_000_001)
    assert http.calls == []


def test_no_book_is_none_and_a_bad_one_retryable() -> None:
    time = FakeTime()
    assert client(FakeHttp(lambda path, asked: NotFound("404")), time).book(TOKEN, 0) is None
    with pytest.raises(Retryable):
        client(FakeHttp(lambda path, asked: raw(bids=None)), time).book(TOKEN, 0)
    with pytest.raises(Retryable):
        client(FakeHttp(lambda path, asked: RAW), time).book("5", 0)


def test_a_wrong_hash_is_counted_and_not_refused() -> None:
    metrics = CountingMetrics()
    http = FakeHttp(lambda path, asked: raw(hash="0" * 40))
    assert Clob(http, FakeTime(), metrics).book(TOKEN, 0) is not None
    assert metrics.counts == {"clob_hash_mismatch": 1}


def test_books_come_in_chunks_and_a_bad_one_is_missing() -> None:
    tokens = [str(n) for n in range(1, 1_202)]

    def answer(path: str, asked: list[dict[str, str]]) -> object:
        assert path == "/books"
        return [raw(asset_id=row["token_id"]) for row in asked if row["token_id"] != "7"] + [
            raw(bids=None),
            raw(asset_id="999999"),
        ]

    http = FakeHttp(answer)
    books = client(http, FakeTime()).books([*tokens, "1"])
    assert [len(asked) for _, asked in http.calls] == [500, 500, 201]
    assert set(books) == set(tokens) - {"7"}


def test_midpoints_come_in_chunks_and_only_for_what_was_asked() -> None:
    answers = {"1": "0.0055", "2": "0.5", "3": "broken", "4": "7", "9999": "0.1"}
    http = FakeHttp(lambda path, asked: answers)
    tokens = [str(n) for n in range(1, 502)]
    assert client(http, FakeTime()).midpoints(tokens) == {"1": 5_500, "2": 500_000}
    assert len(http.calls) == 2
    assert client(FakeHttp(lambda path, asked: []), FakeTime()).midpoints([]) == {}
    with pytest.raises(Retryable):
        client(FakeHttp(lambda path, asked: []), FakeTime()).midpoints(["1"])


@needs_samples
def test_recorded_books_and_their_hashes() -> None:
    books = load(SAMPLES / "clob" / "books_3_pairs_fed_2026-05.json")
    assert len(books) == 6
    for recorded in books:
        assert hash_matches(recorded) is True
        book = parse_book(recorded, 7)
        assert book.best_bid is not None
        assert book.best_ask is not None
        assert book.best_bid < book.best_ask
