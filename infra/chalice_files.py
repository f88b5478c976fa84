"""Render `.chalice/` for a stage, and assemble the directory that Chalice deploys from.

`python -m infra.chalice_files --stage dev` rewrites the checked-in `.chalice/`, which is the
rendering for the stage `dev`; a test keeps the two equal.
"""

import argparse
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from infra.functions import APP_NAME, FUNCTIONS, policy

PROJECT_ROOT = Path(__file__).resolve().parent.parent

BUDGET_SHARES = 10
"""Processes that may call the venue at the same time: five polls, and one of each other kind."""

VENUE_URLS = {
    "DATA_API_URL": "https://data-api.polymarket.com",
    "GAMMA_API_URL": "https://gamma-api.polymarket.com",
    "CLOB_API_URL": "https://clob.polymarket.com",
}


def environment_of(stage: str, overrides: Mapping[str, str]) -> dict[str, str]:
    """Environment of every function; queue, table and workflow names derive from the stage."""
    return {
        "PAPERCOPY_STAGE": stage,
        **VENUE_URLS,
        "VENUE_BUDGET_SHARES": str(BUDGET_SHARES),
        "POWERTOOLS_SERVICE_NAME": APP_NAME,
        "POWERTOOLS_METRICS_NAMESPACE": f"{APP_NAME}-{stage}",
        **overrides,
    }


def chalice_config(stage: str, overrides: Mapping[str, str]) -> dict[str, object]:
    return {
        "version": "2.0",
        "app_name": APP_NAME,
        "stages": {
            stage: {
                "api_gateway_stage": "api",
                "api_gateway_endpoint_type": "REGIONAL",
                "autogen_policy": False,
                "lambda_architecture": "arm64",
                "environment_variables": environment_of(stage, overrides),
                "lambda_functions": {
                    function.name: {
                        "lambda_memory_size": function.memory_mb,
                        "lambda_timeout": function.timeout_s,
                        "autogen_policy": False,
                        "iam_policy_file": f"policy-{function.name}.json",
                    }
                    for function in FUNCTIONS
                },
            }
        },
    }


def write_chalice_files(
    directory: Path, stage: str, overrides: Mapping[str, str] | None = None
) -> None:
    """Write config.json and one policy file per function into `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    documents = {"config.json": chalice_config(stage, overrides or {})}
    for function in FUNCTIONS:
        documents[f"policy-{function.name}.json"] = policy(function, stage)
    for name, document in documents.items():
        (directory / name).write_text(json.dumps(document, indent=2) + "\n")


def assemble(
    source: Path,
    build: Path,
    stage: str,
    overrides: Mapping[str, str] | None = None,
) -> None:
    """Copy the application into `build` with the stage's `.chalice/`.

    requirements.txt stays empty: `infra.vendor` puts verified wheels into `vendor/`, because
    Chalice checks no hashes on the second, foreign-architecture download it makes.
    """
    build.mkdir(parents=True, exist_ok=True)
    # One line keeps every build directory out of version control, wherever it is.
    (build / ".gitignore").write_text("*\n")
    shutil.copy2(source / "app.py", build / "app.py")
    shutil.rmtree(build / "chalicelib", ignore_errors=True)
    if (source / "chalicelib").is_dir():
        shutil.copytree(
            source / "chalicelib",
            build / "chalicelib",
            ignore=shutil.ignore_patterns("__pycache__", "*.pyc"),
        )
    (build / "requirements.txt").write_text("")
    write_chalice_files(build / ".chalice", stage, overrides)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stage", default="dev")
    parser.add_argument("--into", type=Path, default=PROJECT_ROOT / ".chalice")
    arguments = parser.parse_args()
    write_chalice_files(arguments.into, arguments.stage)


if __name__ == "__main__":
    main()
