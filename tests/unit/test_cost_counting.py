"""That the cost benchmark counts right: known calls, known units, known money."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cost import alarm_metrics
from bench.cost_bill import BOUNDS, WATCHERS, Measured, bill, month, price_table, total, watcher
from bench.cost_meter import QUEUES, Meter
from bench.cost_units import index_writes, item_bytes, read_units, write_units
from bench.cost_venue import groups

WAITS = "dynamodb_read dynamodb_write dynamodb_transaction sqs states other_aws venue"
LATENCIES = dict.fromkeys([*WAITS.split(), "lambda_report_bytes"], 1.0)


def item(body: str, key: str = "p", feed: str = "") -> dict[str, Any]:
    """An item as the store writes it."""
    made = {"pk": {"S": key}, "sk": {"S": "s"}, "kind": {"S": "Trade"}, "body": {"S": body}}
    made["version"] = {"N": "1"}
    if feed:
        made |= {"feed_pk": {"S": feed}, "feed_sk": {"S": "1"}}
    return made


def put(body: str, key: str = "p", feed: str = "", table: str = "papercopy-x-activity") -> Any:
    return {"TableName": table, "Item": item(body, key, feed)}


@pytest.fixture
def meter() -> Meter:
    return Meter(LATENCIES)


def written(meter: Meter) -> float:
    return meter.tally.of("dynamodb_write_units")


def test_bytes_are_names_and_values() -> None:
    assert item_bytes({"pk": {"S": "ä"}}) == 2 + 2
    assert item_bytes({"n": {"N": "12345"}}) == 1 + 3 + 1
    assert item_bytes({"n": {"N": "-1"}}) == 1 + 1 + 1 + 1
    assert item_bytes({"b": {"B": b"12"}, "t": {"BOOL": True}}) == 1 + 2 + 1 + 1
    with pytest.raises(ValueError, match="no size"):
        item_bytes({"x": {"SS": ["a"]}})


@pytest.mark.parametrize(
    ("before", "after", "transaction", "units"),
    [(0, 1, False, 1), (0, 1_024, False, 1), (0, 1_025, False, 2), (3_000, 10, False, 3),
     (0, 1_025, True, 4), (0, 0, False, 1)],
)  # fmt: skip
def test_a_write_costs_by_the_larger_side(
    before: int, after: int, transaction: bool, units: int
) -> None:
    assert write_units(before, after, transaction=transaction) == units


def test_a_query_reads_its_items_together() -> None:
    assert read_units([1_000] * 4, consistent=True) == 1
    assert read_units([1_025] * 4, consistent=True) == 2
    assert read_units([1_025] * 4, consistent=False) == 1
    assert read_units([], consistent=False) == 0.5


def test_an_index_is_entered_left_and_moved_in() -> None:
    places = [(None, None), (None, "a"), ("a", "a"), ("a", "b"), ("a", None)]
    assert [index_writes(*pair, 50) for pair in places] == [0, 1, 0, 2, 1]


def test_calls_count_as_units_by_who_made_them(meter: Meter) -> None:
    with meter.acting("ingest"):
        meter.called("dynamodb", "PutItem", put("x" * 1_500, feed="day"), {})
        assert written(meter) == 2 + 1
        # The same place in the index, and the larger of both sizes.
        meter.called("dynamodb", "PutItem", put("x", feed="day"), {})
        assert written(meter) == 3 + 2
        parts = [
            {"Put": put("x" * 1_500, key="other")},
            {"Delete": {"TableName": "papercopy-x-activity", "Key": item("", "p")}},
            {"ConditionCheck": {"TableName": "papercopy-x-activity", "Key": item("", "none")}},
        ]
        meter.called("dynamodb", "TransactWriteItems", {"TransactItems": parts}, {})
        # 2 × 2, 2 × 1 and the index entry that goes, 2 × 1.
        assert written(meter) == 5 + 4 + 3 + 2
        meter.called("dynamodb", "GetItem", {"ConsistentRead": True}, {"Item": item("x" * 5_000)})
        meter.called("dynamodb", "Query", {"ConsistentRead": True}, {"Items": []})
    assert meter.tally.of("dynamodb_read_units") == 2 + 1
    assert meter.tally.dynamo_calls() == 5
    assert {who for who, _ in meter.tally.units} == {"ingest"}


def test_what_a_condition_refuses_is_charged_and_stores_nothing(meter: Meter) -> None:
    with meter.acting("ingest"):
        meter.called("dynamodb", "PutItem", put("x" * 3_000, feed="day"), None)
        assert written(meter) == 3
        meter.called("dynamodb", "PutItem", put("x", feed="day"), {})
    assert written(meter) == 3 + 1 + 1


def test_a_batch_reads_each_item_whole_whatever_it_shows_of_it(meter: Meter) -> None:
    with meter.acting("api_handler"):
        meter.called("dynamodb", "PutItem", put("x" * 9_000), {})
        keys = {"Keys": [item("", "p"), item("", "none")], "ConsistentRead": True}
        sent = {"RequestItems": {"papercopy-x-activity": keys}}
        meter.called("dynamodb", "BatchGetItem", sent, {})
    assert meter.tally.of("dynamodb_read_units") == 3 + 1


def test_nobody_named_costs_nothing_but_what_he_stored_is_known(meter: Meter) -> None:
    meter.called("dynamodb", "PutItem", put("x" * 3_000), {})
    meter.called("sqs", "SendMessage", {"QueueUrl": "q"}, {})
    assert not meter.tally.units
    with meter.acting("ingest"):
        meter.called("dynamodb", "PutItem", put("x"), {})
    assert written(meter) == 3


def test_messages_count_by_64_kb_and_empty_receives_do_not(meter: Meter) -> None:
    fills = "https://q/papercopy-x-fills.fifo"
    with meter.acting("watcher"):
        entries = [{"MessageBody": "x" * 40_000}, {"MessageBody": "x" * 40_000}]
        meter.called("sqs", "SendMessageBatch", {"QueueUrl": fills, "Entries": entries}, {})

    def poll() -> None:
        for answer in ({}, {"Messages": [{"Body": "x"}]}):
            meter.called("sqs", "ReceiveMessage", {"QueueUrl": fills}, answer)

    thread = threading.Thread(target=poll, name="poll-fills.fifo")
    thread.start()
    thread.join()
    assert meter.tally.units["watcher", "sqs_fifo_requests"] == 2
    assert meter.tally.units[QUEUES, "sqs_fifo_requests"] == 1


def test_an_invocation_is_charged_for_what_it_waited_for(meter: Meter) -> None:
    with meter.function("ingest", 512):
        for _ in range(100):
            meter.waited("dynamodb_read")
    assert meter.tally.units["ingest", "lambda_requests"] == 1
    # 100 ms at half a gigabyte, and little of its own time on top.
    assert 0.05 <= meter.tally.units["ingest", "lambda_gb_s"] < 0.1


def test_free_allowances_are_used_up_once() -> None:
    prices = price_table()["prices"]
    units = {"sqs_requests": 900_000.0, "sqs_fifo_requests": 300_000.0, "log_gb": 4.0}
    listed, after = total(bill({**units, "log_stored_gb": 4.0}, prices))
    assert listed == pytest.approx(0.36 + 0.15 + 2.0 + 0.12)
    assert after == pytest.approx(0.10 + 0.09)


@given(st.dictionaries(st.sampled_from(sorted(price_table()["prices"])), st.floats(0, 1e9)))
def test_a_bill_is_never_below_zero_nor_above_its_list(units: dict[str, float]) -> None:
    lines = bill(units, price_table()["prices"])
    assert all(0 <= line.after_free <= line.listed for line in lines)


def test_the_month_is_hours_fills_and_dashboard() -> None:
    table = price_table()
    found = Measured({"api_requests": 1}, {"api_requests": 2}, {"api_requests": 3}, {}, 0, 0, 2)
    assumed = table["assumed"]
    expected = assumed["hours_per_month"] + 2 * 1_000 + 3 * assumed["dashboard_hours_per_month"]
    assert month(found, table, 1_000)["api_requests"] == expected


def test_the_watcher_costs_what_the_table_says() -> None:
    table = price_table()
    assert watcher(table, spot=False, ipv4=True) == pytest.approx(10.86, abs=0.01)
    assert WATCHERS.keys() == BOUNDS.keys()


def test_alarms_are_charged_by_the_metrics_they_look_at() -> None:
    text = """
      Type: AWS::Logs::MetricFilter
        - MetricName: made
      Type: AWS::CloudWatch::Alarm
        MetricName: one
        Metrics:
          MetricName: two
    """
    assert alarm_metrics(text.replace("- MetricName", "  MetricName")) == 2


@pytest.mark.parametrize("fills", [100, 200])
def test_the_mix_is_the_one_that_is_priced(fills: int) -> None:
    made = list(groups(fills))
    assert sum(group.fills for group in made) == fills
    assert len(made) == pytest.approx(fills / 1.5, abs=1)
    executed = sum(group.ending != "skipped" for group in made) / len(made)
    assert executed == pytest.approx(0.4, abs=0.02)
    rests = sum(group.ending == "rests" for group in made) / len(made)
    assert rests == pytest.approx(0.2, abs=0.02)
