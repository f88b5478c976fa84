"""Activity polls: pages, refusals, the shape of the envelope."""

import copy
import json
from decimal import Decimal
from pathlib import Path

import pytest
from venue_fakes import EVENTS, SAMPLES, FakeHttp, FakeTime, load, needs_samples

from chalicelib.adapters.polymarket.data_api import DataApi, FeedStatus
from chalicelib.adapters.polymarket.recorded_activity import recorded_activity
from chalicelib.domain.activity import parse_activity
from chalicelib.domain.errors import InvalidInput, Retryable
from chalicelib.domain.evidence import ApiEvidence
from chalicelib.domain.poll_tally import activity_evidence, api_evidence
from chalicelib.domain.trade import ApiRow

PAGE = load(EVENTS / "data_activity_page.json")
WALLET = "0x1111111111111111111111111111111111111111"


def page(rows: list[object], cursor: str | None = None) -> dict[str, object]:
    more = cursor is not None
    return {"data": rows, "pagination": {"limit": 2, "has_more": more, "next_cursor": cursor}}


def row(**changes: object) -> dict[str, object]:
    return copy.deepcopy(PAGE["data"][0]) | changes


def test_all_pages_with_the_same_filters_and_a_fresh_address_each() -> None:
    pages = {None: page([row(timestamp=5), row(timestamp=6)], "c1"), "c1": page([row(timestamp=7)])}
    http = FakeHttp(lambda path, asked: pages[dict(asked).get("cursor")])
    poll = DataApi(http).poll(WALLET.upper().replace("0X", "0x"), 0)
    assert [event.timestamp for event in poll.events] == [5, 6, 7]
    first, second = (dict(asked) for _, asked in http.calls)
    assert first.pop("_") != second.pop("_")
    assert second.pop("cursor") == "c1"
    assert first == second
    assert first["start"] == "1"
    assert (first["user"], first["limit"], first["sort_direction"]) == (WALLET, "1000", "ASC")
    assert "type" not in first


def test_a_poll_can_end_in_the_past() -> None:
    http = FakeHttp(lambda path, asked: page([]))
    for until in (None, 0, 77):
        DataApi(http).poll(WALLET, 5, until)
    assert [dict(asked).get("end") for _, asked in http.calls] == [None, "1", "77"]


def test_a_bad_row_is_refused_with_its_payload_and_its_neighbours_stay() -> None:
    bad = [
        row(size=-1),
        "text",
        row(proxy_wallet="0x" + "2" * 40),
        row(price=Decimal("1E+999999"), type="REDEEM"),
        row(timestamp="5"),
    ]
    http = FakeHttp(lambda path, asked: page([row(), *bad, row()]))
    poll = DataApi(http).poll(WALLET, 9)
    assert len(poll.events) == 2
    assert [error.split(":")[0] for _, error in poll.refused] == [
        "size",
        "row",
        "proxy_wallet",
        "price",
        "timestamp",
    ]
    assert '"size": -1' in poll.refused[0][0]


def test_every_kind_of_activity_is_kept() -> None:
    http = FakeHttp(lambda path, asked: PAGE)
    poll = DataApi(http).poll(WALLET, 9)
    assert [event.kind for event in poll.events] == ["TRADE", "TRADE", "REDEEM", "SOMETHING_NEW"]
    assert poll.refused == ()


def test_rows_in_the_wrong_order_are_sorted_without_touching_ties() -> None:
    rows = [row(timestamp=7, size=1), row(timestamp=5, size=2), row(timestamp=5, size=3)]
    poll = DataApi(FakeHttp(lambda path, asked: page(rows))).poll(WALLET, 9)
    assert [event.shares for event in poll.events] == [2_000_000, 3_000_000, 1_000_000]


@pytest.mark.parametrize(
    "answer",
    [
        [],
        {"data": []},
        {"data": {}, "pagination": {}},
        {"data": [], "pagination": {"has_more": "no"}},
        {"data": [], "pagination": {"has_more": True, "next_cursor": None}},
        Retryable("status 500"),
    ],
)
def test_an_incomplete_poll_is_no_evidence(answer: object) -> None:
    with pytest.raises(Retryable):
        DataApi(FakeHttp(lambda path, asked: answer)).poll(WALLET, 9)


def test_pages_are_bounded_and_must_not_repeat() -> None:
    circle = FakeHttp(lambda path, asked: page([row()], "c"))
    with pytest.raises(Retryable, match="circle"):
        DataApi(circle).poll(WALLET, 9)
    numbers = iter(range(100))
    endless = FakeHttp(lambda path, asked: page([], f"c{next(numbers)}"))
    with pytest.raises(Retryable, match="more pages"):
        DataApi(endless, pages_max=3).poll(WALLET, 9)
    assert len(endless.calls) == 3


def test_a_poll_of_too_many_pages_ends_with_a_whole_second() -> None:
    numbers = iter(range(1, 100))

    def answer(path: str, asked: object) -> object:
        n = next(numbers)
        rows = [row(timestamp=1_790_000_000 + n), row(timestamp=1_790_000_000 + n + 1)]
        return page(rows, f"c{n}")

    poll = DataApi(FakeHttp(answer), pages_max=3).poll(WALLET, 9)
    assert [e.timestamp - 1_790_000_000 for e in poll.events] == [1, 2, 2, 3, 3]


def test_a_poll_that_takes_too_long_ends_with_a_whole_second() -> None:
    time = FakeTime()
    numbers = iter(range(1, 100))

    def answer(path: str, asked: object) -> object:
        time.now_s += 12
        n = next(numbers)
        return page([row(timestamp=n), row(timestamp=n + 1)], f"c{n}")

    http = FakeHttp(answer)
    poll = DataApi(http, now=time.now).poll(WALLET, 1)
    assert ([e.timestamp for e in poll.events], poll.complete) == ([1, 2, 2], False)
    assert len(http.calls) == 2


def test_the_lag_is_asked_once_a_minute_and_a_silent_status_is_no_failure() -> None:
    time = FakeTime()
    answers: list[object] = [
        {"data": {"age_seconds": 24, "serving": {"lag_seconds": 4}}},
        Retryable("status 503"),
        {"data": {}},
    ]
    http = FakeHttp(lambda path, asked: answers[len(http.calls) - 1])
    feed = DataApi(FakeHttp(lambda path, asked: page([])), status_http=http, now=time.now)
    assert [feed.lag_seconds(), feed.lag_seconds()] == [28, 28]
    for calls in (2, 3):
        time.now_s += 60
        assert [feed.lag_seconds(), feed.lag_seconds()] == [None, None]
        assert len(http.calls) == calls


def test_who_asks_for_the_lag_while_another_does_gets_what_was_known() -> None:
    seen: list[int | None] = []

    def answer(path: str, asked: object) -> object:
        seen.append(feed.lag_seconds())
        return {"data": {"age_seconds": 1, "serving": {"lag_seconds": 4}}}

    feed = DataApi(FakeHttp(answer))
    assert feed.lag_seconds() == 5
    assert seen == [None]


def test_status() -> None:
    good = {"data": {"age_seconds": 24, "serving": {"lag_seconds": 4}}}
    assert DataApi(FakeHttp(lambda path, asked: good)).status() == FeedStatus(4, 24)
    with pytest.raises(Retryable):
        DataApi(FakeHttp(lambda path, asked: {"data": {"serving": {}}})).status()


def test_equal_rows_are_counted_and_trades_keep_their_order() -> None:
    other = "0x" + "ee" * 32
    rows = [row(), row(transaction_hash=other, side="SELL"), row(), row(size=1), row(type="MERGE")]
    first, second = api_evidence(parse_activity(r) for r in rows)
    token = PAGE["data"][0]["token_id"]
    equal = ApiRow(51_923_077, 4_800_000_008, 24_923_077, 0, None, 1_790_779_041_000, count=2)
    hash_ = PAGE["data"][0]["transaction_hash"]
    assert first == ApiEvidence(hash_, token, "BUY", first.rows, first.raw)
    assert [kept["size"] for kept in json.loads(first.raw)] == [51.923077, 1]
    assert first.rows[0] == equal
    assert [(r.shares, r.count) for r in first.rows] == [(51_923_077, 2), (1_000_000, 1)]
    assert (second.tx_hash, second.side, second.rows[0].count) == (other, "SELL", 1)


def test_what_only_one_of_equal_rows_proves_is_not_proven_for_both() -> None:
    taker, maker = row(usdc_size=Decimal("25.5")), row()
    (evidence,) = api_evidence(parse_activity(r) for r in (taker, maker))
    assert evidence.rows[0].count == 2
    assert (evidence.rows[0].fee, evidence.rows[0].role) == (None, None)


def test_other_activity_is_counted_likewise() -> None:
    merge = row(type="MERGE", token_id="", side="", outcome_index=999)
    first, second, third = activity_evidence(
        parse_activity(r) for r in (merge, row(), merge, row(type="NEW"), merge | {"size": 2})
    )
    assert (first.kind, first.count, first.outcome_index, first.token_id) == ("MERGE", 2, None, "")
    assert (second.kind, second.count, second.outcome_index) == ("NEW", 1, 1)
    assert (third.count, third.shares) == (1, 2_000_000)


def test_recorded_pages_of_both_versions_are_read_alike(tmp_path: Path) -> None:
    names = {
        "proxy_wallet": "proxyWallet", "condition_id": "conditionId", "usdc_size": "usdcSize",
        "transaction_hash": "transactionHash", "token_id": "asset", "outcome_index": "outcomeIndex",
    }  # fmt: skip
    current = EVENTS / "data_activity_page.json"
    rows = json.loads(current.read_text())["data"]
    retired = tmp_path / "retired.json"
    retired.write_text(json.dumps([{names.get(k, k): v for k, v in r.items()} for r in rows]))
    events = list(recorded_activity([current, retired]))
    assert len(events) == 2 * len(rows)
    assert events[: len(rows)] == events[len(rows) :]


@pytest.mark.parametrize("text", ["", "{", "5", '{"data": {}}', "[1]", '[{"type": 5}]'])
def test_a_recording_that_cannot_be_read_is_named(tmp_path: Path, text: str) -> None:
    bad = tmp_path / "bad.json"
    bad.write_text(text)
    with pytest.raises(InvalidInput, match=r"bad\.json"):
        list(recorded_activity([bad]))


@needs_samples
@pytest.mark.parametrize("name", ["activity_maker_no_fee", "activity_taker_with_fee"])
def test_recorded_pages(name: str) -> None:
    recorded = load(SAMPLES / "data-v2" / f"{name}.json")
    last = copy.deepcopy(recorded)
    last["pagination"] |= {"has_more": False, "next_cursor": None}
    wallet = recorded["data"][0]["proxy_wallet"]
    poll = DataApi(FakeHttp(lambda path, asked: last)).poll(wallet, 1)
    assert len(poll.events) == len(recorded["data"])
    assert poll.refused == ()
    assert api_evidence(poll.events)


@needs_samples
@pytest.mark.parametrize(
    "name",
    [
        "activity_same_rows_as_v2",
        "activity_redeem_13rows_2026-07",
        "activity_fee_in_shares_2026-04",
    ],
)
def test_recorded_rows_of_the_retired_version(name: str) -> None:
    rows = load(SAMPLES / "data-v1" / f"{name}.json")
    assert [parse_activity(r).timestamp for r in rows] == [r["timestamp"] for r in rows]


@needs_samples
def test_recorded_status_and_combos() -> None:
    status = load(SAMPLES / "data-v2" / "status.json")
    assert DataApi(FakeHttp(lambda path, asked: status)).status() == FeedStatus(4, 24)
    for combo in load(SAMPLES / "data-v2" / "combo_activity.json")["data"]:
        assert parse_activity(combo).kind == combo["type"]
