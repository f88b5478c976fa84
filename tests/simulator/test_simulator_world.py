"""The world is deterministic, conserves shares and keeps to its budget."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from simulator import ids
from simulator.amounts import decimal_text, taker_fee_micros
from simulator.book import Change
from simulator.positions import PositionBook
from simulator.world import BLOCK_MS, World, WorldConfig

GENESIS_MS = 1_795_132_800_000
DIGEST_SCRIPT = """
import hashlib
from simulator.logs import block_logs
from simulator.world import World
world, digest = World(7, 1795132800000), hashlib.sha256()
for _ in range(200):
    step = world.step()
    digest.update(repr([step.block.hash, list(block_logs(step.block)), len(step.events)]).encode())
print(digest.hexdigest())
"""


def digest(world: World, blocks: int) -> str:
    total = hashlib.sha256()
    for _ in range(blocks):
        step = world.step()
        total.update(step.block.hash.encode())
        total.update(repr([e for e in step.events if isinstance(e, Change)]).encode())
        for tx in step.block.transactions:
            rows = [
                (f.wallet, f.log_index, f.shares, f.cash, f.fee, f.order_hash) for f in tx.fills
            ]
            total.update(repr((tx.hash, rows)).encode())
    return total.hexdigest()


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not():
    assert digest(World(7, GENESIS_MS), 400) == digest(World(7, GENESIS_MS), 400)
    assert digest(World(7, GENESIS_MS), 50) != digest(World(8, GENESIS_MS), 50)


def test_history_does_not_depend_on_the_process():
    root = str(Path(__file__).parents[2])
    digests = set()
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": root}
        command = [sys.executable, "-c", DIGEST_SCRIPT]
        run = subprocess.run(command, env=environment, capture_output=True, check=True)
        digests.add(run.stdout)
    assert len(digests) == 1


def test_fast_forward_equals_living_through_it(venue_at):
    at_once = venue_at(300)
    lived = venue_at(0)
    while lived.clock.now < at_once.clock.now:
        lived.clock.now += 370
        lived.clock.now = min(lived.clock.now, at_once.clock.now)
        lived.advance()
    assert at_once.head.hash == lived.head.hash
    for index, view in at_once.books.items():
        other = lived.books[index]
        assert (view.bids, view.asks, view.ts) == (other.bids, other.asks, other.ts)
        assert view.last_price == other.last_price
    assert at_once.positions.held == lived.positions.held


def test_positions_are_the_sum_of_fills_and_never_negative():
    world = World(7, GENESIS_MS, WorldConfig(fills_per_minute=200))
    book = PositionBook(world.leader_wallets)
    total: Counter[tuple[str, str]] = Counter()
    for _ in range(1_200):
        for tx in world.step().block.transactions:
            for fill in tx.fills:
                if fill.wallet in world.leader_wallets:
                    sign = 1 if fill.side == "BUY" else -1
                    total[fill.wallet, fill.token.id] += sign * fill.shares
                    assert total[fill.wallet, fill.token.id] >= 0
        book.apply(world.head)
    held = {(w, t): p.shares for w, tokens in book.held.items() for t, p in tokens.items()}
    assert held == dict(total)


def test_every_match_conserves_cash_and_shares():
    world = World(3, GENESIS_MS, WorldConfig(fills_per_minute=120))
    for _ in range(800):
        for tx in world.step().block.transactions:
            *makers, taker = tx.fills
            sign = {"BUY": 1, "SELL": -1}
            shares = Counter({taker.token.id: sign[taker.side] * taker.shares})
            cash = -sign[taker.side] * taker.cash
            for maker in makers:
                assert maker.fee == 0
                shares[maker.token.id] += sign[maker.side] * maker.shares
                cash -= sign[maker.side] * maker.cash
            minted = {shares[token.id] for token in tx.match.market.tokens}
            # A mint adds equal amounts of both outcomes for one pUSD a pair, a merge removes them.
            assert len(minted) == 1
            assert cash + minted.pop() == 0


def test_books_never_cross_and_events_stay_in_their_interval():
    world = World(7, GENESIS_MS)
    for _ in range(600):
        step = world.step()
        times = [e.ts if isinstance(e, Change) else e.ts_match for e in step.events]
        assert times == sorted(times)
        assert all(step.block.ts - BLOCK_MS < ts <= step.block.ts for ts in times)
        for ladder in world.exchange.ladders.values():
            assert ladder.best_bid() < ladder.best_ask()


def test_leaders_show_every_kind_of_fill_at_the_asked_rate():
    world = World(7, GENESIS_MS)
    for _ in range(4_000):
        world.step()
    minutes = 4_000 * BLOCK_MS / 60_000
    assert 0.9 < len(world.truth) / minutes / 30 < 1.1
    assert {(f.role, f.side) for f in world.truth} == {
        (role, side) for role in ("maker", "taker") for side in ("BUY", "SELL")
    }
    assert {f.tx.match.market.generation for f in world.truth} == {"v2", "v3"}
    assert {f.tx.match.market.exchange for f in world.truth} == ids.EXCHANGES
    buys = sum(f.side == "BUY" for f in world.truth)
    assert buys > len(world.truth) / 2
    cash = [f.cash for f in world.truth]
    assert min(cash) < 1_000_000 and max(cash) > 1_000_000_000
    crossed = sum(any(f.token is not t.fills[-1].token for f in t.fills[:-1])
                  for t in world.transactions.values())  # fmt: skip
    assert crossed > 50
    twins = Counter((f.tx.hash, f.order_hash, f.shares) for f in world.truth)
    assert max(twins.values()) == 2
    seconds = Counter((f.wallet, f.token.id, f.tx.match.ts_match // 2_000) for f in world.truth)
    assert max(seconds.values()) >= 3


def test_max_fills_is_exact():
    for wanted in (1, 17, 50):
        world = World(5, GENESIS_MS, WorldConfig(fills_max=wanted, fills_per_minute=300))
        for _ in range(300):
            world.step()
        assert world.fills_total == wanted
        assert [f.n for f in world.truth] == list(range(1, wanted + 1))
        assert world.quiet


def test_history_is_bounded():
    world = World(7, GENESIS_MS, WorldConfig(retention_blocks=500))
    for _ in range(2_600):
        world.step()
    assert len(world.blocks) < 500 + 1_201
    oldest = next(iter(world.blocks))
    assert all(f.tx.block.number >= oldest for f in world.fills)
    assert set(world.transactions) == {f.tx.hash for f in world.fills}
    assert world.truth[-1].n == world.fills_total > len(world.truth)


def test_fast_forward_is_fast():
    world = World(7, GENESIS_MS)
    started = time.process_time()
    for _ in range(1_500):
        world.step()
    assert 1_500 / (time.process_time() - started) > 2_000


def test_the_documented_fee_examples():
    # 100 shares at 0.588 with rate 0.04: 0.969024 is cut to five decimals.
    assert taker_fee_micros(400, 58_800_000, 100_000_000) == 969_020
    # 2.56 shares at 0.92 with rate 0.07.
    assert taker_fee_micros(700, 2_355_200, 2_560_000) == 13_180


@given(st.integers(1, 10**12), st.integers(0, 10**6), st.sampled_from([0, 400, 500, 700]))
def test_fee_is_floored_to_ten_micros(shares, price, rate):
    cash = shares * price // 10**6
    fee = taker_fee_micros(rate, cash, shares)
    exact = rate * cash * (shares - cash)
    assert fee % 10 == 0
    assert fee * shares * 10_000 <= exact < (fee + 10) * shares * 10_000


@given(st.integers(0, 10**15))
def test_decimal_text_round_trips(micros):
    whole, _, rest = decimal_text(micros).partition(".")
    assert int(whole) * 10**6 + int((rest + "000000")[:6]) == micros


def test_token_ids_follow_from_the_condition(samples):
    for market in json.loads((samples / "clob" / "clob_markets_fed_2026-05.json").read_text()):
        computed = [ids.ctf_token_id(market["c"], n, neg_risk=True) for n in (0, 1)]
        assert computed == [token["t"] for token in market["t"]]
