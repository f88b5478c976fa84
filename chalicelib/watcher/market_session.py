"""One connection of the venue's market channel as a state machine. No I/O.

The channel acknowledges nothing and numbers nothing. A connection is alive while it answers PING
with PONG; one that delivers no event for long is replaced all the same, because sockets that only
answer are a known defect of it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence

from chalicelib.adapters.polymarket.market_events import MarketEvent
from chalicelib.adapters.polymarket.market_ws import parse_frame
from chalicelib.watcher.book_store import BookStore
from chalicelib.watcher.outputs import Output, Reconnect, Send

TOKENS_MAX = 200
"""Tokens of one connection; the venue stops sending first books above 500."""
PING_MS = 10_000
PONG_SILENCE_MS_MAX = 30_000
EVENT_SILENCE_MS_MAX = 120_000
ASSETS_PER_FRAME = 100


def divided(
    before: Sequence[Collection[str]], tokens: Collection[str], size: int = TOKENS_MAX
) -> tuple[list[frozenset[str]], int]:
    """Each connection's tokens, those of `before` left in place, and how many found no room."""
    shares = [set(known) & set(tokens) for known in before]
    left_out = 0
    for token in sorted(set(tokens).difference(*shares)):
        room = next((share for share in shares if len(share) < size), None)
        if room is None:
            left_out += 1
        else:
            room.add(token)
    return [frozenset(share) for share in shares], left_out


class MarketSession:
    """The tokens of one connection, over any number of sockets."""

    def __init__(self, number: int = 0, books: BookStore | None = None) -> None:
        """Frames also change `books`, as those of connection `number`."""
        self._number = number
        self._books = books
        self._tokens: frozenset[str] = frozenset()
        self._subscribed: frozenset[str] = frozenset()
        self._open = False
        self._ts_ping = 0
        self._ts_pong = 0
        self._ts_event = 0

    @property
    def tokens(self) -> frozenset[str]:
        """What is listened for."""
        return self._tokens

    @property
    def wanted(self) -> bool:
        """Whether there is anything to listen for."""
        return bool(self._tokens)

    def connected(self, now_ms: int) -> list[str]:
        """A new socket is open; the frames to send first."""
        self._open = True
        self._ts_ping = self._ts_pong = self._ts_event = now_ms
        self._subscribed = self._tokens
        first, *rest = _parts(self._tokens) or [[]]
        frames = [{"type": "market", "assets_ids": first, "custom_feature_enabled": True}]
        frames += [_operation("subscribe", part) for part in rest]
        return [json.dumps(frame, separators=(",", ":")) for frame in frames]

    def disconnected(self) -> None:
        """The socket is gone."""
        self._open = False

    def set_tokens(self, tokens: Collection[str]) -> list[Output]:
        """Listen for exactly these tokens, at most TOKENS_MAX."""
        wanted = frozenset(sorted(tokens)[:TOKENS_MAX])
        self._tokens = wanted
        if not self._open or wanted == self._subscribed:
            return []
        frames = [_operation("subscribe", p) for p in _parts(wanted - self._subscribed)]
        frames += [_operation("unsubscribe", p) for p in _parts(self._subscribed - wanted)]
        self._subscribed = wanted
        return [Send(json.dumps(frame, separators=(",", ":"))) for frame in frames]

    def resubscribe(self, tokens: Collection[str]) -> list[Output]:
        """Have the venue send whole books of these tokens, those that are listened for."""
        mine = self._subscribed & frozenset(tokens)
        if not self._open or not mine:
            return []
        frames = [_operation("unsubscribe", part) for part in _parts(mine)]
        frames += [_operation("subscribe", part) for part in _parts(mine)]
        return [Send(json.dumps(frame, separators=(",", ":"))) for frame in frames]

    def receive(self, frame: str | bytes, now_ms: int) -> tuple[MarketEvent, ...]:
        """The events of a frame; answers to PING are used up here, and changes by the books."""
        text = frame if isinstance(frame, str) else frame.decode(errors="replace")
        if text == "PONG":
            self._ts_pong = now_ms
            if self._books is not None:
                self._books.alive(self._number, now_ms)
            return ()
        if self._books is None:
            found = parse_frame(text, now_ms)
        else:
            found = self._books.frame(text, self._number, now_ms)
        if found or self._books is not None:
            self._ts_event = now_ms
        return found

    def tick(self, now_ms: int) -> list[Output]:
        """What became due: a PING, or the end of a socket that is not worth keeping."""
        if not self._open:
            return []
        if now_ms - self._ts_pong > PONG_SILENCE_MS_MAX:
            return [Reconnect("no PONG")]
        if self._tokens and now_ms - self._ts_event > EVENT_SILENCE_MS_MAX:
            return [Reconnect("no event")]
        if now_ms - self._ts_ping < PING_MS:
            return []
        self._ts_ping = now_ms
        return [Send("PING")]


def _operation(name: str, tokens: Sequence[str]) -> dict[str, object]:
    return {"operation": name, "assets_ids": tokens, "custom_feature_enabled": True}


def _parts(tokens: Collection[str]) -> list[list[str]]:
    ordered = sorted(tokens)
    return [ordered[i : i + ASSETS_PER_FRAME] for i in range(0, len(ordered), ASSETS_PER_FRAME)]
