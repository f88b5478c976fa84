"""Arrows point inward: what each layer may import."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LIBRARY = ROOT / "chalicelib"

HEAVY = ("web3", "eth_account", "moto", "pytest", "hypothesis")
"""Not even indirectly reachable from the Lambda entry point."""


def imports(path: Path) -> Iterator[str]:
    """Full names of all modules a file imports, wherever the import stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name} imports relatively"
            assert node.module is not None
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own(name: str) -> bool:
    return name == "chalicelib" or name.startswith("chalicelib.")


def within(name: str, *allowed: str) -> bool:
    return name == "chalicelib" or any(name == a or name.startswith(a + ".") for a in allowed)


def foreign(layer: Path, allowed: tuple[str, ...]) -> list[str]:
    """Imports of a layer outside the standard library and `allowed`."""
    files = sorted(layer.rglob("*.py")) if layer.is_dir() else [layer]
    assert files, f"{layer} is empty"
    return [
        f"{path.relative_to(ROOT)}: {name}"
        for path in files
        for name in imports(path)
        if (
            not within(name, *allowed)
            if own(name)
            else name.partition(".")[0] not in sys.stdlib_module_names
        )
    ]


def test_the_domain_imports_the_standard_library_and_itself() -> None:
    assert foreign(LIBRARY / "domain", ("chalicelib.domain",)) == []


@pytest.mark.parametrize("module", ["time", "os", "uuid", "logging", "random", "socket", "asyncio"])
def test_the_domain_has_no_clock_no_chance_and_no_world(module: str) -> None:
    for path in (LIBRARY / "domain").rglob("*.py"):
        assert module not in {name.partition(".")[0] for name in imports(path)}, path.name


def test_keyspace_and_ports_stand_on_the_domain() -> None:
    assert foreign(LIBRARY / "keyspace.py", ("chalicelib.domain",)) == []
    assert foreign(LIBRARY / "ports.py", ("chalicelib.domain", "chalicelib.keyspace")) == []


def test_services_see_ports_and_no_technology() -> None:
    allowed = (
        "chalicelib.domain",
        "chalicelib.ports",
        "chalicelib.keyspace",
        "chalicelib.services",
    )
    assert foreign(LIBRARY / "services", allowed) == []


def test_adapters_know_nobody_above_them() -> None:
    above = ("api", "watcher", "cli", "bootstrap", "lambda_entry", "__main__")
    names = tuple(f"chalicelib.{layer}" for layer in above)
    upward = [
        f"{path.relative_to(ROOT)}: {name}"
        for path in sorted((LIBRARY / "adapters").rglob("*.py"))
        for name in imports(path)
        if name != "chalicelib" and within(name, *names)
    ]
    assert upward == []


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter has loaded after a statement."""
    script = f"import sys\n{statement}\nprint(*{{m.partition('.')[0] for m in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return set(done.stdout.split())


@pytest.mark.skipif(not (ROOT / "app.py").exists(), reason="there is no app.py yet")
def test_the_lambda_entry_point_loads_nothing_heavy() -> None:
    assert loaded_by("import app").isdisjoint(HEAVY)


@pytest.mark.parametrize("command", ["decode", "activity", "walk"])
def test_commands_load_no_third_party_package(command: str) -> None:
    loaded = loaded_by(f"import chalicelib.__main__, chalicelib.cli.{command}")
    assert loaded - {"chalicelib", "__main__"} - sys.stdlib_module_names - PRELOADED == set()


PRELOADED = loaded_by("pass")
"""What the interpreter's own site configuration loads before any of our code."""
