"""Functions are held to their policies; the real application keeps within them."""

import json
import urllib.request
from pathlib import Path

import pytest

from infra.chalice_files import PROJECT_ROOT
from infra.local.engine import AwsEngine
from infra.local.permissions import needs


def test_a_transaction_needs_each_of_its_actions() -> None:
    body = {
        "TransactItems": [
            {"Put": {"TableName": "papercopy-dev-audit"}},
            {"ConditionCheck": {"TableName": "papercopy-dev-portfolio"}},
        ]
    }
    assert list(needs("DynamoDB_20120810.TransactWriteItems", body)) == [
        ("dynamodb:PutItem", "arn:aws:dynamodb:*:*:table/papercopy-dev-audit"),
        ("dynamodb:ConditionCheckItem", "arn:aws:dynamodb:*:*:table/papercopy-dev-portfolio"),
    ]


def test_what_the_policy_does_not_give_is_refused(tmp_path: Path) -> None:
    stand_in = Path(__file__).parent / "stand_in" / "app.py"
    text = stand_in.read_text().replace(
        'ticks["mark_portfolios"] += 1',
        'boto3.client("sqs").get_queue_url(QueueName="papercopy-local-fills.fifo")',
    )
    (tmp_path / "app.py").write_text(text)
    with AwsEngine(project=tmp_path, schedules=False) as engine:
        with pytest.raises(RuntimeError, match="may not sqs:GetQueueUrl"):
            engine.fire("mark_portfolios")
        # The test itself is no function and may do as it likes.
        assert engine.queue_url("polls")


@pytest.mark.skipif(not (PROJECT_ROOT / "app.py").exists(), reason="no application yet")
def test_the_application_deploys_and_answers_within_its_policies() -> None:
    nowhere = dict.fromkeys(("DATA_API_URL", "GAMMA_API_URL", "CLOB_API_URL"), "http://127.0.0.1:9")
    for _ in range(2):
        # The second engine has another port; nothing may remember the first one's.
        _drive_the_application(nowhere)


def _drive_the_application(environment: dict[str, str]) -> None:
    with AwsEngine(environment=environment, schedules=False, time_scale=0.01) as engine:
        for schedule in ("poll_tick", "sweep", "mark_portfolios", "measure"):
            engine.fire(schedule)
        with urllib.request.urlopen(engine.api_url + "/api/health", timeout=10) as answer:
            assert json.loads(answer.read())["engine"] == "aws"
        for queue in ("fills.fifo", "polls"):
            fifo = {"MessageGroupId": "g", "MessageDeduplicationId": "d"} if "." in queue else {}
            engine.client("sqs").send_message(
                QueueUrl=engine.queue_url(queue), MessageBody="not for us", **fifo
            )
        engine.wait_idle(20)
        refused = [error for error in engine.runtime.errors if "may not" in error["errorMessage"]]
        assert refused == []
        depths = engine.queue_depths()
        # Unreadable payloads are quarantined by the handlers, not retried to death.
        assert (depths["fills-dead.fifo"], depths["polls-dead"], depths["failures"]) == (0, 0, 2)
