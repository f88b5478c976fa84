"""Canned portfolios for the fixture server: curves, positions, exposure, performance of leaders.

Figures are drawn from a random walk with a fixed seed and belong together: what is at risk is the
sum of the positions, a curve ends at the present equity.
"""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from dataclasses import dataclass
from typing import Any

from chalicelib.domain.histogram import SLIPPAGE_BOUNDS
from chalicelib.domain.lag import BOUNDS_MS
from chalicelib.domain.reasons import EXPLANATIONS, Reason

Json = dict[str, Any]

MICROS = 1_000_000
START = 10_000 * MICROS
MINUTE_MS = 60_000
DAY_MS = 86_400_000
GRAINS = {
    "1h": ("1m", MINUTE_MS, 60),
    "1d": ("5m", 5 * MINUTE_MS, 288),
    "7d": ("1h", 3_600_000, 168),
    "30d": ("1h", 3_600_000, 720),
    "all": ("1d", DAY_MS, 46),
}
CATEGORIES = ("Politics", "Sports", "Crypto", "Weather")
SKIPS = (
    (Reason.SPREAD_TOO_WIDE, 214),
    (Reason.WORSE_THAN_LEADER, 131),
    (Reason.NO_POSITION, 96),
    (Reason.LEADER_TRADE_TOO_SMALL, 61),
    (Reason.DEPTH_TOO_THIN, 22),
    (Reason.MARKET_CLOSES_SOON, 9),
)
STAGES = {
    "chain": 2_000,
    "api": 6_300,
    "first_seen": 2_000,
    "decided": 4_000,
    "placed": 5_000,
    "first_fill": 5_000,
    "done": 8_000,
}


def _digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


@dataclass(frozen=True)
class Desk:
    """`leaders` are (address, name, state), `markets` (question, outcomes, price)."""

    now: int
    leaders: list[tuple[str, str, str]]
    markets: list[tuple[str, tuple[str, ...], int]]

    def positions(self, portfolio: str, rows: int, scale: int = 1) -> list[Json]:
        """Open positions, largest first; the same for the same portfolio."""
        rng = random.Random(f"positions {portfolio}")
        found = []
        seen = set()
        for index in range(rows):
            question, outcomes, base = rng.choice(self.markets)
            outcome = rng.randrange(2)
            leader, name, _ = self.leaders[rng.choice([0, 0, 0, 1, 1, 2])]
            if (question, outcome, leader) in seen:
                continue
            seen.add((question, outcome, leader))
            mark = base if outcome == 0 else MICROS - base
            average = max(1_000, mark + rng.randrange(-60, 61) * 1_000)
            shares = int(10 ** rng.uniform(1.3, 2.5) * 100) * 10_000 * scale
            found.append(
                {
                    "portfolio_id": portfolio,
                    "leader": leader,
                    "leader_name": name,
                    "condition_id": "0x" + _digest("condition", question),
                    "token_id": str(int(_digest(question, outcome), 16)),
                    "outcome": outcomes[outcome],
                    "question": question,
                    "slug": "market-" + _digest(question)[:8],
                    "life_cycle": "closing_soon" if index == 3 else "open",
                    "shares_micros": shares,
                    "cost_micros": shares * average // MICROS,
                    "average_micros": average,
                    "mark_micros": mark,
                    "value_micros": shares * mark // MICROS,
                    "unrealized_micros": shares * mark // MICROS - shares * average // MICROS,
                    "realized_micros": rng.choice([0, 0, 3_410_000, -1_220_000]),
                    "exit_debt_micros": 4_000_000 if index == 2 else 0,
                    "reserved_micros": 0,
                    "ts_last": self.now - rng.randrange(40_000, 9_000_000),
                }
            )
        return sorted(found, key=lambda row: -row["value_micros"])

    def points(self, portfolio: str, span: str, gain: int, value: int, fees: int) -> list[Json]:
        """A walk that ends at `gain` over the starting cash with `value` in positions."""
        grain, step, count = GRAINS[span]
        rng = random.Random(f"curve {portfolio} {grain} {span}")
        shadow = portfolio.startswith("shadow/")
        swing = max(abs(gain), 20 * MICROS) / count**0.5
        walk = [0.0]
        for _ in range(count - 1):
            walk.append(walk[-1] + rng.gauss(swing / 9, swing))
        tilt = (gain - walk[-1]) / max(1, count - 1)
        height, rows = -(10**18), []
        for index, raw in enumerate(walk):
            earned = round(raw + tilt * index)
            height = max(height, earned)
            part = 0.35 + 0.65 * index / count + rng.uniform(-0.04, 0.04)
            held = value if index == count - 1 else round(value * part)
            equity = earned + (3 * value if shadow else START)
            rows.append(
                {
                    "ts": (self.now - (count - 1 - index) * step) // step * step,
                    "equity_micros": equity,
                    "cash_micros": equity - held,
                    "exposure_micros": held,
                    "realized_micros": round(earned * 0.8),
                    "unrealized_micros": earned - round(earned * 0.8),
                    "fees_micros": fees * index // count,
                    "gain_micros": earned,
                    "drawdown_micros": height - earned,
                    "open_positions": 5 + index * 18 // count,
                }
            )
        return rows

    def series(self, portfolio: str, span: str) -> Json | None:
        if span not in GRAINS:
            return None
        shadow = portfolio.startswith("shadow/")
        gain = 5_922_613_430 if shadow else 75_585_400
        value = 66_204_118_900 if shadow else self.held("main/global")
        return {
            "now": self.now,
            "portfolio_id": portfolio,
            "epoch": 1,
            "span": span,
            "grain": GRAINS[span][0],
            "points": self.points(portfolio, span, gain, value, 7_665_000),
        }

    def held(self, portfolio: str) -> int:
        return sum(row["value_micros"] for row in self.positions(portfolio, 34))

    def measures(self, gain: int, today: int, week: int, held: int, fall: int = 31_204_000) -> Json:
        return {
            "today_micros": today,
            "week_micros": week,
            "gain_micros": gain,
            "drawdown_micros": fall,
            "drawdown_fraction_micros": fall * MICROS // (START + gain + fall),
            "exposure_micros": held,
            "closings": 184,
            "wins": 103,
            "win_rate_micros": 559_783,
        }

    def pnl(self) -> Json:
        rows = [self._pnl_row("main/global", None, 75_585_400, 18_204_100, 61_330_000)]
        for index, (gain, today, week) in enumerate(
            ((59_020_330, 12_410_000, 44_981_000), (-10_748_300, -3_120_000, -8_004_000), (0, 0, 0))
        ):
            leader = self.leaders[index]
            rows.append(self._pnl_row(f"main/leader/{leader[0]}", leader, gain, today, week))
        return {
            "now": self.now,
            "portfolios": rows,
            "portfolio_id": "main/global",
            "days": [
                {
                    "day": f"2026-11-{20 - back:02d}",
                    "gain_micros": 18_204_100 - back * 4_100_000,
                    "equity_micros": START + 75_585_400 - back * 9_000_000,
                    "fees_micros": 7_665_000 - back * 200_000,
                    "realized_micros": 96_120_500 - back * 5_000_000,
                }
                for back in range(14)
            ],
        }

    def _pnl_row(
        self, portfolio: str, leader: tuple[str, str, str] | None, gain: int, today: int, week: int
    ) -> Json:
        return {
            "portfolio_id": portfolio,
            "kind": "leader" if leader else "global",
            "leader": leader[0] if leader else None,
            "leader_name": leader[1] if leader else None,
            "equity_micros": START + gain,
            "realized_micros": gain,
            "unrealized_micros": 0,
            "fees_micros": 1_400_000,
            **self.measures(gain, today, week, self.held("main/global")),
            **(_wins(leader[1]) if leader else {}),
        }

    def global_portfolio(self, paused: bool = False, breakers: bool = False) -> Json:
        rows = self.positions("main/global", 34)
        held = sum(row["value_micros"] for row in rows)
        resting = 42_500_000
        cash = START + 75_585_400 - held
        leaders = [
            {
                "leader": address,
                "leader_name": name,
                "value_micros": sum(r["value_micros"] for r in rows if r["leader"] == address),
                "gain_before_fees_micros": gain,
                "rates": self.rates(),
                "tracking": self.tracking(),
            }
            for (address, name, _), gain in zip(
                self.leaders, (71_204_330, 10_046_000, 0), strict=True
            )
        ]
        return {
            "now": self.now,
            "portfolio_id": "main/global",
            "kind": "global",
            "leader": None,
            "epoch": 2,
            "starting_cash_micros": START,
            "cash_micros": cash,
            "reserved_micros": resting,
            "snapshot": self.points("main/global", "1h", 75_585_400, held, 7_665_000)[-1],
            "marked_at": self.now - 12_000,
            **self.measures(75_585_400, 18_204_100, 61_330_000, held + resting),
            "leaders": leaders,
            "equity_micros": START + 75_585_400,
            "positions_value_micros": held,
            "prices_at": self.now - 12_000,
            "paused": paused,
            "paused_since": self.now - 720_000 if paused else None,
            "breakers": _breakers() if breakers else [],
            "positions": rows,
            "positions_more": False,
            "exposure": self._exposure(rows, resting),
            "limits": self._limits(rows, resting, breakers),
        }

    def _exposure(self, rows: list[Json], resting: int) -> Json:
        questions = [question for question, _, _ in self.markets]

        def category(row: Json) -> str:
            return CATEGORIES[questions.index(row["question"]) % len(CATEGORIES)]

        def parts(name_of: Any, title_of: Any) -> list[Json]:
            sums: Counter[str] = Counter()
            titles = {}
            for row in rows:
                sums[name_of(row)] += row["value_micros"]
                titles[name_of(row)] = title_of(row)
            return [
                {"name": name, "title": titles[name], "cash_micros": cash}
                for name, cash in sums.most_common()
            ]

        return {
            "total_micros": sum(row["value_micros"] for row in rows) + resting,
            "markets": parts(lambda r: r["condition_id"], lambda r: r["question"]),
            "events": parts(lambda r: r["slug"], lambda r: ""),
            "categories": parts(category, lambda r: ""),
            "leaders": parts(lambda r: r["leader"], lambda r: r["leader_name"]),
        }

    def _limits(self, rows: list[Json], resting: int, reached: bool) -> list[Json]:
        equity = START + 75_585_400
        by_market: Counter[str] = Counter()
        by_leader: Counter[str] = Counter()
        for row in rows:
            by_market[row["condition_id"]] += row["value_micros"]
            by_leader[row["leader"]] += row["value_micros"]
        held = sum(by_market.values()) + resting
        cash = (
            ("exposure", held, 70),
            ("market", max(by_market.values()), 5),
            ("event", max(by_market.values()), 10),
            ("category", max(by_market.values()) * 2, 25),
            ("leader", max(by_leader.values()), 20),
            ("daily_loss", equity * 3 // 100 + 1 if reached else 0, 3),
            ("weekly_loss", 0, 8),
            ("drawdown", equity * 12 // 100 if reached else 31_204_000, 12),
        )
        found: list[Json] = [
            {"limit": name, "used_micros": used, "max_micros": equity * part // 100}
            for name, used, part in cash
        ]
        found.insert(5, {"limit": "open_positions", "used": len(rows), "max": 100})
        found.insert(6, {"limit": "daily_cash", "used_micros": 812_400_000, "max_micros": None})
        found.insert(7, {"limit": "hourly_fills", "used": 49, "max": 60})
        return found

    def standings(self, paused: bool) -> list[Json]:
        names: list[tuple[str, str, str | None]] = [("main/global", "global", None)]
        names += [(f"main/leader/{address}", "leader", address) for address, _, _ in self.leaders]
        return [
            {
                "portfolio_id": portfolio,
                "kind": kind,
                "leader": leader,
                "paused": paused,
                "paused_since": self.now if paused else None,
                "breakers": [],
            }
            for portfolio, kind, leader in names
        ]

    def rates(self) -> Json:
        return {
            "attempts": 1_412,
            "skipped": 533,
            "executed": 879,
            "filled": 731,
            "partial": 88,
            "no_fill": 57,
            "failed": 3,
            "attempt_rate_micros": 622_521,
            "fill_rate_micros": 831_627,
            "partial_rate_micros": 100_114,
        }

    def tracking(self) -> Json:
        return {
            "return_micros": 12_410,
            "shadow_return_micros": 21_830,
            "gap_micros": -9_420,
            "paid_beyond_his_micros": 31_870_000,
            "bought_micros": 6_118_400_000,
            "sold_micros": 4_902_100_000,
            "fees_micros": 6_266_000,
        }

    def user(self, row: Json, shadow: Json | None, copy: Json | None) -> Json:
        """`row` is the leader's row of the overview, with his two portfolios."""
        leader = row["leader"]
        return {
            "now": self.now,
            **row,
            "copying": True,
            "settings_refused": None,
            "shadow": shadow,
            "copy": copy,
            "buys_from": row["followed_from"],
            "holdings_as_of": row["followed_from"],
            "followed_wallets": [
                {
                    "wallet": wallet,
                    "followed_from": row["followed_from"],
                    "holdings_as_of": row["followed_from"],
                    "polled_until": self.now - 4_000,
                    "refused_since": None,
                }
                for wallet in row["wallets"]
            ],
            "marked_at": self.now - 12_000,
            "positions": {
                "shadow": {"items": self._of(leader, f"shadow/{leader}", 40, 30), "more": True},
                "copy": {"items": self._of(leader, f"main/leader/{leader}", 30, 1), "more": False},
            },
        }

    def _of(self, leader: str, portfolio: str, rows: int, scale: int) -> list[Json]:
        return [r for r in self.positions(portfolio, rows, scale) if r["leader"] == leader]

    def performance(self, leader: str, name: str, span: str, quiet: bool) -> Json:
        """`quiet` is somebody of whom nothing was measured yet."""
        portfolios = (f"main/leader/{leader}", "main/global")
        return {
            "now": self.now,
            "leader": leader,
            "leader_name": name,
            "span": span,
            "shadow": {
                "portfolio_id": f"shadow/{leader}",
                **self.measures(5_922_613_430, 804_000_000, 3_120_400_000, 66_204_118_900),
            },
            "portfolios": [self._copied(portfolio, quiet) for portfolio in portfolios],
            "delays": self._delays(quiet),
        }

    def _copied(self, portfolio: str, quiet: bool) -> Json:
        rng = random.Random(f"slippage {portfolio}")
        none: Json = dict.fromkeys(self.rates(), 0)
        none |= {name: None for name in none if name.endswith("_micros")}
        skips = [] if quiet else SKIPS
        return {
            "portfolio_id": portfolio,
            "epoch": 1,
            "rates": none if quiet else self.rates(),
            "skips": [
                {"code": code.value, "text": EXPLANATIONS[code], "count": count}
                for code, count in skips
            ],
            "slippage": {
                "bounds_micros": list(SLIPPAGE_BOUNDS),
                **{kind: _slippages(rng, quiet) for kind in ("leader", "mid", "arrival")},
            },
            "tracking": None if quiet else self.tracking(),
            "decay": [] if quiet else _decay(),
        }

    def _delays(self, quiet: bool) -> Json:
        rng = random.Random("delays")
        stages = []
        for stage, median in STAGES.items():
            counts = [0] * (len(BOUNDS_MS) + 1)
            for _ in range(0 if quiet else 420):
                lag = rng.lognormvariate(0, 0.45) * median
                counts[next(i for i, bound in enumerate(BOUNDS_MS) if lag <= bound)] += 1
            figures = {"p50_ms": median, "p95_ms": median * 2, "p99_ms": median * 4}
            stages.append(
                {
                    "stage": stage,
                    "count": sum(counts),
                    **(dict.fromkeys(figures) if quiet else figures),
                    "counts": counts,
                }
            )
        return {"hours": 24, "bounds_ms": list(BOUNDS_MS), "stages": stages}

    def skip_ledger(self, portfolio: str, leader: str | None) -> Json:
        total = [
            {
                "reason": code.value,
                "text": EXPLANATIONS[code],
                "alone": False,
                "horizon": horizon,
                "signals": count,
                "unfilled": count // 7,
                "unvalued": 0,
                "notional_micros": count * 40_000_000,
                "gain_micros": gain * (2 if horizon == "24h" else 1),
                "won": count // 2,
                "estimated": count // 11,
            }
            for (code, count), gain in zip(
                SKIPS, (-21_400_000, 8_730_000, 0, 2_040_000, -3_300_000, 0), strict=True
            )
            for horizon in ("1h", "24h")
            if gain
        ]
        return {
            "now": self.now,
            "portfolio_id": portfolio,
            "epoch": 1,
            "leader": leader,
            "unjudged": 17,
            "unjudged_reasons": [
                {"code": code.value, "text": EXPLANATIONS[code], "count": 17}
                for code in (Reason.LEADER_TRADE_TOO_SMALL,)
            ],
            "total": total,
            "leaders": [],
        }


def _wins(name: str) -> Json:
    rng = random.Random(f"wins {name}")
    closings = rng.randrange(20, 90)
    wins = rng.randrange(closings // 3, closings)
    return {
        "closings": closings,
        "wins": wins,
        "win_rate_micros": (2 * wins * MICROS + closings) // (2 * closings),
    }


def _breakers() -> list[Json]:
    codes = (Reason.BREAKER_DAILY_LOSS, Reason.BREAKER_DRAWDOWN)
    return [{"code": code.value, "text": EXPLANATIONS[code]} for code in codes]


def _slippages(rng: random.Random, quiet: bool) -> Json:
    counts = [0] * (len(SLIPPAGE_BOUNDS) + 1)
    for _ in range(0 if quiet else 819):
        cost = rng.gauss(2_600, 5_200)
        counts[sum(1 for bound in SLIPPAGE_BOUNDS if cost > bound)] += 1
    figures = {"p50_micros": 2_500, "p95_micros": 10_000, "p99_micros": 20_000}
    return {
        "counts": counts,
        "count": sum(counts),
        **(dict.fromkeys(figures) if quiet else figures),
    }


def _decay() -> list[Json]:
    latencies = (0, 500, 1_000, 2_000, 5_000, 15_000)
    return [
        {
            "latency_ms": latency,
            "count": 214,
            "target_shares_micros": 9_000 * MICROS,
            "undelayed_micros": 2_100,
            "depths": [
                {
                    "depth_percent": depth,
                    "shares_micros": (9_000 - index * 420 - (100 - depth) * 12) * MICROS,
                    "beyond_leader_micros": 2_100 + index * 900 + (100 - depth) * 22,
                }
                for depth in (100, 50, 25)
            ],
        }
        for index, latency in enumerate(latencies)
    ]
