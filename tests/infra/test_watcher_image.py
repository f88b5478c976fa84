"""The watcher's image: linted, named by its content, and its entry point run as the image has it.

There is no container engine here, so the command runs in a folder with exactly the files that the
image copies, with the variables of image and task, and with the packages of this environment, of
which it may load those of the image alone.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

from chalicelib.services.heartbeats import heartbeats
from infra import templates
from infra.chalice_files import PROJECT_ROOT
from infra.image import DOCKERFILE, PLATFORM, ImageFailed, content_tag, ensure_image
from infra.local import permissions
from infra.local.aws_stack import AwsStack
from infra.local.permissions import WATCHER_KEY
from infra.local.simulator_process import SimulatorProcess
from infra.local.stack import wait_until
from tests.infra import dockerfile
from tests.infra.dockerfile import Instruction, command, complaints, environment, last_stage

ALL = dockerfile.instructions(PROJECT_ROOT / DOCKERFILE)
IMAGE = last_stage(ALL)
UP_SECONDS_MAX = 60
ADDED = {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_ENDPOINT_URL"}
"""What a task's role gives a process on AWS, and where moto is."""


def task() -> dict[str, Any]:
    """The task definition of the template."""
    found: dict[str, Any] = templates.parsed(templates.text("app"))["Resources"]["WatcherTask"]
    return found["Properties"]  # type: ignore[no-any-return]


def container() -> dict[str, Any]:
    (found,) = task()["ContainerDefinitions"]
    return found  # type: ignore[no-any-return]


def test_nothing_is_wrong_with_the_dockerfile() -> None:
    assert complaints(ALL) == []


@pytest.mark.parametrize(
    ("word", "before", "after"),
    [
        ("USER", "10001:10001", "root"),
        ("FROM", "python:3.13-slim-bookworm", "python:latest"),
        ("RUN", "--require-hashes ", ""),
        ("CMD", '["python", "-m", "chalicelib.watcher"]', "python -m chalicelib.watcher"),
        ("ENV", "HOME=/srv", "POLYGON_WS_URL=wss://node/key"),
        ("COPY", "chalicelib /srv/chalicelib", ". /srv"),
    ],
)
def test_each_check_finds_its_defect(word: str, before: str, after: str) -> None:
    changed = [
        Instruction(one.word, one.rest.replace(before, after)) if one.word == word else one
        for one in ALL
    ]
    assert changed != ALL
    assert complaints(changed) != []


def test_the_task_runs_what_the_image_runs_as_the_same_user() -> None:
    made = container()
    assert made["Command"] == command(IMAGE)
    assert made["HealthCheck"]["Command"] == ["CMD", *command(IMAGE, "HEALTHCHECK")]
    (user,) = (one.rest for one in IMAGE if one.word == "USER")
    assert made["User"] == user
    assert made["ReadonlyRootFilesystem"] is True
    assert made["LinuxParameters"] == {"Capabilities": {"Drop": ["ALL"]}}


def test_the_task_is_arm64_and_has_time_to_drain() -> None:
    from chalicelib.watcher.surroundings import RunnerLimits

    assert task()["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    assert PLATFORM == "linux/arm64"
    limits = RunnerLimits()
    drains_s = limits.drain_s + limits.last_words_s + limits.close_timeout_s
    assert drains_s <= 20
    assert container()["StopTimeout"] >= 25


def test_a_deployment_overlaps_and_rolls_back() -> None:
    service = templates.parsed(templates.text("app"))["Resources"]["WatcherService"]["Properties"]
    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    assert service["DesiredCount"] == 1


def test_the_build_context_holds_what_is_copied_and_nothing_else() -> None:
    sources = {
        one.rest.split()[0]
        for one in ALL
        if one.word == "COPY" and not one.rest.startswith("--from")
    }
    allowed = {
        line.removeprefix("!")
        for line in (PROJECT_ROOT / ".dockerignore").read_text().splitlines()
        if line.startswith("!")
    }
    assert allowed == sources
    assert "*" in (PROJECT_ROOT / ".dockerignore").read_text().splitlines()


def test_the_tag_is_the_content(tmp_path: Path) -> None:
    for name in ("chalicelib", "requirements", "infra"):
        (tmp_path / name).mkdir()
    (tmp_path / DOCKERFILE).write_text("FROM a:1\n")
    (tmp_path / "requirements/watcher.txt").write_text("x==1\n")
    (tmp_path / "chalicelib/a.py").write_text("a = 1\n")
    first = content_tag(tmp_path)
    (tmp_path / "chalicelib/__pycache__").mkdir()
    (tmp_path / "chalicelib/__pycache__/a.pyc").write_bytes(b"1")
    (tmp_path / "README.md").write_text("no part of the image")
    assert content_tag(tmp_path) == first
    (tmp_path / "chalicelib/a.py").write_text("a = 2\n")
    second = content_tag(tmp_path)
    (tmp_path / "chalicelib/a.py").rename(tmp_path / "chalicelib/b.py")
    assert len({first, second, content_tag(tmp_path)}) == 3


class Docker:
    """Takes what docker would be told, and pushes like it."""

    def __init__(self, ecr: Any, fails: bool = False) -> None:
        self.ecr = ecr
        self.fails = fails
        self.told: list[tuple[list[str], str | None]] = []

    def __call__(self, words: Sequence[str], stdin: str | None) -> None:
        self.told.append((list(words), stdin))
        if self.fails:
            raise ImageFailed("docker did not run: no engine")
        if "--push" in words:
            name, _, tag = words[words.index("--tag") + 1].partition("/")[2].partition(":")
            self.ecr.put_image(repositoryName=name, imageTag=tag, imageManifest=_manifest(tag))


def _manifest(tag: str) -> str:
    digest = f"sha256:{tag.ljust(64, '0')}"
    layer = {"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 1}
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "a", "size": 1, "digest": digest},
            "layers": [{**layer, "digest": digest}],
        }
    )


@pytest.fixture
def ecr(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    import boto3
    from moto import mock_aws

    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    with mock_aws():
        client = boto3.client("ecr", region_name="us-east-1")
        client.create_repository(repositoryName="papercopy-dev-watcher")
        yield client


def test_an_image_is_built_for_arm64_and_pushed_once(ecr: Any) -> None:
    docker, said = Docker(ecr), list[str]()
    address = ensure_image(ecr, "papercopy-dev-watcher", PROJECT_ROOT, said.append, run=docker)
    tag = content_tag(PROJECT_ROOT)
    assert address.endswith(f".amazonaws.com/papercopy-dev-watcher:{tag}")
    (login, password), (build, _) = docker.told
    assert login[:2] == ["login", "--username"] and password not in login
    assert build[build.index("--platform") + 1] == "linux/arm64"
    again = ensure_image(
        ecr, "papercopy-dev-watcher", PROJECT_ROOT, said.append, run=docker, dual_stack=True
    )
    assert len(docker.told) == 2
    assert re.fullmatch(
        rf"\d{{12}}\.dkr-ecr\.us-east-1\.on\.aws/papercopy-dev-watcher:{tag}", again
    )


def test_without_an_engine_the_reason_is_said(ecr: Any) -> None:
    with pytest.raises(ImageFailed, match="no engine"):
        ensure_image(ecr, "papercopy-dev-watcher", PROJECT_ROOT, print, run=Docker(ecr, fails=True))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
        return found


def image_folder(root: Path) -> Path:
    """What the image has under its working folder."""
    (where,) = (one.rest for one in IMAGE if one.word == "WORKDIR")
    assert where == "/srv"
    for one in IMAGE:
        if one.word == "COPY" and one.rest.split()[-1].startswith(where):
            name = one.rest.split()[-1].removeprefix(f"{where}/")
            shutil.copytree(
                PROJECT_ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
            )
    return root


def image_variables(venue: dict[str, str], endpoint: str, port: int) -> dict[str, str]:
    """What image and task set; every variable of the task must be given a value here."""
    values = {"PAPERCOPY_STAGE": "local", "AWS_REGION": "us-east-1", **venue}
    names = [row["Name"] for row in container()["Environment"] + container()["Secrets"]]
    literal = {
        row["Name"]: row["Value"]
        for row in container()["Environment"]
        if isinstance(row["Value"], str)
    }
    of_task = {**{name: values.get(name, "") for name in names}, **literal}
    of_task["AWS_USE_DUALSTACK_ENDPOINT"] = "false"
    of_image = {**environment(IMAGE), "WATCHER_HEALTH_PORT": str(port)}
    # The packages are this environment's; the loaded ones are compared below.
    of_image.pop("PYTHONPATH")
    role = dict.fromkeys(ADDED, WATCHER_KEY) | {"AWS_ENDPOINT_URL": endpoint}
    return {"PATH": os.environ["PATH"], **of_image, **of_task, **role}


RUN_AS_IN_THE_IMAGE = """
import runpy, sys
module, *absent = sys.argv[1:]

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in absent:
            raise ModuleNotFoundError(f"{name} is not in the image")

sys.meta_path.insert(0, Absent())
sys.argv = [module]
runpy.run_module(module, run_name="__main__", alter_sys=True)
"""


def packages_absent() -> list[str]:
    """Top-level modules of this environment that the image does not have."""
    text = (PROJECT_ROOT / "requirements/watcher.txt").read_text()
    has = {_plain(name) for name in re.findall(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)}
    return sorted(
        name
        for name, owners in packages_distributions().items()
        if not has & {_plain(owner) for owner in owners} and name != "chalicelib"
    )


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_the_entry_point_works_from_the_images_files_within_the_watchers_role(
    tmp_path: Path,
) -> None:
    simulator = SimulatorProcess.start("--port", "0", "--seed", "7", "--max-fills", "3")
    permissions.denied.clear()
    try:
        venue = simulator.environment()
        stack = AwsStack({**venue, "TRIGGER_MODE": "polygon"})
        try:
            stack.follow([(row["wallet"], row["name"]) for row in simulator.leaders()])
            port = free_port()
            variables = image_variables(venue, stack.engine.endpoint_url, port)
            folder = image_folder(tmp_path)
            interpreter, flag, module = command(IMAGE)
            assert (interpreter, flag) == ("python", "-m")
            watcher = subprocess.Popen(
                [sys.executable, "-c", RUN_AS_IN_THE_IMAGE, module, *packages_absent()],
                cwd=folder,
                env=variables,
                stderr=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                text=True,
            )
            check = [sys.executable, *command(IMAGE, "HEALTHCHECK")[1:]]

            def well() -> bool:
                asked = subprocess.run(
                    check, cwd=folder, env=variables, check=False, capture_output=True
                )
                return asked.returncode == 0 or watcher.poll() is not None

            try:
                passed = wait_until(well, UP_SECONDS_MAX)
            finally:
                watcher.send_signal(signal.SIGTERM)
                _, said = watcher.communicate(timeout=container()["StopTimeout"])
            assert passed and watcher.returncode == 0, said[-3000:]
            assert heartbeats(stack.store)["watcher"].detail == "stopped"
        finally:
            stack.stop()
    finally:
        simulator.stop()
    assert permissions.denied == []


def test_what_signs_simulates_or_tests_is_not_in_the_image() -> None:
    absent = set(packages_absent())
    assert {"web3", "eth_account", "moto", "chalice", "pytest"} <= absent
