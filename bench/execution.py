"""What executing one attempt on a tape costs: `python -m bench.execution`.

Prints JSON lines: microseconds per attempt, the median of RUNS, for tapes with few and many
changes while the order rests. `stored` includes reading and unpacking the segments.
"""

from __future__ import annotations

import json
import platform
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import replace

from chalicelib.adapters.embedded.memory_store import MemoryStore
from chalicelib.adapters.metrics import CountingMetrics
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.orderbook import Level
from chalicelib.domain.paper_order import Order, Outcome, placed
from chalicelib.domain.resting_order import followed
from chalicelib.domain.stress import stress
from chalicelib.domain.tape import BookChange, Segment, Tape, tape_of
from chalicelib.domain.tape_text import split_at
from chalicelib.services.tapes import read_tape, write_segments

RUNS = 200
CHANGES = (0, 50, 500)
LEVELS = 40
START = 1_795_000_000_000
TTL_MS = 30_000
TOKEN = "1" * 77
M = 1_000_000
SCHEDULE = FeeSchedule(50_000)
ORDER = Order(TOKEN, "BUY", 900 * M, 520_000, START + 1_000, START + 11_000, TTL_MS)


def tape_with(changes: int) -> Tape:
    """A tape of 32 s with so many changes on both sides, in segments as they are stored."""
    drawn = random.Random(changes)
    made = []
    for number in range(changes):
        side: Side = drawn.choice(("BUY", "SELL"))
        step = drawn.randrange(1, LEVELS)
        price = 510_000 - step * 1_000 if side == "BUY" else 518_000 + step * 1_000
        ts = START + 1_000 + number * TTL_MS // max(1, changes)
        made.append(BookChange(ts, ts + 40, side, price, drawn.randrange(0, 50) * M))
    whole = Segment(
        TOKEN,
        "bench",
        START,
        START + 32_000,
        START,
        tuple(Level(509_000 - i * 1_000, 20 * M) for i in range(LEVELS)),
        tuple(Level(519_000 + i * 1_000, 20 * M) for i in range(LEVELS)),
        tuple(made),
        (),
        (START,),
    )
    segments: list[Segment] = []
    while whole.ts_end - whole.ts_start > 10_000:
        first, whole = split_at(whole, whole.ts_start + 10_000)
        segments.append(first)
    return tape_of(TOKEN, [*segments, whole])


def median_us(act: Callable[[], object]) -> float:
    """Median microseconds of one call."""
    act()
    times = []
    for _ in range(RUNS):
        began = time.perf_counter_ns()
        act()
        times.append((time.perf_counter_ns() - began) / 1_000)
    return round(statistics.median(times), 1)


def place(tape: Tape) -> Outcome:
    """The placement sweep."""
    outcome = placed(ORDER, tape, SCHEDULE)
    assert outcome is not None
    return outcome


def main() -> None:
    """Measure and print."""
    for changes in CHANGES:
        tape = tape_with(changes)
        store, metrics = MemoryStore(), CountingMetrics()
        write_segments(store, tape.segments, metrics)
        outcome = place(tape)
        never_filled = replace(ORDER, shares=10**15)

        def whole(tape: Tape = tape) -> Outcome:
            return followed(ORDER, place(tape), tape, ORDER.ts_expiry)

        def stored(store: MemoryStore = store) -> Outcome:
            read = read_tape(store, TOKEN, START + 1_000, ORDER.ts_expiry)
            return whole(read)

        print(
            json.dumps(
                {
                    "bench": "execution",
                    "changes": changes,
                    "slices": len(whole().slices),
                    "place_us": median_us(lambda tape=tape: place(tape)),  # type: ignore[misc]
                    "follow_us": median_us(
                        lambda tape=tape, outcome=outcome, order=never_filled: followed(  # type: ignore[misc]
                            order, outcome, tape, order.ts_expiry
                        )
                    ),
                    "stress_us": median_us(
                        lambda tape=tape: stress(tape, "BUY", 900 * M, 520_000, START)  # type: ignore[misc]
                    ),
                    "attempt_us": median_us(whole),
                    "stored_us": median_us(stored),
                    "python": platform.python_version(),
                }
            )
        )


if __name__ == "__main__":
    main()
