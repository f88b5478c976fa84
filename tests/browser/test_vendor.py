"""The dashboard has one origin: third-party files are pinned, and nothing points elsewhere."""

import base64
import hashlib
import json
import re
from pathlib import Path

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard"
VENDOR = DASHBOARD / "vendor"
INDEX = (DASHBOARD / "index.html").read_text()

# The one address a person may leave to, by a click; nothing is ever loaded from it.
LINKS = {"https://polymarket.com/profile/${address}"}
# Names of XML vocabularies, which no browser fetches.
NAMESPACES = {
    "http://www.w3.org/2000/svg",
    "http://www.w3.org/1998/Math/MathML",
    "http://www.w3.org/1999/xhtml",
}

# A scheme with an authority, or a protocol-relative address in quotes.
ADDRESS = re.compile(r"\b(?:https?|wss?)://[^\s\"'`)<]+|(?<=[\"'`(])//[^\s\"'`)]+")
# Where vendored code names what it was written after; no browser reads a comment.
COMMENT = re.compile(r"^[ \t]*//[^\n]*|/\*.*?\*/", re.MULTILINE | re.DOTALL)
MARKUP_SINK = re.compile(r"innerHTML|insertAdjacentHTML|document\.write|\beval\(", re.IGNORECASE)


def sri(content: bytes) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(content).digest()).decode()


def import_map() -> str:
    found = re.search(r'<script type="importmap">(.*?)</script>', INDEX, re.DOTALL)
    assert found is not None
    return found[1]


def test_vendored_files_are_the_pinned_ones() -> None:
    listed = set()
    for entry in json.loads((VENDOR / "manifest.json").read_text()):
        assert entry["file"].startswith(f"{entry['name']}-{entry['version']}/")
        assert (VENDOR / entry["licence_file"]).is_file()
        digest = hashlib.sha256((VENDOR / entry["file"]).read_bytes()).hexdigest()
        assert digest == entry["sha256"], entry["file"]
        listed |= {entry["file"], entry["licence_file"]}
    present = {path.relative_to(VENDOR).as_posix() for path in VENDOR.rglob("*") if path.is_file()}
    assert present == listed | {"manifest.json"}


def test_import_map_names_every_vendored_script_with_its_hash() -> None:
    parsed = json.loads(import_map())
    scripts = {f"./{path.relative_to(DASHBOARD).as_posix()}": path for path in VENDOR.rglob("*.js")}
    assert parsed["integrity"] == {name: sri(path.read_bytes()) for name, path in scripts.items()}
    assert set(parsed["imports"].values()) == set(scripts)


def test_policy_admits_the_import_map_and_nothing_else_inline() -> None:
    policy = re.search(r'http-equiv="Content-Security-Policy"\s+content="([^"]+)"', INDEX)
    assert policy is not None
    directives = {part.split()[0]: part.split()[1:] for part in policy[1].split(";")}
    assert directives["default-src"] == ["'self'"]
    assert directives["script-src"] == ["'self'", f"'{sri(import_map().encode())}'"]
    assert "unsafe" not in policy[1]
    assert not re.search(r"\s(style|on\w+)=", INDEX)


def test_nothing_references_another_origin() -> None:
    for path in DASHBOARD.rglob("*"):
        if path.suffix not in {".html", ".js", ".css", ".svg"}:
            continue
        text = path.read_text()
        code = COMMENT.sub("", text) if path.is_relative_to(VENDOR) else text
        found = set(ADDRESS.findall(code))
        assert found <= LINKS | NAMESPACES, path


def test_no_script_makes_markup_from_text() -> None:
    for path in [*(DASHBOARD / "js").rglob("*.js"), *VENDOR.glob("uplot-*/*.js")]:
        assert not MARKUP_SINK.search(path.read_text()), path


def test_lock_file_names_no_registry() -> None:
    lock = (Path(__file__).parent / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert "://" not in lock
