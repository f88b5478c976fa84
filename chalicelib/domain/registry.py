"""Slowly changing facts: who is followed, where polling stands, what is alive, what things cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

LeaderState = Literal["on", "sell_only", "off"]


@dataclass(frozen=True, slots=True)
class Leader:
    """A followed user: one or more wallets folded into one. `leader` is his first wallet.

    Trades of blocks before `followed_from` (milliseconds) are backfill.
    """

    leader: str
    name: str
    wallets: tuple[str, ...]
    state: LeaderState
    followed_from: int
    version: int = 0


def first_second(leader: Leader) -> int:
    """The start of the second in which he was followed, in milliseconds.

    Block times have whole seconds; earlier ones are history and may never trade.
    """
    return leader.followed_from // 1000 * 1000


@dataclass(frozen=True, slots=True)
class PortfolioRef:
    """An existing portfolio and its current epoch; `leader` is empty for the global one."""

    portfolio_id: str
    account_id: str
    kind: Literal["global", "leader", "shadow"]
    leader: str
    epoch: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class TokenPointer:
    """Which market a token belongs to."""

    token_id: str
    condition_id: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one wallet's activity was polled completely; seconds of the venue's clock.

    `sent` are digests of evidence inside the overlap window that was already handed over, so that
    a poll without news sends nothing. Losing them costs repetitions, never correctness.
    """

    leader: str
    wallet: str
    ts_seconds: int
    sent: tuple[str, ...] = ()
    version: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Last proof of life of a source or schedule; times in milliseconds, 0 when never.

    `up` is the source's own verdict, `detail` one sentence for people.
    """

    source: str
    ts: int
    up: bool
    detail: str = ""
    ts_connected: int = 0
    ts_last_event: int = 0
    last_block: int = 0
    ts_last_block: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class SettingsRow:
    """Stored settings of one scope (`global`, or a leader), as the text that was validated."""

    scope: str
    text: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """What one share of a token is worth, in micros, and when that was read (milliseconds)."""

    token_id: str
    price: int
    ts: int


@dataclass(frozen=True, slots=True)
class MarkSheet:
    """The latest marks of every held token, packed into one item."""

    marks: tuple[Mark, ...]
    ts: int
    version: int = 0


MARKS_MAX = 2_000
"""Tokens on one mark sheet: keeps the item under two thirds of the store's 400 KB limit."""
