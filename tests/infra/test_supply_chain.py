"""What is installed where: pinned with hashes, without anything that signs, and small."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from infra.chalice_files import PROJECT_ROOT, assemble
from infra.vendor import vendor

LOCKED = ("requirements.txt", "requirements/watcher.txt", "requirements/dev.txt")
SIGNING = {
    "bip-utils", "coincurve", "cryptography", "ecdsa", "eth-account", "eth-keyfile", "eth-keys",
    "jwcrypto", "mnemonic", "py-clob-client", "pycryptodome", "pyjwt", "pynacl", "rsa",
    "secp256k1", "web3",
}  # fmt: skip
"""Packages that hold or use private keys."""
SIGNING_MODULES = {
    "Crypto", "bip_utils", "coincurve", "cryptography", "ecdsa", "eth_account", "eth_keyfile",
    "eth_keys", "jwcrypto", "jwt", "mnemonic", "nacl", "py_clob_client", "rsa", "secp256k1", "web3",
}  # fmt: skip
PACKAGE_BYTES_MAX = 25_000_000
ENTRY_POINTS = "app", "chalicelib.watcher.__main__", "chalicelib.lambda_entry"


def names(locked: str) -> set[str]:
    text = (PROJECT_ROOT / locked).read_text()
    found = re.findall(r"^([A-Za-z0-9_.-]+)(?:\[[^\]]*\])?==", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower() for name in found}


@pytest.mark.parametrize("locked", LOCKED)
def test_every_requirement_is_pinned_and_has_hashes(locked: str) -> None:
    text = re.sub(r"\\\n\s*", " ", (PROJECT_ROOT / locked).read_text())
    lines = [line for line in text.splitlines() if line.strip() and line.lstrip()[0] != "#"]
    assert len(lines) >= 10
    for line in lines:
        assert re.match(r"[A-Za-z0-9_.\[\]-]+==\S+ ", line), line[:80]
        assert "--hash=sha256:" in line, line[:80]


@pytest.mark.parametrize("locked", LOCKED[:2])
def test_nothing_that_signs_is_shipped(locked: str) -> None:
    assert names(locked) & SIGNING == set()


def test_nothing_that_signs_is_named_by_the_code() -> None:
    sources = [PROJECT_ROOT / "app.py", *(PROJECT_ROOT / "chalicelib").rglob("*.py")]
    imported = re.compile(r"^\s*(?:from|import)\s+([A-Za-z0-9_]+)", re.MULTILINE)
    found = {name for source in sources for name in imported.findall(source.read_text())}
    assert found & SIGNING_MODULES == set()


@pytest.mark.parametrize("module", ENTRY_POINTS)
def test_nothing_that_signs_is_loaded(module: str) -> None:
    script = f"import sys, {module}\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=PROJECT_ROOT, capture_output=True, text=True, check=True
    )
    assert set(done.stdout.split()) & SIGNING_MODULES == set()


@pytest.mark.slow
def test_the_lambda_package_is_small_and_carries_no_web3(tmp_path: Path) -> None:
    # The wheels come from the package index, as for a deployment.
    build = tmp_path / "build"
    assemble(PROJECT_ROOT, build, "dev")
    vendored = vendor(PROJECT_ROOT / "requirements.txt", build, tmp_path / "cache")
    archive = tmp_path / "package.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for path in sorted(build.rglob("*")):
            if path.is_file() and ".chalice" not in path.parts:
                zipped.write(path, path.relative_to(build))
    assert archive.stat().st_size < PACKAGE_BYTES_MAX
    top = {path.name for path in vendored.iterdir()}
    assert {"boto3", "pynamodb", "pydantic_core", "requests"} <= top
    assert top & SIGNING_MODULES == set()
    # The architecture of the functions, not of this machine.
    libraries = [path.name for path in vendored.rglob("*.so")]
    assert libraries and all("aarch64" in name or "x86_64" not in name for name in libraries)
