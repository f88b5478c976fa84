"""A session that listens, and short ways to tell its outputs apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

from feed_fakes import WALLET, chain_head, confirmation

from chalicelib.domain.trade import ChainLeg
from chalicelib.watcher.gaps import Proof
from chalicelib.watcher.outputs import Evidence, Output, Send
from chalicelib.watcher.session import PolygonSession

T = TypeVar("T")
TS_BLOCK = 0x6A772E03 * 1000
"""Block time of block 0 of the test chain, in milliseconds; block n is n seconds later."""


def ts(number: int) -> int:
    return TS_BLOCK + number * 1000


def only(kind: type[T], outputs: Iterable[Output]) -> list[T]:
    return [output for output in outputs if isinstance(output, kind)]


def legs(outputs: Iterable[Output]) -> list[ChainLeg]:
    return [evidence.message.chain[0].leg for evidence in only(Evidence, outputs)]


def removed(outputs: Iterable[Output]) -> list[tuple[str, int]]:
    return [(leg.block_hash, leg.log_index) for leg in legs(outputs) if leg.removed]


def confirm(session: PolygonSession, outputs: Iterable[Output], now_ms: int) -> list[Output]:
    """Everything asked for is confirmed; what that leads to."""
    found: list[Output] = []
    for sent in only(Send, outputs):
        if "eth_subscribe" in sent.text:
            found += session.receive(confirmation(sent.text), now_ms)
    return found


def open_socket(session: PolygonSession, now_ms: int) -> list[Output]:
    return confirm(session, [Send(text) for text in session.connected(now_ms)], now_ms)


def listening(
    leaders: dict[str, str] | None = None, *, at: int = 100, before: Proof | None = None
) -> PolygonSession:
    """A session whose start gap is closed by block `at`."""
    session = PolygonSession({WALLET: "lead"} if leaders is None else leaders, before=before)
    open_socket(session, ts(at))
    session.receive(chain_head(at), ts(at))
    return session
