"""What can be known about templates, workflow, policies and image before AWS sees them."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser

from infra.chalice_files import PROJECT_ROOT, write_chalice_files
from infra.functions import FUNCTIONS, policy
from infra.vendor import BOTOCORE_SERVICES_KEPT
from infra.workflow import PARAMETER_BYTES_MAX, WorkflowInvalid, render_workflow

ASL = PROJECT_ROOT / "stepfunctions" / "copy_trade.asl.json"
TEMPLATE_BYTES_MAX = 51_200


def _tool(name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / name), *arguments]
    return subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT)


@pytest.mark.parametrize("template", ["base", "app", "edge"])
def test_cfn_lint_finds_nothing(template: str) -> None:
    path = f"infra/{template}.yaml"
    found = _tool("cfn-lint", path)
    assert (found.returncode, found.stdout) == (0, "")
    assert (PROJECT_ROOT / path).stat().st_size < TEMPLATE_BYTES_MAX


def test_workflow_passes_statelint_and_the_interpreters_parser() -> None:
    found = _tool("statelint", str(ASL))
    assert (found.returncode, found.stdout + found.stderr) == (0, "")
    AmazonStateLanguageParser.parse(ASL.read_text())


def test_rendered_workflow_is_complete_and_fits_a_stack_parameter() -> None:
    rendered = render_workflow(ASL.read_text(), "prod", "ap-southeast-2", "123456789012")
    assert len(rendered) < PARAMETER_BYTES_MAX
    states = json.loads(rendered)["States"]
    assert states["Advance"]["Parameters"]["FunctionName"].endswith(":papercopy-prod-advance")
    assert states["RecordFailure"]["Parameters"]["QueueUrl"].endswith("/papercopy-prod-failures")


def test_an_unfilled_substitution_is_refused() -> None:
    with pytest.raises(WorkflowInvalid):
        render_workflow('{"Comment": "${Unknown}"}', "dev", "us-east-1", "123456789012")


def test_examples_are_inputs_of_the_workflow() -> None:
    examples = sorted((PROJECT_ROOT / "stepfunctions" / "examples").glob("*.json"))
    assert len(examples) >= 4
    for example in examples:
        state = json.loads(example.read_text())
        assert set(state) == {"group_id", "portfolios", "wait_seconds", "rounds"}
        assert 0 <= state["wait_seconds"] <= 240


def test_checked_in_chalice_files_are_the_rendering_for_dev(tmp_path: Path) -> None:
    write_chalice_files(tmp_path, "dev")
    for rendered in tmp_path.iterdir():
        checked_in = PROJECT_ROOT / ".chalice" / rendered.name
        assert checked_in.read_text() == rendered.read_text(), (
            "run python -m infra.chalice_files --stage dev"
        )


def test_policies_name_their_stage_and_no_wildcard_action() -> None:
    for function in FUNCTIONS:
        for statement in policy(function, "dev")["Statement"]:  # type: ignore[attr-defined]
            assert all("*" not in action for action in statement["Action"])
            for resource in statement["Resource"]:
                assert "papercopy-dev" in resource or "papercopy/dev/" in resource


def test_base_stack_has_a_log_group_per_function() -> None:
    template = (PROJECT_ROOT / "infra" / "base.yaml").read_text()
    for function in FUNCTIONS:
        group = "/aws/lambda/" + function.deployed_name("${Stage}")
        assert f"LogGroupName: !Sub {group}\n" in template


def test_packages_carry_the_model_of_every_aws_service_that_the_code_calls() -> None:
    sources = [PROJECT_ROOT / "app.py", *(PROJECT_ROOT / "chalicelib").rglob("*.py")]
    called = re.compile(r"\.(?:client|resource|create_client)\(\s*[\"']([a-z0-9-]+)[\"']")
    for source in sources:
        if source.exists():
            assert set(called.findall(source.read_text())) <= BOTOCORE_SERVICES_KEPT, source
