"""Recordings as files: JSON lines, optionally gzip; see docs/replay.md."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from chalicelib.adapters import codec
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.services.recordings import FORMAT, KINDS, VERSION, Header, Recording

LINE_BYTES_MAX = 2 * 1024 * 1024
LINES_MAX = 2_000_000
BYTES_MAX = 2 * 1024 * 1024 * 1024
"""Unpacked."""
_GZIP = b"\x1f\x8b"


class Unreadable(PapercopyError):
    """A recording that cannot be used; the text says where and why."""


def write_recording(recording: Recording, path: str | Path) -> int:
    """Write a file, packed where its name ends in .gz; equal recordings give equal bytes.

    Returns the number of lines. Raises OSError.
    """
    lines = 1
    with Path(path).open("wb") as raw:
        out: IO[bytes] = raw
        if str(path).endswith(".gz"):
            out = gzip.GzipFile("", "wb", 6, raw, mtime=0)  # type: ignore[assignment]
        out.write(codec.to_text(recording.header).encode() + b"\n")
        for record in recording.records():
            out.write(line_of(record))
            lines += 1
        if out is not raw:
            out.close()
    return lines


def line_of(record: object) -> bytes:
    """One record as a line: its kind and its body."""
    return f'{{"kind":"{type(record).__name__}","body":{codec.to_text(record)}}}\n'.encode()


def read_recording(path: str | Path) -> Recording:
    """The recording in a file. Raises Unreadable naming the line and the field."""
    lines = _lines(path)
    try:
        first = next(lines)
    except StopIteration:
        raise Unreadable(f"{str(path)!r} is empty") from None
    recording = Recording(_header(first))
    for number, line in enumerate(lines, start=2):
        if number > LINES_MAX:
            raise Unreadable(f"line {number}: more than {LINES_MAX} lines")
        try:
            recording.add(_record(line))
        except (InvalidInput, Unreadable) as error:
            raise Unreadable(f"line {number}: {error}") from error
        except RecursionError as error:
            raise Unreadable(f"line {number}: nested too deeply") from error
    return recording


def _header(line: bytes) -> Header:
    try:
        plain = json.loads(line)
        if not isinstance(plain, dict) or plain.get("format") != FORMAT:
            raise Unreadable(f"line 1: no recording (its format is not {FORMAT!r})")
        if plain.get("v") != VERSION:
            raise Unreadable(f"line 1: version {plain.get('v')!r:.20}; this reads {VERSION}")
        header = codec.from_plain(Header, plain)
    except (InvalidInput, ValueError) as error:
        raise Unreadable(f"line 1: {error}") from error
    except RecursionError as error:
        raise Unreadable("line 1: nested too deeply") from error
    if not 0 <= header.ts_from <= header.ts_until:
        raise Unreadable("line 1: ts_until: a time at or after ts_from was expected")
    return header


def _record(line: bytes) -> object:
    # The writer's own form is read without parsing it twice.
    if line.startswith(b'{"kind":"') and line.endswith(b"}"):
        name, found, rest = line[9:].partition(b'","body":')
        kind = KINDS.get(name.decode("ascii", "replace"))
        if found and kind:
            return codec.from_text(kind, rest[:-1])
    try:
        plain: Any = json.loads(line)
    except ValueError as error:
        raise Unreadable(f"not JSON: {error}") from error
    if not isinstance(plain, dict) or set(plain) != {"kind", "body"}:
        raise Unreadable('an object with "kind" and "body" was expected')
    kind = KINDS.get(plain["kind"]) if isinstance(plain["kind"], str) else None
    if kind is None:
        raise Unreadable(f"the kind {plain['kind']!r:.40} is not known")
    return codec.from_plain(kind, plain["body"])


def _lines(path: str | Path) -> Iterator[bytes]:
    total = 0
    try:
        with Path(path).open("rb") as raw:
            packed = raw.read(2) == _GZIP
            raw.seek(0)
            lines: IO[bytes] = gzip.GzipFile(fileobj=raw) if packed else raw  # type: ignore[assignment]
            number = 0
            while line := lines.readline(LINE_BYTES_MAX + 1):
                number += 1
                total += len(line)
                if len(line) > LINE_BYTES_MAX or total > BYTES_MAX:
                    raise Unreadable(f"line {number}: too long")
                text = line.strip()
                if text:
                    yield text
    except (OSError, EOFError, zlib.error) as error:
        said = getattr(error, "strerror", None) or str(error) or "it failed"
        raise Unreadable(f"cannot read {str(path)!r}: {said}") from error
    except ValueError as error:
        raise Unreadable(f"cannot read {str(path)!r}: not a file name") from error
