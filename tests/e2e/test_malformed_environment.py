"""A malformed variable of a deployed function: nothing is half done and nothing is lost."""

from __future__ import annotations

import json
import time

from chalicelib.adapters.codec import to_plain
from infra.local.engine import AwsEngine
from infra.local.stack import wait_until
from tests.e2e.venue import VenueServer
from tests.workflow.harness import LEADER, M, chain, leg


def test_deployed_functions_refuse_a_variable_and_the_queue_keeps_the_fill(
    venue: VenueServer,
) -> None:
    variables = {**venue.environment(), "POLL_INTERVAL_S": "soon", "TRIGGER_MODE": "api"}
    ts = time.time_ns() // 1_000_000
    message = chain([leg(M, 510_000, ts_block=ts)], ts_seen=ts, leader=LEADER)
    body = json.dumps({"v": 1, "message": to_plain(message)})
    with AwsEngine(environment=variables, schedules=False, time_scale=0.005) as engine:
        engine.client("sqs").send_message(
            QueueUrl=engine.queue_url("fills.fifo"),
            MessageBody=body,
            MessageGroupId="g",
            MessageDeduplicationId="d",
        )
        assert wait_until(lambda: engine.queue_depths()["fills-dead.fifo"], 15.0, 0.05)
        dead = engine.client("sqs").receive_message(QueueUrl=engine.queue_url("fills-dead.fifo"))
        assert [message["Body"] for message in dead["Messages"]] == [body]
        said = {(e["errorType"], e["errorMessage"].split(":")[0]) for e in engine.runtime.errors}
        assert said == {("InvalidInput", "POLL_INTERVAL_S")}
