"""What the commands share: arguments, reading JSON without floats, writing JSON lines."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import NoReturn

from chalicelib.domain.errors import InvalidInput, PapercopyError

INPUT_BYTES_MAX = 256 * 1024 * 1024
NUMBER_DIGITS_MAX = 100
EXPONENT_MAX = 10_000
"""Above it a number is a broken payload, and arithmetic on it could take minutes."""


class Unusable(PapercopyError):
    """The input as a whole cannot be used; the text says where and why."""


class LineParser(ArgumentParser):
    """An argument parser whose refusals take one line."""

    def __init__(self, prog: str, **options: str) -> None:
        super().__init__(prog=prog, allow_abbrev=False, **options)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Print one line and exit with code 2."""
        self.exit(2, f"{self.prog}: {' '.join(message.split())}\n")


def _integer(text: str) -> int:
    if len(text) > NUMBER_DIGITS_MAX:
        raise Unusable(f"a number has more than {NUMBER_DIGITS_MAX} digits")
    return int(text)


def _decimal(text: str) -> Decimal:
    exponent = text.lower().partition("e")[2]
    if len(text) > NUMBER_DIGITS_MAX or (exponent and abs(int(exponent)) > EXPONENT_MAX):
        raise Unusable(f"the number {text[:20]} has too many digits or too large an exponent")
    return Decimal(text)


def _constant(text: str) -> NoReturn:
    raise Unusable(f"{text} is not a JSON number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise Unusable(f"the key {twice[:40]!r} occurs twice in one object")
    return members


_DECODER = json.JSONDecoder(
    parse_int=_integer,
    parse_float=_decimal,
    parse_constant=_constant,
    object_pairs_hook=_object,
)


def read_text(path: str) -> str:
    """The UTF-8 text of a file, or of standard input for `-`. Raises Unusable."""
    try:
        if path == "-":
            content = sys.stdin.buffer.read(INPUT_BYTES_MAX + 1)
        else:
            with Path(path).open("rb") as file:
                content = file.read(INPUT_BYTES_MAX + 1)
        if len(content) > INPUT_BYTES_MAX:
            raise Unusable(f"{path!r} is larger than {INPUT_BYTES_MAX} bytes")
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unusable(f"{path!r} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise Unusable(f"cannot read {path!r}: {error.strerror or 'it failed'}") from error
    except ValueError as error:
        raise Unusable(f"cannot read {path!r}: not a file name") from error
    if not text.strip():
        raise Unusable(f"{path!r} is empty")
    return text


def parse_json(text: str) -> object:
    """The one JSON value of a text. Raises Unusable."""
    try:
        return _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise Unusable(f"not JSON: {error}") from error
    except RecursionError as error:
        raise Unusable("not usable: nested too deeply") from error


def parse_json_or_lines(text: str) -> list[object]:
    """The JSON value of a text, or, where more follows it, one value per line. Raises Unusable."""
    try:
        return [_DECODER.decode(text)]
    except json.JSONDecodeError as error:
        if error.msg != "Extra data":
            raise Unusable(f"not JSON: {error}") from error
    except RecursionError as error:
        raise Unusable("not usable: nested too deeply") from error
    values = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                values.append(parse_json(line))
            except Unusable as error:
                raise Unusable(f"line {number}: {error}") from error
    return values


def mapping(value: object, what: str) -> Mapping[str, object]:
    """The value as a JSON object. Raises InvalidInput naming `what`."""
    if not isinstance(value, dict):
        raise InvalidInput(what, f"a JSON object was expected, got {type(value).__name__}")
    return value


def print_lines(rows: Iterable[Mapping[str, object]]) -> None:
    """Write one JSON object per line."""
    sys.stdout.writelines(f"{json.dumps(row)}\n" for row in rows)
