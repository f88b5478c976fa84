"""A stand-in application with the real one's functions; tests steer it by what they send."""

import json
import os
from collections import Counter

import boto3
from chalice import Chalice, Rate

app = Chalice(app_name="papercopy")
STAGE = os.environ.get("PAPERCOPY_STAGE", "unset")
RECEIVES_MAX = 5
seen: list[tuple[str, str]] = []
ticks: Counter[str] = Counter()


def _start_copy_trade(name: str, state: dict[str, object]) -> None:
    region = os.environ["AWS_DEFAULT_REGION"]
    arn = f"arn:aws:states:{region}:123456789012:stateMachine:papercopy-{STAGE}-copy-trade"
    boto3.client("stepfunctions").start_execution(
        stateMachineArn=arn, name=name, input=json.dumps(state)
    )


def _handle(event):
    failures, stopped = [], set()
    for record in event["Records"]:
        group = record["attributes"].get("MessageGroupId", "")
        message = json.loads(record["body"])
        if message.get("raise"):
            raise ValueError(message["raise"])
        seen.append((group, message["id"]))
        last = int(record["attributes"]["ApproximateReceiveCount"]) >= RECEIVES_MAX
        if (group and group in stopped) or message.get("fail"):
            # As the real one does: what is buried next does not take its successors along.
            if not last:
                stopped.add(group)
            failures.append({"itemIdentifier": record["messageId"]})
        elif "workflow" in message:
            _start_copy_trade(message["id"], message["workflow"])
    return {"batchItemFailures": failures}


@app.lambda_function(name="ingest")
def ingest(event, context):
    return _handle(event)


@app.lambda_function(name="poll")
def poll(event, context):
    return _handle(event)


@app.lambda_function(name="config_test")
def config_test(event, context):
    return None


@app.lambda_function(name="advance")
def advance(event, context):
    if event["group_id"] == "broken":
        raise ValueError("no such group")
    if event["group_id"] == "greedy":
        return {**event, "wait_seconds": 1, "rounds": event["rounds"] + 1}
    rests = 1 if event["rounds"] == 0 else 0
    return {**event, "wait_seconds": rests, "rounds": event["rounds"] + 1}


@app.schedule(Rate(1, unit=Rate.MINUTES), name="poll_tick")
def poll_tick(event):
    ticks["poll_tick"] += 1
    return {"ticks": ticks["poll_tick"], "stage": STAGE}


@app.schedule(Rate(1, unit=Rate.MINUTES), name="sweep")
def sweep(event):
    raise RuntimeError("nothing to sweep")


@app.schedule(Rate(15, unit=Rate.MINUTES), name="sync_markets")
def sync_markets(event):
    ticks["sync_markets"] += 1


@app.schedule(Rate(5, unit=Rate.MINUTES), name="measure")
def measure(event):
    ticks["measure"] += 1


@app.schedule(Rate(1, unit=Rate.MINUTES), name="mark_portfolios")
def mark_portfolios(event):
    ticks["mark_portfolios"] += 1


@app.route("/health", cors=True)
def health():
    return {"stage": STAGE, "query": app.current_request.query_params}


@app.route("/leaders/{leader_id}", methods=["GET", "PUT"])
def leader(leader_id):
    return {"leader": leader_id, "body": app.current_request.json_body}
