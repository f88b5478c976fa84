"""Bring a stage up or down with one command.

    python -m infra.deploy up   --stage dev [--build-watcher | --watcher-image IMAGE] [--spot] …
    python -m infra.deploy down --stage dev [--delete-data]
    python -m infra.deploy plan --stage dev

`up` shows its plan and then puts up: secrets, base stack, watcher image, Chalice's functions, app
stack, edge. Every step recognises what is already there, so after a failure the same command goes
on from where it stopped. What is not given again stays as it is.
"""

import argparse
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import boto3
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
)

from chalicelib.adapters.node_addresses import HTTP_NAME, WS_NAME
from infra import image, plan, site
from infra.chalice_files import PROJECT_ROOT, assemble
from infra.chalice_state import ChaliceState
from infra.functions import APP_NAME, FUNCTIONS
from infra.node import FREE_HTTP_ADDRESS, SECRET_VARIABLES, NodeAddresses
from infra.session_keys import rotate
from infra.stacks import StackFailed, Stacks
from infra.templates import declared, text
from infra.vendor import vendor
from infra.workflow import WorkflowInvalid, render_workflow

# AWS takes no new function for older runtimes, and Chalice always uses its own Python's.
PYTHON_MIN = (3, 12)
CHALICE_TIMEOUT_S = 15 * 60
HOW_TO_GO_ON = (
    "Nothing needs to be undone by hand. Correct the cause and run the same command again: "
    "finished steps are recognised and the rest goes on."
)
PROTECTED_TABLES = ("registry", "activity", "portfolio", "audit")
PARAMETERS_DELETED_AT_ONCE = 10
POLL_AWS_S = 5.0
POLL_LOCAL_S = 0.02
TEMPLATES = ("base", "app", "edge")
BUDGET_PARAMETER = "MonthlyBudgetUsd"
_LOOPBACK = {"127.0.0.1", "localhost", "::1"}
# No hyphens: `dev` must never match a resource of a stage `dev-two`.
_STAGE = re.compile(r"[a-z][a-z0-9]{1,15}")
_GITHUB_IDS = re.compile(r"[1-9][0-9]*(,[1-9][0-9]*)*")


class DeployFailed(RuntimeError):
    """A step failed; the message says which one and how to go on."""


@dataclass(frozen=True)
class Target:
    """Where to deploy what.

    `environment` is added to every function's environment and holds no secrets; `parameters` are
    template parameters by name, `sign_in` settings of sign-in. What is left out stays as it is.
    """

    stage: str
    endpoint_url: str | None = None
    source: Path = PROJECT_ROOT
    build_root: Path = PROJECT_ROOT / "build"
    environment: Mapping[str, str] = field(default_factory=dict)
    parameters: Mapping[str, str] = field(default_factory=dict)
    sign_in: Mapping[str, str] = field(default_factory=dict)
    watcher_image: str = ""
    build_watcher: bool = False
    no_watcher: bool = False
    edge: bool = True
    with_dependencies: bool = True
    report: Callable[[str], None] = print

    def __post_init__(self) -> None:
        if _STAGE.fullmatch(self.stage) is None:
            raise DeployFailed(f"{self.stage!r} is no stage name: 2 to 16 of a-z and 0-9")
        if secret := sorted(SECRET_VARIABLES & set(self.environment)):
            raise DeployFailed(
                f"{secret[0]} is a secret and not for the functions' environment: "
                f"python -m infra.secrets --stage {self.stage} node/{secret[0].lower()} keeps it"
            )
        unknown = set(self.parameters) - set().union(*(declared(text(t)) for t in TEMPLATES))
        if unknown:
            raise DeployFailed(f"no template has a parameter {sorted(unknown)[0]}")

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
    def edge_stack(self) -> str:
        return f"{APP_NAME}-{self.stage}-edge"

    @property
    def repository(self) -> str:
        return f"{APP_NAME}-{self.stage}-watcher"

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
        "Deploy with Python 3.13: make clean, then make deploy PYTHON=python3.13."
    )
    if not target.is_local:
        raise DeployFailed(message)
    target.report(f"  note: {message} (Fine against a local endpoint.)")


class Deployment:
    def __init__(self, target: Target, run_docker: image.Run = image.run_docker) -> None:
        self.target = target
        self._session = boto3.Session()
        self._run_docker = run_docker
        cloudformation = self._client("cloudformation")
        self.region = cloudformation.meta.region_name
        self._stacks = Stacks(
            cloudformation, POLL_LOCAL_S if target.is_local else POLL_AWS_S, target.report
        )
        self.state = ChaliceState(self._session, target.stage, target.endpoint_url)
        self._addresses = NodeAddresses(self._client("ssm"), target.stage)

    def _client(self, service: str) -> Any:
        return self._session.client(service, endpoint_url=self.target.endpoint_url)

    @contextmanager
    def _step(self, title: str) -> Iterator[None]:
        started = time.monotonic()
        self.target.report(title)
        try:
            yield
        except (
            StackFailed,
            WorkflowInvalid,
            image.ImageFailed,
            ClientError,
            BotoCoreError,
            subprocess.SubprocessError,
            OSError,
        ) as error:
            raise DeployFailed(f"{title} failed: {error}\n{HOW_TO_GO_ON}") from error
        self.target.report(f"  done in {time.monotonic() - started:.1f} s")

    def up(self) -> None:
        check_python(self.target)
        with self._step("1/6 secrets: node addresses, session key"):
            self._keep_secrets()
        with self._step("2/6 base stack: tables, queues, image repository, log groups"):
            self._put("base", self._base_parameters())
        with self._step("3/6 watcher image"):
            watcher_image = self._watcher_image(build=self.target.build_watcher)
            self._check_watcher_secret(watcher_image)
        with self._step("4/6 chalice: functions, roles, schedules, API"):
            self._deploy_chalice(watcher_image)
        with self._step("5/6 app stack: workflow, event sources, watcher, alarms"):
            self._put("app", self._app_parameters(watcher_image))
        with self._step("6/6 edge: dashboard and API under one origin"):
            self._put_edge()

    def down(self, delete_data: bool = False) -> None:
        """Remove the stage; a protected one keeps base stack and secrets unless told otherwise."""
        with self._step("1/5 edge"):
            if bucket := self._stacks.outputs(self.target.edge_stack).get("SiteBucket"):
                site.empty(self._client("s3"), bucket)
            self._stacks.delete(self.target.edge_stack)
        with self._step("2/5 app stack"):
            self._stacks.delete(self.target.app_stack)
        with self._step("3/5 chalice"):
            self.state.delete_all({function.name for function in FUNCTIONS})
        with self._step("4/5 base stack"):
            if self.target.protects_data and not delete_data:
                self.target.report(
                    f"  {self.target.base_stack} and the secrets: kept; --delete-data removes them"
                )
                return
            self._lift_protection()
            self._stacks.delete(self.target.base_stack)
        with self._step("5/5 secrets"):
            self._delete_parameters()

    def plan(self) -> None:
        """Say what `up` would do, changing nothing."""
        target = self.target
        check_python(target)
        for line in plan.concurrency_lines(lambda: plan.account_limit(self._client("lambda"))):
            target.report(line)
        given = {
            "base": self._base_parameters(),
            "app": self._app_parameters(self._watcher_image(build=False)),
            **({"edge": {}} if target.edge else {}),
        }
        for template, parameters in given.items():
            name = self._stack_name(template)
            asked = {**parameters, **target.parameters}
            for line in plan.stack_lines(self._stacks, name, text(template), asked):
                target.report(line)
        if target.build_watcher:
            target.report(f"watcher image: {image.content_tag(target.source)}, built unless there")
        for line in plan.function_lines(self.state.function_arns(), target.stage):
            target.report(line)
        for which in (HTTP_NAME, WS_NAME):
            verb = "kept" if self._addresses.known(which) else "missing"
            target.report(f"secret {self._addresses.name(which)}: {verb}")

    def plan_down(self, delete_data: bool = False) -> None:
        """Say what `down` would remove."""
        keeps = self.target.protects_data and not delete_data
        for template in reversed(TEMPLATES):
            name = self._stack_name(template)
            if self._stacks.status(name) is not None:
                verb = "keep" if keeps and template == "base" else "delete"
                self.target.report(f"stack {name}: {verb}")
        for name in sorted(self.state.function_arns()):
            self.target.report(f"function {name}: delete")
        self.target.report(f"parameters under {self._root}: {'keep' if keeps else 'delete'}")

    @property
    def _root(self) -> str:
        return f"/{APP_NAME}/{self.target.stage}/"

    def _stack_name(self, template: str) -> str:
        return f"{APP_NAME}-{self.target.stage}-{template}"

    def _put(self, template: str, parameters: Mapping[str, str]) -> None:
        name, body = self._stack_name(template), text(template)
        given = {**parameters, **self.target.parameters}
        self._stacks.put(name, body, plan.wanted(self._stacks, name, body, given))

    def _base_parameters(self) -> dict[str, str]:
        return {
            "Stage": self.target.stage,
            "Protect": "true" if self.target.protects_data else "false",
        }

    def _keep_secrets(self) -> None:
        """What the stage needs to know and nobody may read; what is there stays."""
        self._addresses.adopt(self._address_of_functions, self.target.report)
        if not self.target.is_local and not self._addresses.known(HTTP_NAME):
            self._addresses.put(HTTP_NAME, FREE_HTTP_ADDRESS)
            self.target.report(f"  {self._addresses.name(HTTP_NAME)}: a public node for now")
        ssm, key = self._client("ssm"), f"{self._root}auth/session_key"
        if not self.target.is_local and ssm.get_parameters(Names=[key])["InvalidParameters"]:
            rotate(ssm, self.target.stage)
            self.target.report(f"  {key}: made")
        for name, value in self.target.sign_in.items():
            self._set_plain(name, value)

    def _set_plain(self, name: str, value: str) -> None:
        """A setting of sign-in that is no secret."""
        ssm, full = self._client("ssm"), f"{self._root}auth/{name}"
        found = ssm.get_parameters(Names=[full])["Parameters"]
        if not found or found[0]["Value"] != value:
            ssm.put_parameter(Name=full, Value=value, Type="String", Overwrite=True)
            self.target.report(f"  {full}: {value}")

    def _address_of_functions(self) -> str:
        """The node's address as earlier versions gave it to the functions."""
        functions = self._client("lambda")
        try:
            found = functions.get_function_configuration(
                FunctionName=f"{APP_NAME}-{self.target.stage}-sweep"
            )
        except functions.exceptions.ResourceNotFoundException:
            return ""
        variables = found.get("Environment", {}).get("Variables", {})
        return str(variables.get("POLYGON_HTTP_URL", ""))

    def _delete_parameters(self) -> None:
        ssm = self._client("ssm")
        pages = ssm.get_paginator("get_parameters_by_path").paginate(
            Path=self._root, Recursive=True
        )
        names = [row["Name"] for page in pages for row in page["Parameters"]]
        for first in range(0, len(names), PARAMETERS_DELETED_AT_ONCE):
            ssm.delete_parameters(Names=names[first : first + PARAMETERS_DELETED_AT_ONCE])

    def _put_edge(self) -> None:
        target = self.target
        if not target.edge:
            target.report("  none asked for; an existing one stays")
            return
        api_ids = self.state.rest_api_ids()
        if not api_ids:
            raise StackFailed("the API is not deployed")
        self._put("edge", {"Stage": target.stage, "ApiId": api_ids[0]})
        outputs = self._stacks.outputs(target.edge_stack)
        changed = site.upload(
            self._client("s3"), outputs["SiteBucket"], target.source / "dashboard"
        )
        target.report(f"  dashboard: {len(changed)} files changed")
        self._set_plain("public_origin", outputs["Origin"])
        target.report(
            f"  {outputs['Origin']} (a domain's record points to {outputs['DistributionDomain']})"
        )

    def _lift_protection(self) -> None:
        dynamodb = self._client("dynamodb")
        for name in PROTECTED_TABLES:
            table = f"{APP_NAME}-{self.target.stage}-{name}"
            try:
                dynamodb.update_table(TableName=table, DeletionProtectionEnabled=False)
            except dynamodb.exceptions.ResourceNotFoundException:
                continue

    def _deploy_chalice(self, watcher_image: str) -> None:
        target = self.target
        environment_given = self._environment(watcher_image)
        assemble(target.source, target.build, target.stage, environment_given)
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

    def _app_parameters(self, watcher_image: str) -> dict[str, str]:
        account = self._client("sts").get_caller_identity()["Account"]
        asl = (PROJECT_ROOT / "stepfunctions" / "copy_trade.asl.json").read_text()
        return {
            "Stage": self.target.stage,
            "CopyTradeDefinition": render_workflow(asl, self.target.stage, self.region, account),
            "WatcherImage": watcher_image,
        }

    def _watcher_image(self, *, build: bool) -> str:
        """The image given or built, or the one that runs: deploying again keeps the watcher."""
        target = self.target
        if target.no_watcher:
            return ""
        if build:
            return image.ensure_image(
                self._client("ecr"),
                target.repository,
                target.source,
                target.report,
                dual_stack=self._parameter("Ipv6Only") == "true",
                run=self._run_docker,
            )
        return target.watcher_image or self._parameter("WatcherImage")

    def _parameter(self, name: str) -> str:
        """A parameter of the app stack as it will be."""
        before = self._stacks.parameters(self.target.app_stack)
        return self.target.parameters.get(name, before.get(name, ""))

    def _environment(self, watcher_image: str) -> dict[str, str]:
        """What the functions are given; without a watcher the stage says that it only polls."""
        only_polls = not self.target.is_local and not watcher_image
        return {**({"TRIGGER_MODE": "api"} if only_polls else {}), **self.target.environment}

    def _check_watcher_secret(self, watcher_image: str) -> None:
        if not watcher_image or self.target.is_local or self._addresses.known(WS_NAME):
            return
        raise StackFailed(
            f"The watcher needs the SecureString parameter {self._addresses.name(WS_NAME)}; keep "
            f"it with `python -m infra.secrets --stage {self.target.stage} node/{WS_NAME}`"
        )


def _name_and_value(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m infra.deploy")
    parser.add_argument("action", choices=["up", "down", "plan"])
    parser.add_argument("--stage", required=True)
    parser.add_argument("--yes", action="store_true", help="go on without asking")
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    watcher = parser.add_mutually_exclusive_group()
    watcher.add_argument("--watcher-image", default="", help="kept on later runs without it")
    watcher.add_argument("--build-watcher", action="store_true", help="build and push it (docker)")
    watcher.add_argument("--no-watcher", action="store_true", help="remove the watcher")
    capacity = parser.add_mutually_exclusive_group()
    capacity.add_argument("--spot", action="store_const", const="FARGATE_SPOT", dest="capacity")
    capacity.add_argument("--no-spot", action="store_const", const="FARGATE", dest="capacity")
    parser.add_argument("--ipv6-only", choices=["true", "false"])
    parser.add_argument("--alarm-email")
    parser.add_argument("--budget", help="US dollars a month")
    parser.add_argument("--allowed-github-ids", help="numbers separated by commas")
    parser.add_argument("--github-client-id")
    parser.add_argument("--domain")
    parser.add_argument("--certificate-arn", help="certificate of the domain, in us-east-1")
    parser.add_argument("--hosted-zone-id", help="Route 53 zone of the domain")
    parser.add_argument("--no-edge", action="store_true")
    parser.add_argument("--env", type=_name_and_value, action="append", default=[])
    parser.add_argument("--set", type=_name_and_value, action="append", default=[])
    parser.add_argument("--delete-data", action="store_true")
    return parser.parse_args(words)


def _target(asked: argparse.Namespace) -> Target:
    """Raises DeployFailed for what cannot be meant."""
    ids = asked.allowed_github_ids
    if ids and not _GITHUB_IDS.fullmatch(ids):
        raise DeployFailed("--allowed-github-ids: numbers separated by commas were expected")
    named = {
        "WatcherCapacity": asked.capacity,
        "Ipv6Only": asked.ipv6_only,
        "AlarmEmail": asked.alarm_email,
        BUDGET_PARAMETER: asked.budget,
        "Domain": asked.domain,
        "CertificateArn": asked.certificate_arn,
        "HostedZoneId": asked.hosted_zone_id,
    }
    sign_in = {"allowed_github_ids": ids, "github_client_id": asked.github_client_id}
    return Target(
        stage=asked.stage,
        endpoint_url=asked.endpoint_url,
        environment=dict(asked.env),
        parameters={**_given(named), **dict(asked.set)},
        sign_in=_given(sign_in),
        watcher_image=asked.watcher_image,
        build_watcher=asked.build_watcher,
        no_watcher=asked.no_watcher,
        edge=not asked.no_edge,
    )


def _given(values: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in values.items() if value}


def _goes_on(asked: argparse.Namespace) -> bool:
    """Whether the plan is accepted; only a terminal is asked."""
    if asked.yes or not sys.stdin.isatty():
        return True
    return input("go on? [y/N] ").strip().lower() in {"y", "yes"}


def _refuse(message: str) -> int:
    print(f"deploy: {message}", file=sys.stderr)
    return 1


def main(words: Sequence[str] | None = None) -> int:
    asked = _arguments(words)
    try:
        deployment = Deployment(_target(asked))
        if asked.action == "down":
            deployment.plan_down(asked.delete_data)
        else:
            deployment.plan()
        if asked.action == "plan":
            return 0
        if not _goes_on(asked):
            return _refuse("nothing was changed")
        if asked.action == "down":
            deployment.down(asked.delete_data)
        else:
            deployment.up()
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
