"""SQLite's failures as ours.

Retryable: another process holds the file, the disk is full or does not answer.
Permanent: the file is damaged, unreadable, of another program, or already closed.
"""

from __future__ import annotations

import sqlite3

from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent, Retryable

_RETRYABLE = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
    }
)
_PRIMARY_CODE = 0xFF
"""Extended result codes carry the primary one in their lowest byte."""


def translated(error: Exception, doing: str) -> PapercopyError:
    """The failure that `error` means to a caller of the store."""
    if isinstance(error, UnicodeEncodeError | OverflowError):
        return InvalidInput("key", f"cannot be stored: {error}")
    code = getattr(error, "sqlite_errorcode", 0) & _PRIMARY_CODE
    if code == sqlite3.SQLITE_FULL:
        return Retryable(f"{doing}: the disk is full; free space, then it goes on by itself")
    if code in _RETRYABLE:
        return Retryable(f"{doing}: {error}")
    return Permanent(f"{doing}: {error}")
