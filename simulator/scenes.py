"""The scripted scenes: a market each, a leader's orders in it, and what its book does meanwhile.

What follows a fill is timed from the moment its block is published, when a copier can first see
it. A copier who decides some two seconds later and places some five seconds later meets the book
that the scene is named after; MOVED lies between the two with more than a second on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

from simulator.amounts import MICRO
from simulator.book import Quotes

MOVED_MS = 3_300
RETURNS_MS = 7_500
"""After a placement, before what rests is cancelled."""
HUSH_MS = 5_600
SPOKEN_AGAIN_MS = 13_000
"""So late that what is asked for then says nothing about the decision any more."""
SHARES = 200 * MICRO
"""Of every order of the leader, $100."""


@dataclass(frozen=True, slots=True)
class Cue:
    """What the book does `after_ms` its fill was published."""

    after_ms: int
    book: Quotes | None = None
    silent: bool | None = None


@dataclass(frozen=True, slots=True)
class Entrance:
    """One marketable order of the leader, `at_ms` after the stage opens.

    The book is `leaves` at once after it, where that is given.
    """

    at_ms: int
    side: str = "BUY"
    shares: int = SHARES
    leaves: Quotes | None = None
    cues: tuple[Cue, ...] = ()


@dataclass(frozen=True, slots=True)
class Scene:
    """A market by name, its opening book and the leader's orders in it."""

    name: str
    entrances: tuple[Entrance, ...]
    opens: Quotes


def quotes(bid: int, ask: int, size: int = 4_000, *, beyond: tuple[int, int] = (0, 0)) -> Quotes:
    """Three levels a side in steps of a tenth of a cent; prices in thousandths, sizes in shares.

    With `beyond` (price, size) the side of the asks is one level of `size` and that one.
    """
    bids = tuple(((bid - n) * 1_000, 4_000 * MICRO) for n in range(3))
    asks = tuple(((ask + n) * 1_000, size * MICRO) for n in range(3))
    if beyond[0]:
        asks = (*asks[:1], (beyond[0] * 1_000, beyond[1] * MICRO))
    return Quotes(bids, asks)


OPEN = quotes(496, 500)
FEW_LEFT = quotes(496, 500, 4, beyond=(560, 4_000))
NONE_LEFT = quotes(496, 560)

SCENES = (
    Scene("filled", (Entrance(0), Entrance(6_000, "SELL", SHARES // 2)), OPEN),
    Scene("ran-away", (Entrance(100, leaves=quotes(535, 540)),), OPEN),
    Scene("moved", (Entrance(200, leaves=quotes(500, 508)),), OPEN),
    Scene("beyond-mid", (Entrance(300, leaves=quotes(440, 500)),), OPEN),
    Scene("wide", (Entrance(400, leaves=quotes(476, 500)),), OPEN),
    Scene("thin", (Entrance(500, leaves=quotes(496, 500, 2, beyond=(530, 4_000))),), OPEN),
    Scene("gone", (Entrance(600, cues=(Cue(MOVED_MS, NONE_LEFT),)),), OPEN),
    Scene("few-left", (Entrance(700, cues=(Cue(MOVED_MS, FEW_LEFT),)),), OPEN),
    Scene(
        "comes-back",
        (Entrance(800, cues=(Cue(MOVED_MS, FEW_LEFT), Cue(RETURNS_MS, quotes(496, 505)))),),
        OPEN,
    ),
    Scene(
        "no-exit",
        (Entrance(900), Entrance(6_500, "SELL", leaves=quotes(300, 500))),
        OPEN,
    ),
    Scene(
        "silent",
        (
            Entrance(1_000, cues=(Cue(HUSH_MS, silent=True),)),
            Entrance(12_500, cues=(Cue(SPOKEN_AGAIN_MS, silent=False),)),
        ),
        OPEN,
    ),
)
