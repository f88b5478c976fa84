"""The watcher's image: named by what goes into it, built and pushed once per content."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

DOCKERFILE = Path("infra/watcher.Dockerfile")
REQUIREMENTS = Path("requirements/watcher.txt")
PLATFORM = "linux/arm64"
BUILD_SECONDS_MAX = 30 * 60

Run = Callable[[Sequence[str], str | None], None]


class ImageFailed(RuntimeError):
    """The watcher's image could not be built or pushed."""


def run_docker(words: Sequence[str], stdin: str | None) -> None:
    """Run docker. Raises ImageFailed with its last words."""
    try:
        done = subprocess.run(
            ["docker", *words],
            input=stdin,
            text=True,
            capture_output=True,
            timeout=BUILD_SECONDS_MAX,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ImageFailed(f"docker did not run: {error}") from error
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no output"])[-1]
        raise ImageFailed(f"docker {words[0]} ended with {done.returncode}: {last}")


def content_tag(root: Path) -> str:
    """A tag that is the same for the same Dockerfile, requirements and code."""
    digest = hashlib.sha256()
    code = [path for path in (root / "chalicelib").rglob("*") if path.is_file()]
    code = [path for path in code if "__pycache__" not in path.parts]
    for path in sorted([root / DOCKERFILE, root / REQUIREMENTS, *code]):
        digest.update(f"{path.relative_to(root).as_posix()}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()[:20]


def ensure_image(
    ecr: Any,
    repository: str,
    root: Path,
    report: Callable[[str], None],
    *,
    dual_stack: bool = False,
    run: Run = run_docker,
) -> str:
    """The image's address in a repository of this account, pushed unless it is there already.

    With `dual_stack` it is the address that a task without IPv4 can reach. Raises ImageFailed.
    """
    tag = content_tag(root)
    found = ecr.describe_repositories(repositoryNames=[repository])["repositories"][0]
    address = f"{found['repositoryUri']}:{tag}"
    if _has(ecr, repository, tag):
        report(f"  {address}: there already")
    else:
        _push(ecr, address, root, run)
        report(f"  {address}: built and pushed")
    if not dual_stack:
        return address
    registry, _, name = address.partition("/")
    account, _, _, region, *_ = registry.split(".")
    return f"{account}.dkr-ecr.{region}.on.aws/{name}"


def _has(ecr: Any, repository: str, tag: str) -> bool:
    try:
        ecr.describe_images(repositoryName=repository, imageIds=[{"imageTag": tag}])
    except ecr.exceptions.ImageNotFoundException:
        return False
    return True


def _push(ecr: Any, address: str, root: Path, run: Run) -> None:
    token = ecr.get_authorization_token()["authorizationData"][0]["authorizationToken"]
    user, _, password = base64.b64decode(token).decode().partition(":")
    # The password goes through the pipe: arguments are visible to everybody on the machine.
    run(["login", "--username", user, "--password-stdin", address.partition("/")[0]], password)
    words = ["buildx", "build", "--platform", PLATFORM, "--provenance=false"]
    words += ["--file", str(root / DOCKERFILE), "--tag", address, "--push", str(root)]
    run(words, None)
