"""Bring a stage up or down with one command.

    python -m infra.deploy up   --stage dev [--watcher-image IMAGE] [--alarm-email ADDRESS]
    python -m infra.deploy down --stage dev [--delete-data]
    python -m infra.deploy plan --stage dev

`up` is base stack, then Chalice, then app stack. Every step recognises what is already there, so
after a failure the same command goes on from where it stopped.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
)

from infra.chalice_files import PROJECT_ROOT, assemble
from infra.chalice_state import ChaliceState
from infra.functions import APP_NAME, FUNCTIONS
from infra.stacks import StackFailed, Stacks
from infra.vendor import vendor
from infra.workflow import WorkflowInvalid, render_workflow

# AWS takes no new function for older runtimes, and Chalice always uses its own Python's.
PYTHON_MIN = (3, 12)
CHALICE_TIMEOUT_S = 15 * 60
HOW_TO_GO_ON = (
    "Nothing needs to be undone by hand. Correct the cause and run the same command again: "
    "finished steps are recognised and the rest goes on."
)
PROTECTED_TABLES = ("portfolio", "audit")
POLL_AWS_S = 5.0
POLL_LOCAL_S = 0.02
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# No hyphens: `dev` must never match a resource of a stage `dev-two`.
_STAGE = re.compile(r"[a-z][a-z0-9]{1,15}")


class DeployFailed(RuntimeError):
    """A step failed; the message says which one and how to go on."""


@dataclass(frozen=True)
class Target:
    """Where to deploy what; `environment` is added to every function's environment."""

    stage: str
    endpoint_url: str | None = None
    source: Path = PROJECT_ROOT
    build_root: Path = PROJECT_ROOT / "build"
    environment: Mapping[str, str] = field(default_factory=dict)
    app_parameters: Mapping[str, str] = field(default_factory=dict)
    watcher_image: str = ""
    no_watcher: bool = False
    alarm_email: str = ""
    with_dependencies: bool = True
    report: Callable[[str], None] = print

    def __post_init__(self) -> None:
        if _STAGE.fullmatch(self.stage) is None:
            raise DeployFailed(f"{self.stage!r} is no stage name: 2 to 16 of a-z and 0-9")

    @property
    def is_local(self) -> bool:
        return self.endpoint_url is not None and urlsplit(self.endpoint_url).hostname in _LOOPBACK

    @property
    def build(self) -> Path:
        return self.build_root / self.stage

    @property
    def base_stack(self) -> str:
        return f"{APP_NAME}-{self.stage}-base"

    @property
    def app_stack(self) -> str:
        return f"{APP_NAME}-{self.stage}-app"

    @property
    def protects_data(self) -> bool:
        return self.stage.startswith("prod")


def check_python(target: Target, version: tuple[int, int] | None = None) -> None:
    """Raise DeployFailed for a Python whose runtime AWS refuses; locally, only say so."""
    found = version or (sys.version_info.major, sys.version_info.minor)
    if found >= PYTHON_MIN:
        return
    message = (
        f"This is Python {found[0]}.{found[1]}: Chalice would ask for the runtime "
        f"python{found[0]}.{found[1]}, which AWS no longer accepts for new functions. "
        "Deploy with Python 3.13."
    )
    if not target.is_local:
        raise DeployFailed(message)
    target.report(f"  note: {message} (Fine against a local endpoint.)")


class Deployment:
    def __init__(self, target: Target) -> None:
        self.target = target
        self._session = boto3.Session()
        cloudformation = self._session.client("cloudformation", endpoint_url=target.endpoint_url)
        self.region = cloudformation.meta.region_name
        self._stacks = Stacks(
            cloudformation, POLL_LOCAL_S if target.is_local else POLL_AWS_S, target.report
        )
        self.state = ChaliceState(self._session, target.stage, target.endpoint_url)

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        started = time.monotonic()
        self.target.report(title)
        try:
            yield
        except (
            StackFailed,
            WorkflowInvalid,
            ClientError,
            BotoCoreError,
            subprocess.SubprocessError,
            OSError,
        ) as error:
            raise DeployFailed(f"{title} failed: {error}\n{HOW_TO_GO_ON}") from error
        self.target.report(f"  done in {time.monotonic() - started:.1f} s")

    def up(self) -> None:
        check_python(self.target)
        with self._step("1/3 base stack: tables, queues, log groups"):
            self._check_watcher_secret()
            self._put_base()
        with self._step("2/3 chalice: functions, roles, schedules, API"):
            self._deploy_chalice()
        with self._step("3/3 app stack: workflow, event sources, watcher, alarms"):
            self._put_app()

    def down(self, delete_data: bool = False) -> None:
        with self._step("1/3 app stack"):
            self._stacks.delete(self.target.app_stack)
        with self._step("2/3 chalice"):
            self.state.delete_all({function.name for function in FUNCTIONS})
        with self._step("3/3 base stack"):
            if self.target.protects_data and not delete_data:
                self.target.report(f"  {self.target.base_stack}: kept; --delete-data removes it")
                return
            self._lift_protection()
            self._stacks.delete(self.target.base_stack)

    def plan(self) -> None:
        """Say what `up` would do, changing nothing."""
        check_python(self.target)
        for stack in (self.target.base_stack, self.target.app_stack):
            self.target.report(f"stack {stack}: {self._stacks.status(stack) or 'to be created'}")
        deployed = self.state.function_arns()
        for function in FUNCTIONS:
            verb = "update" if function.name in deployed else "create"
            self.target.report(
                f"function {function.deployed_name(self.target.stage)}: {verb}, "
                f"{function.memory_mb} MB, {function.timeout_s} s"
            )
        for name in sorted(set(deployed) - {function.name for function in FUNCTIONS}):
            self.target.report(f"function {name}: delete")

    def _lift_protection(self) -> None:
        dynamodb = self._session.client("dynamodb", endpoint_url=self.target.endpoint_url)
        for name in PROTECTED_TABLES:
            table = f"{APP_NAME}-{self.target.stage}-{name}"
            try:
                dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
            except dynamodb.exceptions.ResourceNotFoundException:
                continue

    def _put_base(self) -> None:
        template = (PROJECT_ROOT / "infra" / "base.yaml").read_text()
        parameters = {
            "Stage": self.target.stage,
            "Protect": "true" if self.target.protects_data else "false",
            "AlarmEmail": self.target.alarm_email,
        }
        self._stacks.put(self.target.base_stack, template, parameters)

    def _deploy_chalice(self) -> None:
        target = self.target
        assemble(target.source, target.build, target.stage, self._environment())
        if target.with_dependencies:
            vendor(target.source / "requirements.txt", target.build, target.build_root / "cache")
        self.state.write(target.build / ".chalice")
        environment = {**os.environ, **target.environment, "PAPERCOPY_STAGE": target.stage}
        environment["AWS_DEFAULT_REGION"] = self.region
        if target.endpoint_url:
            environment["AWS_ENDPOINT_URL"] = target.endpoint_url
        command = [
            sys.executable,
            "-c",
            "import sys; from chalice.cli import main; sys.exit(main())",
        ]
        command += ["--project-dir", str(target.build)]
        command += ["deploy", "--stage", target.stage, "--no-autogen-policy"]
        run = subprocess.run(
            command,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=CHALICE_TIMEOUT_S,
            check=False,
        )
        for line in run.stdout.splitlines():
            target.report(f"  {line}")
        if run.returncode != 0:
            last_line = (run.stdout.strip().splitlines() or ["no output"])[-1]
            raise subprocess.SubprocessError(f"chalice ended with {run.returncode}: {last_line}")

    def _put_app(self) -> None:
        account = self._session.client(
            "sts", endpoint_url=self.target.endpoint_url
        ).get_caller_identity()["Account"]
        asl = (PROJECT_ROOT / "stepfunctions" / "copy_trade.asl.json").read_text()
        parameters = {
            "Stage": self.target.stage,
            "CopyTradeDefinition": render_workflow(asl, self.target.stage, self.region, account),
            "WatcherImage": self._watcher_image(),
            **self.target.app_parameters,
        }
        template = (PROJECT_ROOT / "infra" / "app.yaml").read_text()
        self._stacks.put(self.target.app_stack, template, parameters)

    def _watcher_image(self) -> str:
        """The image given, or the one that runs: deploying again must not remove a watcher."""
        if self.target.no_watcher:
            return ""
        running = self._stacks.parameter(self.target.app_stack, "WatcherImage")
        return self.target.watcher_image or running

    def _environment(self) -> dict[str, str]:
        """What the functions are given; without a watcher the stage says that it only polls."""
        only_polls = not self.target.is_local and not self._watcher_image()
        return {**({"TRIGGER_MODE": "api"} if only_polls else {}), **self.target.environment}

    def _check_watcher_secret(self) -> None:
        if not self.target.watcher_image or self.target.is_local:
            return
        name = f"/{APP_NAME}/{self.target.stage}/polygon_ws_url"
        parameters = self._session.client("ssm").get_parameters(Names=[name])
        if parameters["InvalidParameters"]:
            raise StackFailed(
                f"The watcher needs the SecureString parameter {name}; create it with "
                f"`aws ssm put-parameter --type SecureString --name {name} --value wss://...`"
            )


def _name_and_value(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy")
    parser.add_argument("action", choices=["up", "down", "plan"])
    parser.add_argument("--stage", required=True)
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    parser.add_argument("--watcher-image", default="", help="kept on later runs without it")
    parser.add_argument("--no-watcher", action="store_true", help="remove the watcher")
    parser.add_argument("--alarm-email", default="")
    parser.add_argument("--env", type=_name_and_value, action="append", default=[])
    parser.add_argument("--set", type=_name_and_value, action="append", default=[])
    parser.add_argument("--delete-data", action="store_true")
    return parser.parse_args()


def _refuse(message: str) -> int:
    print(f"deploy: {message}", file=sys.stderr)
    return 1


def main() -> int:
    arguments = _arguments()
    try:
        target = Target(
            stage=arguments.stage,
            endpoint_url=arguments.endpoint_url,
            environment=dict(arguments.env),
            app_parameters=dict(arguments.set),
            watcher_image=arguments.watcher_image,
            no_watcher=arguments.no_watcher,
            alarm_email=arguments.alarm_email,
        )
        if arguments.action == "down":
            Deployment(target).down(arguments.delete_data)
        elif arguments.action == "plan":
            Deployment(target).plan()
        else:
            Deployment(target).up()
    except DeployFailed as failure:
        print(failure, file=sys.stderr)
        return 1
    except NoCredentialsError:
        return _refuse("no AWS credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and its secret")
    except NoRegionError:
        return _refuse("no AWS region: set AWS_REGION or AWS_DEFAULT_REGION")
    except (BotoCoreError, ClientError) as error:
        return _refuse(f"AWS does not answer as expected: {error}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
