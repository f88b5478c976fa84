"""Up, up again, resumed after a failure, and down, against moto."""

import json
import urllib.error
import urllib.request
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest

from infra import deploy
from infra.chalice_state import ChaliceState
from infra.deploy import DeployFailed, Deployment, Target, check_python
from infra.functions import FUNCTIONS
from infra.local.engine import AwsEngine
from infra.local.http_server import match_resource
from infra.local.isolation import NotLocal


def _inventory(engine: AwsEngine) -> dict[str, list[str]]:
    def names(service: str, operation: str, list_key: str, key: str) -> list[str]:
        answer = getattr(engine.client(service), operation)()
        return sorted(item[key] if key else item for item in answer.get(list_key, []))

    return {
        "functions": names("lambda", "list_functions", "Functions", "FunctionName"),
        "mappings": names(
            "lambda", "list_event_source_mappings", "EventSourceMappings", "EventSourceArn"
        ),
        "roles": names("iam", "list_roles", "Roles", "RoleName"),
        "rules": names("events", "list_rules", "Rules", "Name"),
        "apis": names("apigateway", "get_rest_apis", "items", "name"),
        "machines": names("stepfunctions", "list_state_machines", "stateMachines", "name"),
        "tables": names("dynamodb", "list_tables", "TableNames", ""),
        "queues": names("sqs", "list_queues", "QueueUrls", ""),
        "log groups": names("logs", "describe_log_groups", "logGroups", "logGroupName"),
        "services": names("ecs", "list_clusters", "clusterArns", ""),
        "topics": names("sns", "list_topics", "Topics", "TopicArn"),
    }


def test_functions_get_memory_timeout_architecture_and_environment(engine: AwsEngine) -> None:
    deployed = engine.client("lambda").list_functions()["Functions"]
    by_name = {function["FunctionName"]: function for function in deployed}
    assert set(by_name) == {function.deployed_name("local") for function in FUNCTIONS}
    for function in FUNCTIONS:
        configuration = by_name[function.deployed_name("local")]
        assert configuration["MemorySize"] == function.memory_mb
        assert configuration["Timeout"] == function.timeout_s
        assert configuration["Architectures"] == ["arm64"]
        variables = configuration["Environment"]["Variables"]
        assert variables["PAPERCOPY_STAGE"] == "local"
        assert variables["DATA_API_URL"] == "https://data-api.polymarket.com"


def test_mappings_report_partial_batches(engine: AwsEngine) -> None:
    mappings = engine.client("lambda").list_event_source_mappings()["EventSourceMappings"]
    batches = {mapping["EventSourceArn"].split("-")[-1]: mapping for mapping in mappings}
    assert batches["fills.fifo"]["BatchSize"] == 10
    assert batches["polls"]["BatchSize"] == 1
    for mapping in mappings:
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert int(mapping["ScalingConfig"]["MaximumConcurrency"]) >= 2


def test_api_and_dashboard_answer_on_one_port(engine: AwsEngine) -> None:
    def get(path: str) -> bytes:
        with urllib.request.urlopen(engine.api_url + path, timeout=5) as answer:
            body: bytes = answer.read()
            return body

    assert json.loads(get("/api/health?a=1")) == {"stage": "local", "query": {"a": "1"}}
    assert b"papercopy" in get("/")
    request = urllib.request.Request(
        engine.api_url + "/api/leaders/0xab%20c",
        method="PUT",
        data=b'{"on": true}',
        headers={"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request, timeout=5) as answer:
        assert json.loads(answer.read()) == {"leader": "0xab c", "body": {"on": True}}
    for unknown in ("/api/nothing", "/api/leaders"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            get(unknown)
        assert refused.value.code == 403


def test_literal_resources_win_over_parameters() -> None:
    resources = ["/leaders/{id}", "/leaders/top", "/files/{rest+}"]
    assert match_resource("/leaders/top", resources) == ("/leaders/top", {})
    assert match_resource("/leaders/7", resources) == ("/leaders/{id}", {"id": "7"})
    assert match_resource("/files/a/b", resources) == ("/files/{rest+}", {"rest": "a/b"})
    assert match_resource("/leaders/7/x", resources) is None


def test_nothing_leaves_this_machine(engine: AwsEngine) -> None:
    outside = boto3.client("sts", endpoint_url="https://sts.us-east-1.amazonaws.com")
    with pytest.raises(NotLocal):
        outside.get_caller_identity()


def test_second_up_changes_nothing(engine: AwsEngine) -> None:
    before = _inventory(engine)
    assert all(before[kind] for kind in before if kind != "services")
    engine.deploy()
    assert _inventory(engine) == before


def test_up_adopts_what_an_interrupted_deployment_left(
    engine: AwsEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Chalice forgets ids when it fails, and a second machine never had them."""
    assert engine.deployment is not None
    before = _inventory(engine)
    target = engine.deployment.target
    deployed = target.build / ".chalice" / "deployed" / "local.json"
    deployed.unlink()

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError("the line went dead")

    with monkeypatch.context() as broken:
        broken.setattr(deploy, "assemble", refuse)
        with pytest.raises(DeployFailed, match="run the same command again"):
            Deployment(target).up()
    Deployment(target).up()
    assert _inventory(engine) == before


def _with_app(target: Target, directory: Path, text: str) -> Target:
    (directory / "app.py").write_text(text)
    return replace(target, source=directory, build_root=directory / "build")


def test_removed_function_goes_with_the_next_up(tmp_path: Path, engine: AwsEngine) -> None:
    assert engine.deployment is not None
    target = engine.deployment.target
    before = _inventory(engine)
    text = (target.source / "app.py").read_text()
    start = text.index('@app.schedule(Rate(1, unit=Rate.MINUTES), name="mark_portfolios")')
    end = text.index("@app.route")
    Deployment(_with_app(target, tmp_path, text[:start] + text[end:])).up()
    smaller = _inventory(engine)
    for kind in ("functions", "rules", "roles"):
        gone = set(before[kind]) - set(smaller[kind])
        assert len(gone) == 1 and "mark_portfolios" in gone.pop()
    Deployment(target).up()
    assert _inventory(engine) == before


def test_function_without_a_policy_is_refused(tmp_path: Path, engine: AwsEngine) -> None:
    assert engine.deployment is not None
    target = engine.deployment.target
    text = (target.source / "app.py").read_text()
    text += '\n\n@app.lambda_function(name="unknown")\ndef unknown(event, context):\n    pass\n'
    with pytest.raises(DeployFailed, match="Unable to load IAM policy file"):
        Deployment(_with_app(target, tmp_path, text)).up()
    assert "papercopy-local-unknown" not in _inventory(engine)["functions"]


def test_down_leaves_nothing_and_up_works_again(engine: AwsEngine) -> None:
    engine.take_down()
    assert {kind: left for kind, left in _inventory(engine).items() if left} == {}
    engine.deploy()
    assert engine.fire("poll_tick")["stage"] == "local"


def test_watcher_service_exists_once_an_image_is_given(engine: AwsEngine) -> None:
    assert engine.deployment is not None
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/papercopy:1"
    watched = Deployment(replace(engine.deployment.target, stage="watched", watcher_image=image))
    watched.up()
    ecs = engine.client("ecs")
    assert ecs.list_services(cluster="papercopy-watched")["serviceArns"]
    definition = ecs.describe_task_definition(taskDefinition="papercopy-watched-watcher")
    container = definition["taskDefinition"]["containerDefinitions"][0]
    assert container["image"] == image
    variables = {variable["name"] for variable in container["environment"]}
    secrets = {secret["name"]: secret["valueFrom"] for secret in container["secrets"]}
    assert {"PAPERCOPY_STAGE", "CLOB_WS_URL"} <= variables
    assert set(secrets) == {"POLYGON_HTTP_URL", "POLYGON_WS_URL"}
    assert not variables & set(secrets)
    for name, where in secrets.items():
        assert where.endswith(f":parameter/papercopy/watched/node/{name.lower()}")
    watched.down()
    # moto's CloudFormation forgets to delete ECS resources, so the stack is all there is to see.
    stacks = engine.client("cloudformation").list_stacks()["StackSummaries"]
    live = [stack for stack in stacks if stack["StackStatus"] != "DELETE_COMPLETE"]
    assert not [stack for stack in live if "watched" in stack["StackName"]]


def test_plan_changes_nothing_and_names_every_function(engine: AwsEngine) -> None:
    assert engine.deployment is not None
    lines: list[str] = []
    before = _inventory(engine)
    Deployment(replace(engine.deployment.target, report=lines.append)).plan()
    assert _inventory(engine) == before
    for function in FUNCTIONS:
        assert any(function.deployed_name("local") + ": update" in line for line in lines)


def test_protected_stage_keeps_its_data_on_down(engine: AwsEngine) -> None:
    assert engine.deployment is not None
    target = replace(engine.deployment.target, stage="prodtwo")
    Deployment(target).up()
    dynamodb = engine.client("dynamodb")
    table = dynamodb.describe_table(TableName="papercopy-prodtwo-portfolio")["Table"]
    assert table["DeletionProtectionEnabled"] is True
    Deployment(target).down()
    assert "papercopy-prodtwo-portfolio" in dynamodb.list_tables()["TableNames"]
    state = ChaliceState(boto3.Session(), "prodtwo", engine.endpoint_url)
    assert state.function_arns() == {}
    Deployment(target).down(delete_data=True)
    assert "papercopy-prodtwo-portfolio" not in dynamodb.list_tables()["TableNames"]
    # The other stage did not notice.
    assert engine.fire("poll_tick")["stage"] == "local"


def test_old_python_is_refused_by_aws_and_only_mentioned_locally() -> None:
    lines: list[str] = []
    local = Target(stage="dev", endpoint_url="http://127.0.0.1:1", report=lines.append)
    check_python(local, (3, 11))
    assert "3.13" in lines[0]
    with pytest.raises(DeployFailed, match=r"python3\.11"):
        check_python(Target(stage="dev"), (3, 11))
    check_python(Target(stage="dev"), (3, 13))


@pytest.mark.parametrize("stage", ["dev-two", "D", "", "x" * 17])
def test_stage_names_that_could_overlap_are_refused(stage: str) -> None:
    with pytest.raises(DeployFailed):
        Target(stage=stage)
