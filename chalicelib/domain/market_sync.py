"""What a walk over the venue's list of markets remembers from one time to the next.

Every open market is known by its number at the venue and a short digest of what is stored of it,
packed into a few pages: 30,000 unchanged markets are recognised without reading one of them. Pages
are appended, later ones win, and are written again as one when there are too many.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from chalicelib.domain.errors import InvalidInput

DIGEST_BYTES = 6
GONE = bytes(DIGEST_BYTES)
"""Stands for a market that left the open list."""
PENDING = b"\xff" * DIGEST_BYTES
"""Stands for a market that is about to be stored: after a crash it is met as one that changed."""
PAGE_ENTRIES_MAX = 15_000
"""Entries of one page: at most 18 characters each, well below 400 KB."""
NUMBER_MAX = 2**48
_VARINT_BITS = 7


@dataclass(frozen=True, slots=True)
class SyncState:
    """How far the walk is; the version guards it against a second walker.

    `generation` and `pages` say which digest pages count, `entries` how many digests they hold.
    `cursor` is where an unfinished walk goes on, `seen` the packed numbers it met so far and
    `ts_started` its begin in milliseconds. `walks` counts the complete ones.
    """

    generation: int = 0
    pages: int = 0
    entries: int = 0
    cursor: str = ""
    seen: str = ""
    ts_started: int = 0
    walks: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class DigestPage:
    """Packed digests by number, one of the pages of a generation."""

    generation: int
    number: int
    text: str
    version: int = 0


def pack(digests: Mapping[int, bytes]) -> str:
    """Digests by number as text: differences of ascending numbers, each with its digest."""
    packed, last = bytearray(), 0
    for number in sorted(digests):
        packed += _varint(number - last)
        packed += digests[number]
        last = number
    return base64.b64encode(packed).decode()


def unpack(text: str) -> dict[int, bytes]:
    """The digests in a packed text. Raises InvalidInput for anything else."""
    return dict(_entries(text, DIGEST_BYTES))


def pack_numbers(numbers: Iterable[int]) -> str:
    """Numbers as text."""
    packed, last = bytearray(), 0
    for number in sorted(numbers):
        packed += _varint(number - last)
        last = number
    return base64.b64encode(packed).decode()


def unpack_numbers(text: str) -> set[int]:
    """The numbers in a packed text. Raises InvalidInput for anything else."""
    return {number for number, _ in _entries(text, 0)}


def pages_of(digests: Mapping[int, bytes]) -> list[str]:
    """The digests as texts of at most PAGE_ENTRIES_MAX entries each."""
    numbers = sorted(digests)
    return [
        pack({number: digests[number] for number in numbers[start : start + PAGE_ENTRIES_MAX]})
        for start in range(0, len(numbers), PAGE_ENTRIES_MAX)
    ]


def fold(pages: Iterable[DigestPage]) -> dict[int, bytes]:
    """What is known of open markets after all pages, in their order. Raises InvalidInput."""
    known: dict[int, bytes] = {}
    for page in pages:
        known.update(unpack(page.text))
    return {number: digest for number, digest in known.items() if digest != GONE}


def _varint(number: int) -> bytes:
    if not 0 <= number < NUMBER_MAX:
        raise InvalidInput("number", f"a number below {NUMBER_MAX} was expected")
    packed = bytearray()
    while number >> _VARINT_BITS:
        packed.append(number & 0x7F | 0x80)
        number >>= _VARINT_BITS
    packed.append(number)
    return bytes(packed)


def _entries(text: str, digest_bytes: int) -> list[tuple[int, bytes]]:
    try:
        packed = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise InvalidInput("text", "packed numbers were expected") from error
    found, at, last = [], 0, 0
    while at < len(packed):
        number, shift = 0, 0
        while True:
            if at >= len(packed) or shift > 48:
                raise InvalidInput("text", "packed numbers were expected")
            byte = packed[at]
            at += 1
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                break
            shift += _VARINT_BITS
        last += number
        found.append((last, packed[at : at + digest_bytes]))
        at += digest_bytes
    if at != len(packed):
        raise InvalidInput("text", "packed numbers were expected")
    return found
