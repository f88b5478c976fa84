"""Activity from recorded Data API pages, for replays; of the retired version as well.

A page of the current version is an object with `data`, one of the retired version a bare list.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from chalicelib.adapters.polymarket.exact_json import parse_json
from chalicelib.domain.activity import ActivityEvent, parse_activity
from chalicelib.domain.errors import InvalidInput

PAGE_BYTES_MAX = 32 * 1024 * 1024


def _rows(path: Path) -> list[object]:
    if path.stat().st_size > PAGE_BYTES_MAX:
        raise InvalidInput(path.name, f"at most {PAGE_BYTES_MAX} bytes were expected")
    try:
        page = parse_json(path.read_bytes())
    except ValueError as error:
        raise InvalidInput(path.name, "is not JSON") from error
    rows = page.get("data") if isinstance(page, Mapping) else page
    if not isinstance(rows, list):
        raise InvalidInput(path.name, "a page of rows was expected")
    return rows


def recorded_activity(pages: Iterable[Path]) -> Iterator[ActivityEvent]:
    """Every event of the pages, in the order of the files and of their rows.

    Raises InvalidInput naming file and row for what cannot be read, OSError for a missing file.
    """
    for path in pages:
        for number, row in enumerate(_rows(path)):
            place = f"{path.name}[{number}]"
            if not isinstance(row, Mapping):
                raise InvalidInput(place, "an object was expected")
            try:
                event = parse_activity(row)
            except (InvalidInput, ArithmeticError, ValueError) as error:
                raise InvalidInput(place, str(error)) from error
            yield event
