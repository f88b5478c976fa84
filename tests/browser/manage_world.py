"""A papercopy that has lived for some hours: leaders, markets, trades, copies, changes.

Everything went through the real services and the real API on a dictionary store; only the clock
stands still afterwards, so that a screenshot can be taken again.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any, ClassVar

from chalicelib.adapters.clock import ManualClock
from chalicelib.api.desk import Desk
from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.ledger_check import LedgerCheck
from chalicelib.domain.market import Market
from chalicelib.domain.orderbook import Book, Level
from chalicelib.domain.registry import CatchUp, Heartbeat
from chalicelib.ports import Holding, Profile, Put
from chalicelib.replay.last import replayed_job
from chalicelib.services.heartbeats import beat
from chalicelib.services.market_directory import store_market
from tests.api.calling import FACTS
from tests.api.office import Office
from tests.workflow.harness import M, System, api, chain, leg, market, row

START_MS = int(datetime(2026, 11, 20, 8, 0, tzinfo=UTC).timestamp() * 1_000)
MINUTE_MS, HOUR_MS = 60_000, 3_600_000
TRADES = 56
QUEUES = {"fills": 3, "dead": 2, "failures": 1}
SIZES = [
    {"table": "registry", "items": 48_390, "bytes": 31_204_000},
    {"table": "activity", "items": 912_300, "bytes": 402_900_000},
    {"table": "portfolio", "items": 48_120, "bytes": 29_400_000},
    {"table": "audit", "items": 214, "bytes": 96_000},
]
WANTED = "0x7a3f5d0c9be14260a8f2c6e1d40b97385ce12f64"
"""Nobody follows him yet; the venue knows him."""
LEADERS = [
    ("0x" + sha256(name.encode()).hexdigest()[:40], name)
    for name in ("Kestrel", "quiet-otter", "Mme. Lefèvre", "Zug-Zwang")
]
SUBJECTS = [
    ("Will the Fed cut rates in December 2026?", ("Yes", "No"), 410_000, "economics", 1),
    ("Arsenal vs. Brentford: who wins?", ("Arsenal", "Brentford"), 650_000, "sports", 4),
    ("Bitcoin above $120,000 on November 30?", ("Yes", "No"), 290_000, "crypto", 1),
    (
        "Will the coalition agreement be signed by all three parties before the end of the year, "
        "as determined by the official gazette?",
        ("Yes", "No"),
        520_000,
        "politics",
        2,
    ),
    (
        "Highest temperature in London on November 21, 9 to 10 °C?",
        ("Yes", "No"),
        350_000,
        "weather",
        1,
    ),
    ("Named storm landfall in Florida before December?", ("Yes", "No"), 60_000, "weather", 1),
]


def _hex(*parts: object) -> str:
    return sha256("|".join(map(str, parts)).encode()).hexdigest()


def _market(number: int, markup: str) -> Market:
    question, outcomes, _, category, ticks = SUBJECTS[number]
    question += markup
    tokens = tuple(str(int(_hex(question, outcome), 16)) for outcome in outcomes)
    return market(
        condition_id="0x" + _hex("condition", question),
        question=question,
        slug=f"market-{number}",
        event_id=str(900 + number),
        category=category,
        tokens=tokens,
        outcomes=outcomes,
        tick=1_000 if ticks == 1 else 10_000,
        closes_at=START_MS + (11 if number == 1 else 60 * number + 40) * HOUR_MS,
        tags=(category, "featured"),
    )


def _book(token: str, mid: int, tick: int, number: int) -> Book:
    """Ten levels a side around `mid`; some books are wide, some thin."""
    half = {3: 20_000, 5: 26_000}.get(number, tick if tick > 1_000 else 2_000)
    size = {4: 40, 5: 15}.get(number, 900)

    def side(sign: int) -> tuple[Level, ...]:
        prices = [mid + sign * (half + step * max(tick, 2_000)) for step in range(10)]
        kept = [price - price % tick for price in prices if tick < price < M - tick]
        return tuple(
            Level(price, (size + int(_hex(token, price)[:3], 16)) * M)
            for price in dict.fromkeys(kept)
        )

    return Book(token, side(-1), side(1), 0, 0)


class _Office(Office):
    """An office whose health knows of the queues."""

    def _health(self) -> dict[str, Any]:
        return self.system.services.read.health(FACTS, self.queues)

    queues: ClassVar[dict[str, int]] = QUEUES


class _QuietOffice(_Office):
    queues: ClassVar[dict[str, int]] = dict.fromkeys(QUEUES, 0)


class World:
    """One papercopy and the API in front of it."""

    def __init__(self, *, empty: bool = False, markup: str = "") -> None:
        """`markup` is added to every text that a stranger chooses."""
        self._markup = markup
        self.system = System(clock=ManualClock(START_MS))
        self.office = _QuietOffice(self.system) if empty else _Office(self.system)
        self.holds_tests = False
        if not empty:
            self._live()
        self._machinery(empty=empty)

    def run_tests(self) -> int:
        """Run the tests of configurations that were asked for; how many there were."""
        asked, self.office.asked = self.office.asked, []
        if not asked:
            return 0
        play = replayed_job(self.system.store, self.system.clock)
        return sum(self.office.tests.run(ref, play) for ref in asked)

    def _live(self) -> None:
        system = self.system
        self._markets = [_market(number, self._markup) for number in range(len(SUBJECTS))]
        for number, each in enumerate(self._markets):
            store_market(system.store, each)
            for token in each.tokens:
                mid = SUBJECTS[number][2]
                mid = mid if token == each.tokens[0] else M - mid
                system.venue.books[token] = _book(token, mid, each.tick, number)
        for wallet, name in LEADERS:
            self.office.post("/api/users", {"who": wallet, "name": name + self._markup})
            system.clock.advance(7_000)
        self._settings()
        for index in range(TRADES):
            self._trade(index)
            if index % 4 == 3:
                system.services.mark_portfolios()
        system.services.mark_portfolios()
        self._changes()
        self._candidate()
        system.clock.advance(2 * MINUTE_MS)
        system.services.measure()

    def _trade(self, index: int) -> None:
        """Every third trade sells part of what an earlier one bought."""
        system = self.system
        dice = int(_hex("trade", index)[:8], 16)
        sells = index % 3 == 2
        of = index - 2 if sells else index
        number = int(_hex("market", of)[:2], 16) % len(SUBJECTS)
        wallet, _ = LEADERS[int(_hex("leader", of)[:2], 16) % 3]
        chosen = self._markets[number]
        token = chosen.tokens[of % 2]
        book = system.venue.books[token]
        assert book is not None
        best = (book.best_bid if sells else book.best_ask) or SUBJECTS[number][2]
        shares = (300 + dice % 4_000) * M // (2 if sells else 1)
        # What he got was mostly a little better than what is left for us.
        better = dice % 5 * 1_500 - 1_500
        his = best + better if sells else best - better
        ts = system.clock.now_ms()
        part = leg(shares, his, ts_block=ts - 2_000, index=index, block=1_000 + index)
        side = "SELL" if sells else "BUY"
        seen = ts - 400 + dice % 900
        same: dict[str, Any] = {
            "number": index + 1,
            "side": side,
            "token": token,
            "leader": wallet,
        }
        system.services.ingest(chain([part], ts_seen=seen, **same))
        system.run_workflows()
        if dice % 9:
            shown = api([row(shares, his, ts_block=ts - 2_000)], ts_seen=ts + 3_000, **same)
            system.services.ingest(shown)
        system.clock.advance(MINUTE_MS + dice % 90 * 1_000)

    def _settings(self) -> None:
        own = f"/api/config/user/{LEADERS[1][0]}"
        self.office.post("/api/config/global", {"version": 0, "changes": {"copy_fraction": "0.02"}})
        self.system.clock.advance(95_000)
        changes = {"buy_cash_max": "120", "order_ttl_ms": 20_000}
        self.office.post(own, {"version": 0, "changes": changes})
        self.system.clock.advance(40_000)

    def _changes(self) -> None:
        listed = {"action": "add", "kind": "market", "value": self._markets[5].condition_id}
        note = "too thin to trade" + self._markup
        self.office.post("/api/market-lists", {**listed, "listing": "blacklist", "note": note})
        self.office.call("DELETE", f"/api/users/{LEADERS[2][0]}")
        self.office.call("DELETE", f"/api/users/{LEADERS[3][0]}")
        self.system.clock.advance(3 * MINUTE_MS)

    def _candidate(self) -> None:
        now = self.system.clock.now_ms()
        self.office.profiles.users = [
            Profile(WANTED, "river-mint", "Steady-Heron" + self._markup),
            Profile("0x" + "8" * 40, "river-mint-2", "Olive-Cart"),
        ]
        self.office.profiles.events = tuple(
            ActivityEvent(
                kind="TRADE",
                wallet=WANTED,
                tx_hash="0x" + _hex("candidate", index),
                timestamp=now // 1000 - index * 1_700,
                condition_id="",
                token_id=self._markets[index % 5].tokens[0],
                side="SELL" if index % 4 == 3 else "BUY",
                shares=(90 + index * 37) * M,
                cash=(40 + index * 16) * M,
                price_e10=4_400_000_000,
                fee=None,
                role=None,
            )
            for index in range(24)
        )
        self.office.profiles.takers = 15
        self.office.profiles.held = tuple(
            Holding(each.tokens[0], (800 - 90 * index) * M, SUBJECTS[index][2])
            for index, each in enumerate(self._markets)
        )

    def _machinery(self, *, empty: bool) -> None:
        now = self.system.clock.now_ms()
        if not empty:
            self._proofs_of_life(now)
        queues = self.office.queues
        facts = {**FACTS, "version": "0.1.0"}
        read = self.system.services.read
        sizes: list[dict[str, Any]] = [] if empty else SIZES
        office = replace(
            Desk.office(), system=lambda: read.system(facts, queues, sizes), start_test=self._asked
        )
        Desk.office = lambda: office

    def _asked(self, ref: str) -> None:
        self.office.asked.append(ref)
        if not self.holds_tests:
            self.run_tests()

    def _proofs_of_life(self, now: int) -> None:
        store = self.system.store
        proofs = [
            Heartbeat(
                "watcher",
                now - 1_200,
                True,
                "",
                now - 5 * HOUR_MS,
                now - 61_000,
                79_412_004,
                now - 2_000,
            ),
            Heartbeat("data_api", now - 8_000, True, ""),
            Heartbeat("books", now - 900, True, "", now - 5 * HOUR_MS, now - 400),
            Heartbeat("registry", now - 6 * MINUTE_MS, True, "48211 markets", last_block=48_211),
            Heartbeat("exchanges", now - 20 * MINUTE_MS, False, "the node did not answer"),
        ]
        for proof in proofs:
            beat(store, proof)
        gap = CatchUp(LEADERS[0][0], now - 9 * MINUTE_MS, now - 4 * MINUTE_MS, "reconnect")
        wrong = ("cash differs by 0.000001",)
        store.commit([Put(gap)])
        store.commit([Put(LedgerCheck("main/global", 1, now - 50_000, 210, 90))])
        shadow = f"shadow/{LEADERS[2][0]}"
        store.commit([Put(LedgerCheck(shadow, 1, now - 70_000, 41, 12, wrong))])
