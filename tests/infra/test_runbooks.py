"""Every command of every runbook runs, in the order in which the runbook names it."""

from __future__ import annotations

import os
import re
import runpy
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import pytest

from chalicelib.adapters.clock import ManualClock, SystemClock
from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.embedded import DATABASE
from chalicelib.adapters.embedded.sqlite_store import SqliteStore
from chalicelib.adapters.refused import refused_line
from infra import backup
from infra.chalice_files import PROJECT_ROOT
from infra.local.engine import AwsEngine
from tests.workflow.harness import LEADER, M, System, chain, leg

RUNBOOKS = PROJECT_ROOT / "docs" / "runbooks"
STAGE, NEW, UP_AND_DOWN = "prodbook", "prodfresh", "bookup"
EXCHANGE = "0x" + "e" * 40
NOWHERE = dict.fromkeys(("DATA_API_URL", "GAMMA_API_URL", "CLOB_API_URL"), "http://127.0.0.1:9")
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUESTIONS = ("infra.verdict",)
"""Commands that end with 1 when something is wrong, and change nothing."""


def commands(page: str) -> list[str]:
    """The lines of a page's `sh` blocks."""
    blocks = FENCE.findall((RUNBOOKS / page).read_text())
    return [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]


PAGES = sorted(path.name for path in RUNBOOKS.glob("*.md"))


@pytest.fixture(scope="module")
def stage() -> Iterator[AwsEngine]:
    with AwsEngine(STAGE, environment=NOWHERE, schedules=False, time_scale=0.01) as engine:
        # The double leaves point-in-time recovery out of its stacks.
        for table in backup.TABLES:
            engine.client("dynamodb").update_continuous_backups(
                TableName=f"papercopy-{STAGE}-{table}",
                PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
            )
        busy(System(store=DynamoStore(STAGE), clock=ManualClock(SystemClock().now_ms() - 60_000)))
        yield engine
    for name in (NEW, UP_AND_DOWN):
        shutil.rmtree(PROJECT_ROOT / "build" / name, ignore_errors=True)


def busy(system: System) -> None:
    system.follow()
    now = system.clock.now_ms()
    part = leg(20_000 * M, 510_000, ts_block=now)
    system.services.ingest(chain([part], ts_seen=now + 1_000))
    system.run_workflows()


@pytest.fixture(scope="module")
def variables(stage: AwsEngine, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a runbook takes from the environment."""
    folder = tmp_path_factory.mktemp("runbooks")
    data = folder / "data"
    data.mkdir()
    store = SqliteStore(data / DATABASE)
    busy(System(store=store, clock=ManualClock(SystemClock().now_ms() - 60_000)))
    store.close()
    (data / "quarantine.jsonl").write_text(refused_line("gamma", "{}", "no market") + "\n")
    (folder / "secret").write_text("wss://node.example/key\n")
    (folder / "token").write_text("s" * 40 + "\n")
    return {
        "STAGE": STAGE,
        "NEW": NEW,
        "BUCKET": backup.Backups(STAGE, "", stage.endpoint_url).bucket,
        "LEADER": LEADER,
        "EXCHANGE": EXCHANGE,
        "DATA": str(data),
        "NEW_DATA": str(folder / "fresh"),
        "COPY": str(folder / "copy.sqlite3"),
        "SECRET_FILE": str(folder / "secret"),
        "TOKEN_FILE": str(folder / "token"),
        "LOGS_FILE": str(PROJECT_ROOT / "tests" / "events" / "polygon_logs.json"),
    }


def expanded(line: str, variables: Mapping[str, str]) -> tuple[list[str], str]:
    """Words of a command after `python -m`, and the file it reads, if any."""
    filled = re.sub(r"\$([A-Z_]+)", lambda found: variables[found[1]], line)
    words = shlex.split(filled)
    assert words[:2] == ["python", "-m"], line
    source = ""
    if "<" in words:
        place = words.index("<")
        source, words = words[place + 1], words[:place]
    return words[2:], source


def run(line: str, variables: Mapping[str, str], patch: pytest.MonkeyPatch) -> int:
    """The exit code of one command, run in this process as a program of its own."""
    (module, *arguments), source = expanded(line, variables)
    with patch.context() as within:
        within.setattr(sys, "argv", [module, *arguments])
        within.setattr("infra.vendor.vendor", lambda *_: None)
        if source:
            within.setattr(sys, "stdin", open(source))  # noqa: SIM115
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=False)
        except SystemExit as ended:
            code = ended.code
            return code if isinstance(code, int) else int(code is not None)
    return 0


@pytest.mark.parametrize("page", PAGES)
def test_every_command_of_a_runbook_works(
    page: str,
    stage: AwsEngine,
    variables: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    told = dict(variables)
    if page == "redeploy.md":
        # Its last step takes the stage down: another one than the other pages work on.
        told["STAGE"] = UP_AND_DOWN
    for line in commands(page):
        capsys.readouterr()
        code = run(line, told, monkeypatch)
        printed = capsys.readouterr()
        allowed = (0, 1) if any(name in line for name in QUESTIONS) else (0,)
        assert code in allowed, (line, code, printed.out[-500:], printed.err[-800:])
        if line.startswith("python -m infra.backup export --stage"):
            _sealed(told["BUCKET"])
    assert list(stage.runtime.errors) == []


def _sealed(bucket: str) -> None:
    """Write the summary by which AWS ends an export, and its double does not."""
    s3 = boto3.client("s3", endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    for found in s3.list_objects_v2(Bucket=bucket)["Contents"]:
        folder = found["Key"].split("/data/")[0]
        s3.put_object(Bucket=bucket, Key=f"{folder}/manifest-summary.json", Body=b"{}")


def test_every_task_has_a_page_with_commands_and_the_index_names_it() -> None:
    index = (RUNBOOKS / "README.md").read_text()
    wanted = {"redeploy", "restore", "backfill", "stuck-work", "secrets", "new-exchange", "alarms"}
    assert {page.removesuffix(".md") for page in PAGES} == {*wanted, "README"}
    for name in wanted:
        assert f"({name}.md)" in index
        assert commands(f"{name}.md")


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for linked in re.findall(r"\]\(([\w-]+\.md)\)", (RUNBOOKS / page).read_text()):
            assert (RUNBOOKS / linked).exists(), (page, linked)
    described = "".join((PROJECT_ROOT / "infra" / f).read_text() for f in ("app.yaml", "base.yaml"))
    for linked in set(re.findall(r"docs/runbooks/([\w-]+\.md)", described)):
        assert (RUNBOOKS / linked).exists()
