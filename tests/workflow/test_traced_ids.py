"""One trade is followed by its ids through the log, from the message to the ledger."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from chalicelib.observability import logger, structure_logs
from tests.workflow.harness import T0, M, System, chain, leg


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    """What a Lambda's root handler writes once logs are structured."""
    written = io.StringIO()
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [logging.StreamHandler(written)])
    level = logging.getLogger("chalicelib").level
    structure_logs()
    yield written
    logging.getLogger("chalicelib").setLevel(level)


def lines(log: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.getvalue().splitlines()]


def test_a_trade_leads_to_its_group_its_attempts_and_their_entries(log: io.StringIO) -> None:
    system = System()
    system.follow()
    logger.append_keys(request_id="r-1")
    system.services.ingest(chain([leg(20_000 * M, 510_000)], ts_seen=T0 + 2_000))
    system.run_workflows()
    told = lines(log)
    assert {line["request_id"] for line in told} == {"r-1"}
    (grouped,) = [line for line in told if line["message"] == "fill grouped"]
    group = grouped["group_id"]
    assert group and str(grouped["fill_id"]).startswith(str(grouped["trade_id"]))
    decided = {line["attempt_id"] for line in told if line["message"] == "group decided"}
    assert len(decided) == 2
    entered = [line for line in told if line["message"] == "attempt entered"]
    assert {line["attempt_id"] for line in entered} == decided
    assert {line["group_id"] for line in told if "group_id" in line} == {group}
    for line in entered:
        references = {entry.reference for entry in system.entries(str(line["portfolio_id"]))}
        assert line["entries"] and set(line["entries"]) <= references  # type: ignore[arg-type]


def test_what_is_no_news_is_counted_and_not_logged(log: io.StringIO) -> None:
    system = System()
    system.follow()
    message = chain([leg(20_000 * M, 510_000)], ts_seen=T0 + 2_000)
    system.services.ingest(message)
    before = len(lines(log))
    for _ in range(20):
        system.services.ingest(message)
    assert len(lines(log)) == before
    assert system.metrics.snapshot()["evidence_repeated"] == 20
    assert system.metrics.observed("detection_lag_ms") == [2_000], "seen for the first time once"
