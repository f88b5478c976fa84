"""Identifiers: hashes, wallets, CTF token ids and Protocol-V2 position ids.

Hashes of the simulated chain are SHA-256 (only their uniqueness matters); token ids are
computed with the real Conditional Tokens arithmetic, because clients may recompute them.
"""

from __future__ import annotations

import hashlib
import random

from eth_hash.auto import keccak

ZERO32 = "0x" + "00" * 32
ZERO20 = "0x" + "00" * 20

CTF_EXCHANGE = "0xe111180000d2663c0091e4f400237545b87b996b"
NEG_RISK_EXCHANGE = "0xe2222d279d744050d28e00520010520000310f59"
EXCHANGE_V3 = "0xe3333700ca9d93003f00f0f71f8515005f6c00aa"
EXCHANGES = frozenset({CTF_EXCHANGE, NEG_RISK_EXCHANGE, EXCHANGE_V3})

_USDC_E = "2791bca1f2de4661ed88a30c99a7a9449aa84174"
_WRAPPED_COLLATERAL = "3a3bd7bb9528e159577f7c2e685cc81a765002e2"
_FIELD = 21888242871839275222246405745257275088696311157297823662689037894645226208583


def hash32(*parts: object) -> str:
    """A 0x-prefixed 32-byte hash of the given parts."""
    return "0x" + hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def wallet(*parts: object) -> str:
    """A lower-case 20-byte address derived from the given parts."""
    return "0x" + hash32("wallet", *parts)[-40:]


def stream(seed: int, *purpose: object) -> random.Random:
    """An independent random stream for one purpose, so that streams never shift each other."""
    return random.Random(int(hash32(seed, *purpose)[2:18], 16))


def ctf_token_id(condition_id: str, outcome_index: int, *, neg_risk: bool) -> str:
    """Decimal ERC-1155 id of one outcome of a Conditional Tokens condition.

    keccak256(collateral || collection id), where the collection id is a point on alt_bn128
    found from keccak256(condition id || index set) by try-and-increment.
    """
    index_set = 1 << outcome_index
    digest = keccak(bytes.fromhex(condition_id[2:]) + index_set.to_bytes(32, "big"))
    seed = int.from_bytes(digest, "big")
    odd = seed >> 255
    x = seed % _FIELD
    while True:
        x = (x + 1) % _FIELD
        square = (pow(x, 3, _FIELD) + 3) % _FIELD
        y = pow(square, (_FIELD + 1) // 4, _FIELD)
        if y * y % _FIELD == square:
            break
    if bool(odd) != bool(y % 2):
        y = _FIELD - y
    collection = x ^ (1 << 254) if y % 2 else x
    collateral = _WRAPPED_COLLATERAL if neg_risk else _USDC_E
    token = keccak(bytes.fromhex(collateral) + collection.to_bytes(32, "big"))
    return str(int.from_bytes(token, "big"))


def position_condition(module: int, *parts: object) -> str:
    """A Protocol-V2 condition id in its short form: 0x and 62 hex digits (31 bytes).

    Layout: module (1 byte), base hash (16 bytes), then arity, reserved, resolution chain and
    condition index, all zero for a binary market.
    """
    return f"0x{module:02x}{hash32('position', *parts)[2:34]}{'00' * 14}"


def padded_condition(condition_id: str) -> str:
    """The 32-byte form of a condition id: the 31-byte form gets a zero byte on the right."""
    return condition_id + "00" if len(condition_id) == 64 else condition_id


def position_id(short_condition_id: str, outcome_index: int) -> str:
    """Decimal position id: the 31-byte condition id followed by the outcome byte."""
    return str((int(short_condition_id, 16) << 8) | outcome_index)
