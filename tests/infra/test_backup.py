"""The restore drill: export, new tables, the same ledgers to the digest; and what is configured."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from chalicelib.adapters.clock import ManualClock, SystemClock
from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.embedded import DATABASE
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.ports import Store
from infra import backup
from infra.chalice_files import PROJECT_ROOT
from tests.infra.test_alarms import template
from tests.workflow.harness import M, System, chain, leg

OLD, NEW = "prodold", "prodnew"


def busy(store: Store) -> System:
    """A system with fills, attempts and entries in all of its portfolios."""
    system = System(store=store, clock=ManualClock(SystemClock().now_ms() - 3_600_000))
    system.follow()
    for number in range(1, 6):
        now = system.clock.now_ms()
        part = leg(20_000 * M, 510_000, ts_block=now, index=number)
        system.services.ingest(chain([part], number=number, ts_seen=now + 1_000))
        system.run_workflows()
    return system


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The base stacks of two protected stages."""
    for name in ("AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.setenv(name, "us-east-1")
    monkeypatch.setattr(backup, "POLL_S", 0.01)
    with mock_aws():
        text = (PROJECT_ROOT / "infra" / "base.yaml").read_text()
        for stage in (OLD, NEW):
            boto3.client("cloudformation").create_stack(
                StackName=f"papercopy-{stage}-base",
                TemplateBody=text,
                Parameters=[{"ParameterKey": "Stage", "ParameterValue": stage}],
                Capabilities=["CAPABILITY_NAMED_IAM"],
            )
        # The double leaves point-in-time recovery out of its stacks.
        for table in backup.TABLES:
            boto3.client("dynamodb").update_continuous_backups(
                TableName=f"papercopy-{OLD}-{table}",
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            )
        yield


def bucket_of(stage: str) -> str:
    return backup.Backups(stage, "", None).bucket


def sealed(bucket: str) -> None:
    """Write the summary by which AWS ends an export, and its double does not."""
    s3 = boto3.client("s3")
    for found in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        folder = found["Key"].split("/data/")[0]
        s3.put_object(Bucket=bucket, Key=f"{folder}/manifest-summary.json", Body=b"{}")


def told(words: list[str], capsys: pytest.CaptureFixture[str], code: int = 0) -> str:
    capsys.readouterr()
    assert backup.main(words) == code, capsys.readouterr()
    printed = capsys.readouterr()
    return printed.err if code == 2 else printed.out


def test_an_export_restores_into_a_new_stage_with_equal_ledgers(
    stacks: None, capsys: pytest.CaptureFixture[str]
) -> None:
    system = busy(DynamoStore(OLD, region="us-east-1"))
    told(["export", "--stage", OLD], capsys)
    bucket = bucket_of(OLD)
    sealed(bucket)
    before = told(["digests", "--stage", OLD], capsys)
    # What happens later, and an export of it that was cut off, is not what is restored.
    now = system.clock.now_ms()
    part = leg(20_000 * M, 510_000, ts_block=now, index=9)
    system.services.ingest(chain([part], number=9, ts_seen=now + 1_000))
    system.run_workflows()
    told(["export", "--stage", OLD], capsys)
    assert told(["digests", "--stage", OLD], capsys) != before
    assert bucket in told(["restore", "--stage", NEW, "--bucket", bucket], capsys)
    after = told(["digests", "--stage", NEW], capsys)
    assert after == before
    lines = after.splitlines()
    assert len(lines) == 3
    assert all(line.endswith(" agrees") and int(line.split()[1]) > 1 for line in lines)
    # The restored system goes on from there: what it missed counts once, by the same ids.
    again = System(store=DynamoStore(NEW, region="us-east-1"), clock=system.clock)
    again.services.ingest(chain([part], number=9, ts_seen=now + 1_000))
    again.run_workflows()
    assert [len(again.entries(ref)) for ref in again.digests()] == [
        len(system.entries(ref)) for ref in system.digests()
    ]


def test_nothing_is_restored_over_what_is_there(
    stacks: None, capsys: pytest.CaptureFixture[str]
) -> None:
    busy(DynamoStore(OLD, region="us-east-1"))
    told(["export", "--stage", OLD], capsys)
    bucket = bucket_of(OLD)
    said = told(["restore", "--stage", NEW, "--bucket", bucket], capsys, code=2)
    assert "has no whole export" in said, "an export that never ended is none"
    sealed(bucket)
    assert "is not empty" in told(["restore", "--stage", OLD], capsys, code=2)
    assert "no stack" in told(["export", "--stage", "nowhere"], capsys, code=2)


def test_a_running_folder_is_copied_and_the_copy_is_whole(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, fresh, copy = tmp_path / "data", tmp_path / "fresh", tmp_path / "copy.sqlite3"
    data.mkdir()
    store = SqliteStore(data / DATABASE)
    busy(store)
    told(["export", "--data", str(data), "--file", str(copy)], capsys)
    store.close()
    told(["restore", "--data", str(fresh), "--file", str(copy)], capsys)
    before = told(["digests", "--data", str(data)], capsys)
    assert told(["digests", "--data", str(fresh)], capsys) == before
    assert before.count(" agrees") == 3
    said = told(["restore", "--data", str(fresh), "--file", str(copy)], capsys, code=2)
    assert "exists already" in said


def test_a_ledger_that_was_damaged_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from dataclasses import replace

    from chalicelib.ports import Put

    store = SqliteStore(tmp_path / DATABASE)
    system = busy(store)
    head = system.head()
    store.commit([Put(replace(head, cash=head.cash - 1))])
    store.close()
    assert "main/global" in told(["digests", "--data", str(tmp_path)], capsys, code=1)


def _resources(kind: str) -> list[dict[str, Any]]:
    found = template("base.yaml")["Resources"].values()
    return [resource for resource in found if resource["Type"] == f"AWS::{kind}"]


def test_every_table_is_protected_recoverable_and_exported_daily() -> None:
    tables = [one["Properties"] for one in _resources("DynamoDB::Table")]
    assert {t["TableName"] for t in tables} == {f"papercopy-dev-{t}" for t in backup.TABLES}
    for table in tables:
        assert table["DeletionProtectionEnabled"] == {"If": ["Protected", True, False]}
        recovery = table["PointInTimeRecoverySpecification"]
        assert recovery == {"PointInTimeRecoveryEnabled": {"If": ["Protected", True, False]}}
    exported = {}
    for schedule in _resources("Scheduler::Schedule"):
        target = schedule["Properties"]["Target"]
        assert schedule["Properties"]["ScheduleExpression"].startswith("cron(17 3 * * ?")
        wanted = json.loads(target["Input"])
        assert wanted["ExportFormat"] == "DYNAMODB_JSON"
        exported[wanted["S3Prefix"]] = wanted["TableArn"]
        assert target["DeadLetterConfig"], "an export that cannot start rings"
    assert exported == {t: "${" + t.title() + "Table.Arn}" for t in backup.TABLES}


def test_backups_are_private_encrypted_and_gone_after_a_week(stacks: None) -> None:
    (bucket,) = _resources("S3::Bucket")
    told = bucket["Properties"]
    assert all(told["PublicAccessBlockConfiguration"].values())
    assert len(told["PublicAccessBlockConfiguration"]) == 4
    (denial,) = _resources("S3::BucketPolicy")
    (statement,) = denial["Properties"]["PolicyDocument"]["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    s3, name = boto3.client("s3"), bucket_of(OLD)
    # The double leaves the life cycle and the denial of plain text out of its stacks.
    (rule,) = told["LifecycleConfiguration"]["Rules"]
    assert (rule["ExpirationInDays"], rule["Status"]) == (7, "Enabled")
    encryption = s3.get_bucket_encryption(Bucket=name)["ServerSideEncryptionConfiguration"]
    (by,) = encryption["Rules"]
    assert by["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
