"""`record`: a period of a running stack as a file that `replay` reproduces."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from chalicelib.adapters.embedded import DATABASE
from chalicelib.cli.terminal import LineParser, Unusable, print_lines
from chalicelib.ports import Store
from chalicelib.replay.files import write_recording
from chalicelib.services.record_period import record_period

HOURS = 24
SETTLING_MS = 240_000
"""What came later than this ago may still be under way: by default it is left out."""
_FAR = 10**13


def store_at(data: str | None, stage: str | None) -> tuple[Store, str]:
    """The store of a data folder (or its file), or of a stage on AWS; and what it is called.

    Raises Unusable, Permanent or InvalidInput.
    """
    if data is not None:
        from chalicelib.adapters.embedded.sqlite_store import SqliteStore

        path = Path(data)
        path = path / DATABASE if path.is_dir() else path
        if not path.is_file():
            raise Unusable(f"{str(path)!r} is no file")
        return SqliteStore(path), f"file:{path.name}"
    from chalicelib.adapters.dynamo.store import DynamoStore
    from chalicelib.settings import environment

    env = environment({"PAPERCOPY_STAGE": stage or ""})
    return DynamoStore(env.stage), f"stage:{env.stage}"


def moment(text: str, option: str) -> int:
    """Milliseconds of a time as ISO 8601 (UTC unless it says otherwise) or as milliseconds.

    Raises Unusable.
    """
    if text.isascii() and text.isdigit() and len(text) <= 13:
        return int(text)
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise Unusable(f"{option}: a time as ISO 8601 or in milliseconds was expected") from error
    stamp = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    if not 0 <= stamp * 1000 < _FAR:
        raise Unusable(f"{option}: lies too far away")
    return round(stamp * 1000)


def run(argv: Sequence[str]) -> None:
    """Read the arguments, write the recording, and print one line about it."""
    parser = LineParser(prog="record")
    origin = parser.add_mutually_exclusive_group(required=True)
    origin.add_argument("--data", metavar="PATH", help="data folder of an embedded stack")
    origin.add_argument("--stage", metavar="STAGE", help="a stage on AWS")
    parser.add_argument("--from", dest="since", metavar="TIME", help="default: a day earlier")
    parser.add_argument("--until", metavar="TIME", help="default: four minutes ago")
    parser.add_argument("--out", metavar="FILE", required=True, help="packed if it ends in .gz")
    arguments = parser.parse_args(argv)
    now = time.time_ns() // 1_000_000
    until = moment(arguments.until, "--until") if arguments.until else now - SETTLING_MS
    since = (
        moment(arguments.since, "--from") if arguments.since else max(0, until - HOURS * 3_600_000)
    )
    store, source = store_at(arguments.data, arguments.stage)
    recording = record_period(store, since, until, source)
    try:
        lines = write_recording(recording, arguments.out)
    except OSError as error:
        raise Unusable(f"cannot write {arguments.out!r}: {error.strerror}") from error
    header = recording.header
    print_lines(
        [
            {
                "source": source,
                "ts_from": header.ts_from,
                "ts_until": header.ts_until,
                "quiet": header.quiet,
                "arrivals": len(recording.arrivals),
                "attempts": len(recording.attempts),
                "segments": len(recording.segments),
                "snapshots": len(recording.snapshots),
                "lines": lines,
            }
        ]
    )
