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
class NeedCanonical:
    """Look up which block has this number now and answer with `canonical`."""

    number: int


@dataclass(frozen=True, slots=True)
class GapClosed:
    """The feed is whole again: let the API be read for the stretch it may have missed.

    Times are block times in milliseconds, `ts_from` the last proof before the gap and `ts_until`
    the first after it. `ts_from` None means since the leader is followed, `leaders` None means
    all of them. Block numbers are 0 where they are unknown.
    """

    ts_from: int | None
    ts_until: int
    reason: str
    leaders: frozenset[str] | None = None
    block_from: int = 0
    block_until: int = 0


@dataclass(frozen=True, slots=True)
class Upgraded:
    """The proxy at `exchange` runs other code from now on."""

    exchange: str
    implementation: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Add to a metric."""

    name: str
    value: int = 1


@dataclass(frozen=True, slots=True)
class Reconnect:
    """Replace the socket; nothing further is expected of it."""

    reason: str


Output = (
    Send
    | Evidence
    | Refused
    | NeedBlock
    | NeedCanonical
    | GapClosed
    | Upgraded
    | Counted
    | Reconnect
)


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
