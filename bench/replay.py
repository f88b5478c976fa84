"""Leader fills per second through replay: ingested, decided, executed, booked and digested.

One process, two portfolios per leader, previews off. Three densities of book changes per fill, and
a recorded day of 20,000 fills. `--profile DENSITY` prints where the time goes instead.
"""

from __future__ import annotations

import argparse
import cProfile
import gc
import json
import platform
import pstats
import random
import tempfile
import time
from pathlib import Path

from chalicelib.domain.evidence import ChainEvidence, FillMessage
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.market import Market
from chalicelib.domain.orderbook import Level
from chalicelib.domain.registry import Leader
from chalicelib.domain.tape import BookChange, Segment
from chalicelib.domain.tape_text import packed
from chalicelib.domain.trade import ChainLeg
from chalicelib.domain.witness import Arrival, witness_of
from chalicelib.replay.fast import played_of
from chalicelib.replay.files import read_recording, write_recording
from chalicelib.replay.report import digest_of_all, digests_of
from chalicelib.replay.simulated import open_portfolios
from chalicelib.services.recordings import Header, Recording

M = 1_000_000
T0 = 1_795_132_800_000
LEADERS = 20
TOKENS = 200
BURST = 5
"""Fills of one leader in one token within one window: what a large order leaves on the chain."""
STEP_MS = 400
"""Between bursts."""
SEGMENT_MS = 10_000
TARGETS = {0: 10_000, 50: 6_000, 500: 3_000}
DAY_FILLS = 20_000
DAY_SECONDS = 10.0


def recording_with(fills: int, changes_per_fill: int, seed: int = 1) -> Recording:
    """Bursts of buys and partial sells by many leaders in many tokens, every book recorded."""
    rng = random.Random(seed)
    bursts = fills // BURST
    end = T0 + bursts * STEP_MS + 60_000
    recording = Recording(Header(T0 - 1_000, end, source="bench", settings=(("global", "{}"),)))
    leaders = [f"0x{n:040x}" for n in range(1, LEADERS + 1)]
    facts = {}
    for leader in leaders:
        row = witness_of(Leader(leader, leader[:6], (leader,), "on", T0 - 1_000))
        recording.facts.append(row)
        facts[leader] = row.digest
        open_portfolios(recording, leader, T0 - 1_000)
    tokens = [str(10**70 + n) for n in range(TOKENS)]
    for n in range(0, TOKENS, 2):
        recording.markets.append(_market(n, (tokens[n], tokens[n + 1])))
    held: dict[tuple[str, str], int] = {}
    wanted: dict[str, list[int]] = {}
    number = 0
    for burst in range(bursts):
        leader, token = rng.choice(leaders), rng.choice(tokens)
        owned = held.get((leader, token), 0)
        side: Side = "SELL" if owned > 0 and rng.random() < 0.4 else "BUY"
        seen = T0 + burst * STEP_MS
        wanted.setdefault(token, []).append(seen)
        for part in range(BURST):
            number += 1
            shares = owned // 10 if side == "SELL" else rng.randint(50, 500) * M
            held[leader, token] = held.get((leader, token), 0) + (
                shares if side == "BUY" else -shares
            )
            leg = ChainLeg(
                block_hash=f"0x{burst + 1:064x}",
                block_number=burst + 1,
                log_index=part,
                ts_block=(seen - 2_000) // 1000 * 1000,
                shares=max(shares, 1),
                cash=max(shares, 1) * 515_000 // M,
                fee=0,
                fee_asset="collateral",
                role="maker",
                order_hash=f"0x{number:064x}",
            )
            item = ChainEvidence(f"0x{number:064x}", token, side, leg)
            message = FillMessage(leader, leader, seen + part * 20, False, (item,))
            recording.arrivals.append(
                Arrival(
                    leader, message.ts_seen + 10, number, str(number), message, None, facts[leader]
                )
            )
    for token, times in wanted.items():
        _record(recording, token, times, changes_per_fill * BURST, rng)
    return recording


def _market(number: int, tokens: tuple[str, str]) -> Market:
    return Market(
        condition_id=f"0x{number + 1:064x}",
        question="?",
        slug=f"market-{number}",
        event_id=str(number // 4),
        category="sports",
        protocol="v1",
        tokens=tokens,
        outcomes=("Yes", "No"),
        tick=10_000,
        order_shares_min=5 * M,
        fee=FeeSchedule(50_000, 1),
        neg_risk=False,
        delay_ms=0,
        closes_at=None,
        closed=False,
        accepting_orders=True,
    )


def _record(
    recording: Recording, token: str, times: list[int], changes: int, rng: random.Random
) -> None:
    """Segments of 10 s around each burst, with so many changes per burst in all."""
    starts = sorted(
        {(t - 1_000 + ms) // SEGMENT_MS * SEGMENT_MS for t in times for ms in (0, 4_000)}
    )
    per_segment = changes * len(times) // len(starts)
    bids = tuple(Level(510_000 - 10_000 * n, 2_000 * M) for n in range(20))
    asks = tuple(Level(520_000 + 10_000 * n, 2_000 * M) for n in range(20))
    for start in starts:
        moments = sorted(rng.randint(1, SEGMENT_MS) for _ in range(per_segment))
        moved = [
            BookChange(
                start + ms,
                start + ms + 20,
                *rng.choice(
                    (("BUY", 500_000 - 10_000 * rng.randint(0, 15)),
                     ("SELL", 530_000 + 10_000 * rng.randint(0, 15)))
                ),
                rng.randint(100, 5_000) * M,
            )
            for ms in moments
        ]  # fmt: skip
        proofs = tuple(range(start, start + SEGMENT_MS, 1_000))
        recording.segments.append(
            packed(
                Segment(
                    token,
                    "w",
                    start,
                    start + SEGMENT_MS,
                    start,
                    bids,
                    asks,
                    tuple(moved),
                    (),
                    proofs,
                )
            )
        )


def play(recording: Recording) -> str:
    """One replay down to the digest over all ledgers."""
    return digest_of_all(digests_of(played_of(recording)))


def measure(density: int, fills: int, runs: int) -> dict[str, object]:
    """Fills per second at one density: every run's figure, and the best."""
    recording = recording_with(fills, density)
    rates = []
    digests = set()
    for _ in range(runs):
        gc.collect()
        gc.disable()
        began = time.process_time()
        digests.add(play(recording))
        rates.append(round(fills / (time.process_time() - began)))
        gc.enable()
    assert len(digests) == 1
    return {
        "bench": f"replay_{density}",
        "fills": fills,
        "fills_per_second": max(rates),
        "runs": rates,
        "target": TARGETS[density],
        "python": platform.python_version(),
    }


def measure_day(fills: int) -> dict[str, object]:
    """A day from its packed file to its digest."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "day.jsonl.gz"
        write_recording(recording_with(fills, 50), file)
        gc.collect()
        gc.disable()
        began = time.process_time()
        recording = read_recording(file)
        read = time.process_time() - began
        play(recording)
        seconds = time.process_time() - began
        gc.enable()
        return {
            "bench": "replay_day",
            "fills": fills,
            "seconds": round(seconds, 2),
            "reading_seconds": round(read, 2),
            "file_mb": round(file.stat().st_size / 1e6, 1),
            "target_seconds": DAY_SECONDS,
        }


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fills", type=int, default=5_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--profile", type=int, choices=sorted(TARGETS))
    parser.add_argument("--sort", default="tottime", help="of the profile: tottime, cumtime")
    parser.add_argument("--no-day", action="store_true")
    chosen = parser.parse_args()
    if chosen.profile is not None:
        recording = recording_with(chosen.fills, chosen.profile)
        profile = cProfile.Profile()
        profile.runcall(play, recording)
        pstats.Stats(profile).sort_stats(chosen.sort).print_stats(40)
        return
    for density in TARGETS:
        print(json.dumps(measure(density, chosen.fills, chosen.runs)), flush=True)
    if not chosen.no_day:
        print(json.dumps(measure_day(DAY_FILLS)))


if __name__ == "__main__":
    main()
