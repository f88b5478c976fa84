"""`make deploy` and `make destroy`: a fill goes through what is up, and then nothing is left."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.trade import effective
from infra import deploy
from infra.chalice_files import PROJECT_ROOT
from infra.deploy import DeployFailed, Deployment, Target
from infra.local.isolation import REGION
from tests.e2e.engines import AwsRun, open_engine
from tests.e2e.ledgers import attempts_of, entries_of, follow_since, trade
from tests.e2e.venue import VenueServer
from tests.workflow.harness import TOKEN, M, chain, leg, tx

LEADER = f"0x{0xDE9:040x}"
NODE_KEY = "s3cr3tn0dek3y"
IMAGE = "123456789012.dkr.ecr.us-east-1.amazonaws.com/papercopy-local-watcher:abc"
LISTS = (
    ("lambda", "list_functions", "Functions", "FunctionName"),
    ("lambda", "list_event_source_mappings", "EventSourceMappings", "EventSourceArn"),
    ("iam", "list_roles", "Roles", "RoleName"),
    ("events", "list_rules", "Rules", "Name"),
    ("apigateway", "get_rest_apis", "items", "name"),
    ("stepfunctions", "list_state_machines", "stateMachines", "name"),
    ("dynamodb", "list_tables", "TableNames", ""),
    ("sqs", "list_queues", "QueueUrls", ""),
    ("sns", "list_topics", "Topics", "TopicArn"),
    ("logs", "describe_log_groups", "logGroups", "logGroupName"),
    ("ecr", "describe_repositories", "repositories", "repositoryName"),
    ("s3", "list_buckets", "Buckets", "Name"),
    ("ssm", "describe_parameters", "Parameters", "Name"),
)


def inventory(client: Any) -> dict[str, list[str]]:
    """Everything a deployment makes, by service and call."""
    found = {}
    for service, call, rows, key in LISTS:
        answer = getattr(client(service), call)()
        names = sorted(row[key] if key else row for row in answer.get(rows, []))
        found[f"{service} {call}"] = names
    items = client("cloudfront").list_distributions()["DistributionList"].get("Items", [])
    found["cloudfront"] = [row["Id"] for row in items]
    return found


@pytest.fixture(scope="module")
def run(
    venue: VenueServer, tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch
) -> Iterator[AwsRun]:
    variables = {**venue.environment(), "POLYGON_HTTP_URL": f"https://127.0.0.1:9/{NODE_KEY}"}
    running = open_engine("aws", variables, tmp_path_factory.mktemp("data"), patch)
    assert isinstance(running, AwsRun)
    yield running
    running.stop()


@pytest.fixture
def target(run: AwsRun, tmp_path: Path) -> Target:
    """The same stage from another machine: nothing of the first one's folders."""
    assert run.engine.deployment is not None
    return replace(run.engine.deployment.target, edge=True, build_root=tmp_path, report=print)


def test_the_plan_comes_first_and_names_what_would_change(
    run: AwsRun, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    before = inventory(run.engine.client)
    words = ["plan", "--stage", "local", "--endpoint-url", run.engine.endpoint_url]
    assert deploy.main([*words, "--alarm-email", "a@b.example", "--watcher-image", IMAGE]) == 0
    said = capsys.readouterr().out
    assert inventory(run.engine.client) == before
    for line in (
        "parameter AlarmEmail: '' becomes 'a@b.example'",
        f"parameter WatcherImage: '' becomes '{IMAGE}'",
        "stack papercopy-local-edge: create",
        "function papercopy-local-ingest: update",
        "concurrency: ",
        "secret /papercopy/local/node/polygon_http_url: kept",
    ):
        assert line in said, said
    assert NODE_KEY not in said


def test_a_second_machine_adds_the_edge_and_changes_nothing_else(
    run: AwsRun, target: Target
) -> None:
    before = inventory(run.engine.client)
    Deployment(target).up()
    after = inventory(run.engine.client)
    added = {kind: sorted(set(after[kind]) - set(before[kind])) for kind in after}
    assert {kind for kind, names in added.items() if names} == {
        "s3 list_buckets",
        "ssm describe_parameters",
        "cloudfront",
    }
    assert not any(set(before[kind]) - set(after[kind]) for kind in before)
    Deployment(target).up()
    assert inventory(run.engine.client) == after


def test_the_dashboard_is_in_the_bucket_and_its_origin_is_known(
    run: AwsRun, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    Deployment(target).up()
    s3 = run.engine.client("s3")
    (bucket,) = inventory(run.engine.client)["s3 list_buckets"]
    page = s3.get_object(Bucket=bucket, Key="index.html")
    assert page["Body"].read() == (PROJECT_ROOT / "dashboard/index.html").read_bytes()
    assert page["ContentType"].startswith("text/html") and page["CacheControl"] == "no-cache"
    origin = run.engine.client("ssm").get_parameter(Name="/papercopy/local/auth/public_origin")
    assert origin["Parameter"]["Value"].startswith("https://")
    s3.put_object(Bucket=bucket, Key="js/gone.js", Body=b"old")
    s3.put_object(Bucket=bucket, Key="index.html", Body=b"defaced")
    Deployment(target).up()
    assert "dashboard: 2 files changed" in capsys.readouterr().out
    kept = s3.get_object(Bucket=bucket, Key="index.html")["Body"].read()
    assert kept == (PROJECT_ROOT / "dashboard/index.html").read_bytes()


def test_a_failed_step_says_how_to_go_on_and_the_same_command_does(
    run: AwsRun, target: Target, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = inventory(run.engine.client)
    words = ["up", "--yes", "--stage", "local", "--endpoint-url", run.engine.endpoint_url]
    words += ["--env", f"DATA_API_URL={target.environment['DATA_API_URL']}"]
    for step in ("assemble", "render_workflow"):
        with monkeypatch.context() as broken:

            def dies(*_: Any, **__: Any) -> None:
                raise OSError("the line went dead")

            broken.setattr(deploy, step, dies)
            if step == "render_workflow":
                # The plan needs it, too.
                broken.setattr(deploy.Deployment, "plan", lambda _: None)
            assert deploy.main(words) == 1
        said = capsys.readouterr().err
        assert "the line went dead" in said and "run the same command again" in said
    Deployment(target).up()
    assert inventory(run.engine.client) == before


def test_a_fill_goes_through_what_was_deployed(run: AwsRun, past: int) -> None:
    follow_since(run.store, past - 600_000, [LEADER])
    part = leg(10_000 * M, 510_000, ts_block=past - 2_000, index=1)
    run.send(chain([part], number=1, ts_seen=past, leader=LEADER))
    run.settle()
    found = trade(run.store, trade_id(LEADER, tx(1), TOKEN, "BUY"))
    assert found is not None and effective(found).shares == 10_000 * M
    (attempt,) = attempts_of(run.store, f"main/leader/{LEADER}")
    assert attempt.status == "FILLED"
    kinds = [entry.kind for entry in entries_of(run.store, f"main/leader/{LEADER}")]
    assert kinds == ["OPENING", "TRADE_FILL", "FEE"]
    assert run.buried() == [] and run.refused() == []


def test_no_secret_is_in_templates_parameters_environments_or_what_was_said(
    run: AwsRun, target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(DeployFailed, match="is a secret") as refused:
        replace(target, environment={"POLYGON_HTTP_URL": f"https://node/{NODE_KEY}"})
    ssm = run.engine.client("ssm")
    names = [row["Name"] for row in ssm.describe_parameters()["Parameters"]]
    stored = ssm.get_parameters(Names=names, WithDecryption=True)["Parameters"]
    secrets = {row["Value"] for row in stored if row["Type"] == "SecureString"}
    assert len(secrets) >= 2 and any(NODE_KEY in value for value in secrets)
    Deployment(target).up()
    told = [str(refused.value), *capsys.readouterr(), *run.engine.progress]
    cloudformation = run.engine.client("cloudformation")
    for stack in cloudformation.describe_stacks()["Stacks"]:
        told.append(json.dumps(stack, default=str))
        template = cloudformation.get_template(StackName=stack["StackName"])["TemplateBody"]
        told.append(json.dumps(template, default=str))
    functions = run.engine.client("lambda").list_functions()["Functions"]
    told += [json.dumps(function, default=str) for function in functions]
    told += [
        path.read_text()
        for path in target.build.rglob("*")
        if path.is_file() and path.suffix in {".json", ".py", ".txt", ""}
    ]
    told += [path.read_text() for path in (PROJECT_ROOT / ".chalice").glob("*.json")]
    told += [path.read_text() for path in (PROJECT_ROOT / "infra").glob("*.*aml")]
    leaks = [text[:80] for text in told for secret in secrets if secret in text]
    assert leaks == [] and not any(NODE_KEY in text for text in told)


def test_addresses_of_earlier_versions_are_moved(run: AwsRun, target: Target) -> None:
    ssm, functions = run.engine.client("ssm"), run.engine.client("lambda")
    ssm.delete_parameter(Name="/papercopy/local/node/polygon_http_url")
    ssm.put_parameter(Name="/papercopy/local/polygon_ws_url", Value="wss://n/k", Type="String")
    old = {"POLYGON_HTTP_URL": f"https://old/{NODE_KEY}", "PAPERCOPY_STAGE": "local"}
    functions.update_function_configuration(
        FunctionName="papercopy-local-sweep", Environment={"Variables": old}
    )
    Deployment(target).up()
    names = [f"/papercopy/local/node/polygon_{kind}_url" for kind in ("http", "ws")]
    found = ssm.get_parameters(Names=names, WithDecryption=True)["Parameters"]
    assert {row["Name"]: (row["Type"], row["Value"]) for row in found} == {
        names[0]: ("SecureString", f"https://old/{NODE_KEY}"),
        names[1]: ("SecureString", "wss://n/k"),
    }
    left = functions.get_function_configuration(FunctionName="papercopy-local-sweep")
    assert "POLYGON_HTTP_URL" not in left["Environment"]["Variables"]
    assert ssm.get_parameters(Names=["/papercopy/local/polygon_ws_url"])["InvalidParameters"]


def test_what_was_given_once_is_kept_and_can_be_changed(run: AwsRun, target: Target) -> None:
    def parameters(stack: str) -> dict[str, str]:
        cloudformation = run.engine.client("cloudformation")
        (found,) = cloudformation.describe_stacks(StackName=f"papercopy-local-{stack}")["Stacks"]
        return {row["ParameterKey"]: row["ParameterValue"] for row in found["Parameters"]}

    asked = {"AlarmEmail": "a@b.example", "MonthlyBudgetUsd": "35", "FillsConcurrency": "20"}
    Deployment(replace(target, parameters=asked)).up()
    Deployment(target).up()
    assert {**parameters("base"), **parameters("app")}.items() >= asked.items()
    Deployment(replace(target, parameters={"MonthlyBudgetUsd": "36"})).up()
    assert parameters("base")["MonthlyBudgetUsd"] == "36"
    assert parameters("base")["AlarmEmail"] == "a@b.example"
    ids = replace(target, sign_in={"allowed_github_ids": "1,22"})
    Deployment(ids).up()
    ssm = run.engine.client("ssm")
    kept = ssm.get_parameter(Name="/papercopy/local/auth/allowed_github_ids")["Parameter"]
    assert (kept["Value"], kept["Type"]) == ("1,22", "String")
    with pytest.raises(DeployFailed, match="no template has a parameter Colour"):
        replace(target, parameters={"Colour": "red"})


def test_nothing_is_left_after_it_was_taken_down(run: AwsRun, target: Target) -> None:
    run.engine.take_down()
    left = inventory(run.engine.client)
    assert {kind: names for kind, names in left.items() if names} == {}
    vpcs = boto3.client("ec2", endpoint_url=run.engine.endpoint_url, region_name=REGION)
    assert [row for row in vpcs.describe_vpcs()["Vpcs"] if not row["IsDefault"]] == []
    stacks = run.engine.client("cloudformation").list_stacks()["StackSummaries"]
    assert {stack["StackStatus"] for stack in stacks} == {"DELETE_COMPLETE"}
    # Taking down what is not there is nothing that fails.
    run.engine.take_down()


def test_commands_name_what_they_refuse(capsys: pytest.CaptureFixture[str]) -> None:
    for words, reason in (
        (["up", "--stage", "dev-two"], "is no stage name"),
        (["up", "--stage", "dev", "--allowed-github-ids", "ada"], "numbers separated by commas"),
        (["up", "--stage", "dev", "--env", "POLYGON_WS_URL=wss://n/k"], "is a secret"),
    ):
        assert deploy.main(words) == 1
        said = capsys.readouterr().err
        assert reason in said and "wss://n/k" not in said
