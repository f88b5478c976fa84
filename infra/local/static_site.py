"""Files of the dashboard: what is served, under which name, and nothing beside it."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from urllib.parse import unquote

FILE_BYTES_MAX = 5_000_000
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".svg": "image/svg+xml",
    "": "text/plain; charset=utf-8",
}


@dataclass(frozen=True, slots=True)
class StaticFile:
    """A file's bytes, media type and entity tag."""

    content: bytes
    kind: str
    tag: str


def static_file(site: Path, path: str) -> StaticFile | None:
    """The file a URL path names; None for a folder, a hidden file, or anything outside `site`."""
    relative = unquote(path, errors="replace").removeprefix("/") or "index.html"
    parts = relative.split("/")
    if "\0" in relative or "\\" in relative or any(not p or p.startswith(".") for p in parts):
        return None
    root = site.resolve()
    try:
        file = root.joinpath(*parts).resolve()
        kind = _TYPES.get(file.suffix)
        # A link may lead out of the folder although its name does not.
        if kind is None or not file.is_relative_to(root) or not file.is_file():
            return None
        if file.stat().st_size > FILE_BYTES_MAX:
            return None
        content = file.read_bytes()
    except OSError:
        return None
    return StaticFile(content, kind, f'"{sha256(content).hexdigest()[:24]}"')
