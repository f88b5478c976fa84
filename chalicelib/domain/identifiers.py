"""Ids, minted once from evidence. Frozen by golden tests: a change of meaning is a new prefix."""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import sha256

from chalicelib.domain.errors import InvalidInput

_ADDRESS = re.compile(r"0x[0-9a-f]{40}\Z")
_HASH = re.compile(r"0x[0-9a-f]{64}\Z")
_CONDITION = re.compile(r"0x(?:[0-9a-f]{62}|[0-9a-f]{64})\Z")
_TOKEN = re.compile(r"[1-9][0-9]{0,77}\Z")
_UINT256_MAX = 2**256 - 1
_PADDED_MODULES = ("0x01", "0x02")
COMBO_MODULE = 3
TOKENS_KNOWN_MAX = 4_096


def _lower(value: object, field: str, pattern: re.Pattern[str], expected: str) -> str:
    if not isinstance(value, str) or not pattern.match(value.lower()):
        raise InvalidInput(field, f"{expected} was expected, got {str(value)[:80]!r}")
    return value.lower()


def address(value: object, field: str = "address") -> str:
    """A 20-byte address in lower case."""
    return _lower(value, field, _ADDRESS, "an address (0x and 40 hex digits)")


def hash32(value: object, field: str) -> str:
    """A 32-byte hash in lower case."""
    return _lower(value, field, _HASH, "a hash (0x and 64 hex digits)")


def condition_id(value: object, field: str = "condition_id") -> str:
    """A condition id in lower case; 31-byte ids of modules 1 and 2 are padded to 32 bytes."""
    text = _lower(value, field, _CONDITION, "a condition id (0x and 62 or 64 hex digits)")
    return text + "00" if len(text) == 64 and text[:4] in _PADDED_MODULES else text


@lru_cache(TOKENS_KNOWN_MAX)
def _is_token(value: str) -> bool:
    return bool(_TOKEN.match(value)) and int(value) <= _UINT256_MAX


def token_id(value: object, field: str = "token_id") -> str:
    """An asset id: the decimal text of a 256-bit number, never a number itself."""
    if not isinstance(value, str) or not _is_token(value):
        raise InvalidInput(field, f"an asset id (decimal text) was expected, got {value!r:.90}")
    return value


@lru_cache(TOKENS_KNOWN_MAX)
def is_combo(token: str) -> bool:
    """Whether a position id belongs to the combinatorial module (cannot be copied on a book).

    Only meaningful for ids of the third exchange generation; an ordinary token id is a hash whose
    reserved bits 40..103 are practically never all zero.
    """
    number = int(token)
    return number >> 248 == COMBO_MODULE and (number >> 40) & (2**64 - 1) == 0


def _digest(*parts: object) -> str:
    return sha256("|".join(str(part) for part in parts).encode()).hexdigest()


def trade_id(wallet: str, tx_hash: str, token: str, side: str) -> str:
    """One wallet's trade of one token and side in one transaction."""
    return sha256(f"{wallet}|{tx_hash}|{token}|{side}".encode()).hexdigest()


def event_id(wallet: str, tx_hash: str, kind: str, condition: str, token: str) -> str:
    """One wallet's activity other than a trade."""
    return _digest(wallet, tx_hash, kind, condition, token)


def fill_id(trade: str, seq: int) -> str:
    """The numbered increment of a trade that was handed to the copy pipeline."""
    return f"{trade}:{seq}"


def group_id(first_fill: str) -> str:
    """A copy group, named after the fill that opened it."""
    return _digest("group1", first_fill)


def attempt_id(group: str, portfolio: str, epoch: int) -> str:
    """The one attempt a group may cause in one epoch of a portfolio."""
    return _digest("attempt1", group, portfolio, epoch)


def exit_id(portfolio: str, epoch: int, token: str, leader: str, ts: int) -> str:
    """What stands for a group where a portfolio tries again to sell what it owes."""
    return _digest("exit1", portfolio, epoch, token, leader, ts)
