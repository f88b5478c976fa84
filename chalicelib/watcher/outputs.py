"""What a session asks of the shell around it."""

from __future__ import annotations

from dataclasses import dataclass

from chalicelib.domain.evidence import FillMessage


@dataclass(frozen=True, slots=True)
class Send:
    """Send this text frame on the socket."""

    text: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """Hand this message to ingestion."""

    message: FillMessage


@dataclass(frozen=True, slots=True)
class Refused:
    """Keep this payload for a person: it can never be processed."""

    payload: str
    error: str


@dataclass(frozen=True, slots=True)
class NeedBlock:
    """Look the block's time up and answer with `block_known`; asked again until answered."""

    block_hash: str


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Replace the socket; nothing further is expected of it."""

    reason: str


Output = Send | Evidence | Refused | NeedBlock | Reconnect


@dataclass(frozen=True, slots=True)
class Health:
    """The session's verdict on itself; times in milliseconds, 0 when never.

    `ts_last_event` is the last log of a followed wallet and says nothing about health: quiet
    leaders are normal.
    """

    up: bool
    detail: str
    ts_connected: int
    ts_last_event: int
    last_block: int
    ts_last_block: int
