"""The admin token: one more proof for what cannot be taken back. It is never logged or answered.

On a stage it is the SecureString parameter `admin/token`, on one machine a file that only its
owner may read, made at the first start.
"""

from __future__ import annotations

import hmac
import os
import secrets
import stat
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from chalicelib.adapters.parameters import parameters
from chalicelib.domain.errors import InvalidInput, Permanent

FILE = "admin_token"
FOLDER, NAME = "admin", "token"
CHARS_MIN, CHARS_MAX = 32, 512
REFRESH_MS = 60_000
"""A token that was replaced no longer opens anything after this."""


class AdminToken:
    """Tells whether somebody holds the token; read again every REFRESH_MS."""

    def __init__(self, read: Callable[[], str], now_ms: Callable[[], int]) -> None:
        self._read = read
        self._now_ms = now_ms
        self._known: tuple[int, bytes] | None = None

    def opens(self, given: str) -> bool:
        """Whether this is the token; takes equally long whatever is given.

        Raises InvalidInput while there is no usable token, Retryable or Permanent when it cannot
        be read.
        """
        now = self._now_ms()
        if self._known is None or now - self._known[0] >= REFRESH_MS:
            self._known = (now, _digest(checked(self._read())))
        return hmac.compare_digest(_digest(given), self._known[1])


def checked(token: str) -> str:
    """The token without surrounding white space. Raises InvalidInput, without quoting it."""
    token = token.strip()
    if not CHARS_MIN <= len(token) <= CHARS_MAX:
        raise InvalidInput("admin token", f"{CHARS_MIN} to {CHARS_MAX} characters were expected")
    return token


def new_token() -> str:
    """A fresh token of 256 random bits."""
    return secrets.token_urlsafe(32)


def stage_token(ssm: Any, stage: str) -> str:
    """The token of a stage. Raises InvalidInput when it is missing or no SecureString."""
    found = parameters(ssm, stage, FOLDER, (), (NAME,))
    if NAME not in found:
        raise InvalidInput(
            "admin token", f"parameter /papercopy/{stage}/{FOLDER}/{NAME} is missing"
        )
    return found[NAME]


def file_token(folder: Path) -> str:
    """The token of a data folder, made if there is none yet.

    Raises Permanent when others may read the file, or when it cannot be read or made.
    """
    path = folder / FILE
    try:
        _make(path)
        # A link could lead to somebody else's file.
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="utf-8") as file:
            kept = os.fstat(file.fileno())
            if stat.S_IMODE(kept.st_mode) & 0o077 or kept.st_uid != os.getuid():
                raise Permanent(f"{path} must be readable by its owner only: chmod 600 {path}")
            return file.read(CHARS_MAX + 1)
    except (OSError, UnicodeDecodeError) as error:
        # The error names the file, never what is in it.
        raise Permanent(f"{path} cannot be used ({type(error).__name__})") from None


def _make(path: Path) -> None:
    """The file appears with its whole content or not at all, and only if there was none."""
    if path.exists():
        return
    draft = path.with_name(f"{FILE}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(new_token() + "\n")
    try:
        os.link(draft, path)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _digest(token: str) -> bytes:
    return sha256(token.encode("utf-8", "surrogatepass")).digest()
