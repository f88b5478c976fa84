"""The engine starts and stops without a trace, and packages are what Lambda needs."""

import json
import os
import threading
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from botocore.httpsession import URLLib3Session

from infra.chalice_files import PROJECT_ROOT
from infra.deploy import Deployment, Target
from infra.local.engine import AwsEngine, NotIdle
from infra.local.isolation import NotLocal, local_environment

ZIP_BYTES_MAX = 25_000_000
STOP_S_MAX = 10.0


def test_stop_leaves_no_thread_no_variable_and_no_patch(
    new_engine: Callable[..., AwsEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "somebody")
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", "https://sqs.us-east-1.amazonaws.com")
    before = dict(os.environ)
    threads = set(threading.enumerate())
    send = URLLib3Session.send
    engine = new_engine(schedules=True, time_scale=1.0)
    with engine:
        assert "AWS_PROFILE" not in os.environ
        assert "AWS_ENDPOINT_URL_SQS" not in os.environ
        assert os.environ["AWS_ENDPOINT_URL"] == engine.endpoint_url
        with pytest.raises(RuntimeError, match="Another AwsEngine"):
            new_engine().start()
        # A workflow in the middle of a long wait must not hold the engine up.
        state = {"group_id": "g", "portfolios": [], "wait_seconds": 200, "rounds": 0}
        states = engine.client("stepfunctions")
        machine = states.list_state_machines()["stateMachines"][0]["stateMachineArn"]
        states.start_execution(stateMachineArn=machine, name="long", input=json.dumps(state))
        with pytest.raises(NotIdle, match="executions"):
            engine.wait_idle(0.1)
        started = time.monotonic()
    assert time.monotonic() - started < STOP_S_MAX
    assert dict(os.environ) == before
    # Request threads of an earlier engine may still have been on their way out before.
    assert set(threading.enumerate()) <= threads
    assert URLLib3Session.send is send
    assert "app" not in engine.runtime.__dict__


def test_schedules_run_by_themselves_in_the_given_environment(
    new_engine: Callable[..., AwsEngine],
) -> None:
    with new_engine(
        schedules=True, time_scale=0.005, environment={"CLOB_API_URL": "http://127.0.0.1:9"}
    ) as engine:
        function = engine.client("lambda").get_function_configuration(
            FunctionName="papercopy-local-ingest"
        )
        assert function["Environment"]["Variables"]["CLOB_API_URL"] == "http://127.0.0.1:9"
        assert os.environ["CLOB_API_URL"] == "http://127.0.0.1:9"
        ticks = engine.runtime.app_module.ticks
        give_up_at = time.monotonic() + 15
        while ticks["poll_tick"] < 3 and time.monotonic() < give_up_at:
            time.sleep(0.05)
        assert ticks["poll_tick"] >= 3
        # Fifteen minutes are 4.5 s here, a minute is 0.3 s.
        assert ticks["sync_markets"] < ticks["poll_tick"]
        # A schedule that fails goes on failing; it does not end.
        assert sum(error["function"].endswith("-sweep") for error in engine.runtime.errors) >= 2


def test_only_this_machine_can_be_the_endpoint() -> None:
    with pytest.raises(NotLocal):
        local_environment("https://dynamodb.us-east-1.amazonaws.com")


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Tried to parse AWS")
def test_package_with_the_locked_dependencies(
    new_engine: Callable[..., AwsEngine], tmp_path: Path
) -> None:
    with new_engine() as engine:
        source = engine.deployment.target.source  # type: ignore[union-attr]
        (tmp_path / "app.py").write_text((source / "app.py").read_text())
        (tmp_path / "chalicelib").mkdir()
        (tmp_path / "chalicelib" / "__init__.py").write_text("")
        requirements = (PROJECT_ROOT / "requirements.txt").read_text()
        (tmp_path / "requirements.txt").write_text(requirements)
        lines: list[str] = []
        target = Target(
            stage="packed",
            endpoint_url=engine.endpoint_url,
            source=tmp_path,
            build_root=tmp_path / "build",
            report=lines.append,
        )
        Deployment(target).up()
        assert not any("could not be installed" in line.lower() for line in lines)
        (package,) = (target.build / ".chalice" / "deployments").glob("*.zip")
        _assert_package_is_complete(package)


def _assert_package_is_complete(package: Path) -> None:
    assert package.stat().st_size <= ZIP_BYTES_MAX
    names = set(zipfile.ZipFile(package).namelist())
    for module in (
        "app.py",
        "chalicelib/__init__.py",
        "chalice/app.py",
        "boto3/__init__.py",
        "pynamodb/models.py",
        "pydantic/main.py",
        "requests/sessions.py",
        "aws_lambda_powertools/__init__.py",
    ):
        assert module in names
    compiled = [name for name in names if name.endswith(".so")]
    assert any(name.startswith("pydantic_core/") for name in compiled)
    assert all("aarch64" in name for name in compiled)
    services = {name.split("/")[2] for name in names if name.startswith("botocore/data/")}
    assert {"dynamodb", "sqs", "stepfunctions", "ssm"} <= services
    assert "ec2" not in services
    assert not any(name.startswith(("web3/", "moto/", "tests/")) for name in names)
    locked = _locked_versions()
    installed = {
        tuple(
            name.split("/")[0].removesuffix(".dist-info").lower().replace("_", "-").rsplit("-", 1)
        )
        for name in names
        if ".dist-info/" in name
    }
    assert set(locked.items()) <= installed


def _locked_versions() -> dict[str, str]:
    lines = (PROJECT_ROOT / "requirements.txt").read_text().splitlines()
    pinned = [line.split(" ")[0].split("==") for line in lines if "==" in line.split(" ")[0]]
    return {name.lower(): version for name, version in pinned}
