"""Fetch the Lambdas' dependencies as arm64 wheels, every one checked against its hash.

Chalice's own packager also works with the hash-locked requirements.txt, but it fetches wheels of
a foreign architecture without their hashes and only warns about a missing one. pip with `--target`
and `--require-hashes` does neither.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

PLATFORMS = ("manylinux2014_aarch64", "manylinux_2_28_aarch64")

# The services that code running in a Lambda calls. All others' API models are most of the
# package: 21 MB zipped with them, 6 MB without.
BOTOCORE_SERVICES_KEPT = frozenset({"dynamodb", "lambda", "sqs", "ssm", "stepfunctions", "sts"})


def _prune(target: Path) -> None:
    for entry in (target / "botocore" / "data").iterdir():
        if entry.is_dir() and entry.name not in BOTOCORE_SERVICES_KEPT:
            shutil.rmtree(entry)
    for entry in (target / "boto3" / "data").iterdir():
        if entry.is_dir() and entry.name not in BOTOCORE_SERVICES_KEPT:
            shutil.rmtree(entry)
    shutil.rmtree(target / "bin", ignore_errors=True)
    for cache in list(target.rglob("__pycache__")):
        shutil.rmtree(cache)


def _cache_key(requirements: Path) -> str:
    digest = hashlib.sha256(requirements.read_bytes())
    digest.update(repr((sys.version_info[:2], PLATFORMS, sorted(BOTOCORE_SERVICES_KEPT))).encode())
    return digest.hexdigest()[:16]


def vendor(requirements: Path, build: Path, cache: Path) -> Path:
    """Fill `build/vendor` from `cache`, fetching once per requirements file and Python.

    Raises subprocess.CalledProcessError when a wheel is missing or a hash differs.
    """
    ready = cache / f"vendor-{_cache_key(requirements)}"
    if not ready.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        partial = ready.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--quiet"]
        command += ["--disable-pip-version-check", "--no-compile", "--no-deps"]
        command += ["--require-hashes", "--only-binary=:all:", "--implementation", "cp"]
        command += ["--python-version", f"{sys.version_info.major}.{sys.version_info.minor}"]
        for platform in PLATFORMS:
            command += ["--platform", platform]
        command += ["--target", str(partial), "-r", str(requirements)]
        subprocess.run(command, check=True)
        _prune(partial)
        partial.rename(ready)
    target = build / "vendor"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(ready, target)
    return target
