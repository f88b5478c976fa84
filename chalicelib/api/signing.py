"""Signed texts for cookies and links: a JSON object and its HMAC-SHA256, readable by anybody,
made by nobody else.

A text is `<payload>.<mac>`, both base64url. The mac covers the purpose as well, so what was signed
for one use is worth nothing for another. Several keys are accepted and the first one signs, which
is how a key is replaced without signing everybody out.
"""

from __future__ import annotations

import binascii
import hmac
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from chalicelib.domain.errors import InvalidInput

KEY_BYTES_MIN = 32
TEXT_CHARS_MAX = 3_500
"""A cookie has at most 4,096 bytes, its name and attributes included."""


def key_of(text: str, field: str) -> bytes:
    """A signing key. Raises InvalidInput naming `field` when it is too short."""
    key = text.strip().encode()
    if len(key) < KEY_BYTES_MIN:
        raise InvalidInput(field, f"at least {KEY_BYTES_MIN} random characters were expected")
    return key


def encoded(content: bytes) -> str:
    """base64url without padding."""
    return urlsafe_b64encode(content).decode().rstrip("=")


def derived(key: bytes, purpose: str, text: str) -> str:
    """43 characters that only the key's owner can compute from `text`."""
    return encoded(hmac.digest(key, f"{purpose}.{text}".encode(), sha256))


def sign(key: bytes, purpose: str, payload: Mapping[str, object]) -> str:
    """The signed text. Raises ValueError for one that no cookie can hold."""
    body = encoded(json.dumps(payload, separators=(",", ":"), sort_keys=True).encode())
    text = f"{body}.{derived(key, purpose, body)}"
    if len(text) > TEXT_CHARS_MAX:
        raise ValueError(f"a signed text has at most {TEXT_CHARS_MAX} characters")
    return text


def read(keys: Sequence[bytes], purpose: str, text: str) -> tuple[dict[str, Any], bytes] | None:
    """What was signed and the key that signed it; None for anything we did not sign."""
    if len(text) > TEXT_CHARS_MAX or not text.isascii():
        return None
    body, _, mac = text.partition(".")
    for key in keys:
        if hmac.compare_digest(derived(key, purpose, body), mac):
            return _object(body), key
    return None


def _object(body: str) -> dict[str, Any]:
    """The payload of a text whose mac was right, so its form is ours."""
    try:
        found = json.loads(urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except (ValueError, binascii.Error):
        return {}
    return found if isinstance(found, dict) else {}
