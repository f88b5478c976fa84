"""Serves the dashboard with canned answers, to test it and to look at it without an engine.

    python -m tests.browser.fixture_server [--port 8899] [--state normal]

prints its address. `POST /fixture?state=<state>` switches what the API answers: `normal`, `grown`
(one more fill and attempt), `empty`, `error` (503 problem documents), `stalled` (no answer until
the state changes), `degraded`, `overridden` (the environment overrides the stored mode),
`paused`, `breakers` (the drawdown's and the day's breaker are open), `partial` (routes beyond the
overview are not offered: 404), `quiet` (followed, and nothing measured yet), `refusing` (writes
fail), `hostile` (markup in every string a stranger controls), `gallery` (one attempt of every
kind), `signed-out` (401 until the token `good-token` is redeemed), `signed-out-deployed` (the same
where providers sign in).
`GET /fixture` tells how many requests were made and how many were answered 304,
`GET /fixture/cases` the names of the gallery's attempts.
The canned clock stands still, so that a screenshot can be taken again.
"""

import argparse
import hashlib
import json
import random
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

from chalicelib.domain.errors import InvalidInput
from chalicelib.services.read_models.live import Live
from tests.browser.fixture_attempts import Gallery
from tests.browser.fixture_desk import Desk

Json = dict[str, Any]

DASHBOARD = Path(__file__).resolve().parents[2] / "dashboard"
STATES = (
    "normal",
    "grown",
    "empty",
    "error",
    "stalled",
    "degraded",
    "overridden",
    "paused",
    "breakers",
    "partial",
    "quiet",
    "refusing",
    "hostile",
    "gallery",
    "signed-out",
    "signed-out-deployed",
)
NOW_MS = int(datetime(2026, 11, 20, 10, 16, 3, 250_000, tzinfo=UTC).timestamp() * 1_000)
STALL_S_MAX = 30
TRADES = 130
MICROS = 1_000_000
MARKUP = '<img src=x onerror="window.pwned=1"><b>bold</b>'

SOCKET_DOWN = (
    "The chain socket is down; fills are detected by the Data API only, some seconds later."
)

INCOMPLETE = "2 of the venue's trades are missing here"
OVERRIDE = "The environment overrides the stored setting: mode api is in force, both is stored."

GLOBAL = "main/global"
LEADERS = [
    ("0x" + hashlib.sha256(name.encode()).hexdigest()[:40], name, state)
    for name, state in [("Kestrel", "on"), ("quiet-otter", "on"), ("Mme. Lefèvre", "sell_only")]
]
MARKETS = [
    ("Will the Fed cut rates in December 2026?", ("Yes", "No"), 410_000),
    ("Arsenal vs. Brentford: who wins?", ("Arsenal", "Brentford"), 655_000),
    ("Bitcoin above $120,000 on November 30?", ("Yes", "No"), 287_000),
    ("Will a named storm make landfall in Florida before December?", ("Yes", "No"), 63_000),
    ("Highest temperature in London on November 21 between 9 and 10 °C?", ("Yes", "No"), 348_000),
    (
        "Will the coalition agreement be signed by all three parties before the end of the year, "
        "as determined by the official gazette?",
        ("Yes", "No"),
        522_000,
    ),
]
REASONS = {
    "SPREAD_TOO_WIDE": "The spread of 0.034 is above the 0.020 allowed for a buy.",
    "CATCH_UP_TOO_OLD": "The leader's fill is 6 min old; a catch-up buy may be at most 5 min old.",
    "NO_POSITION": "We hold nothing of this leader in this market, so there is nothing to sell.",
    "RISK_CAP_MARKET": "The buy would put more than 5 % of equity into one market.",
    "NO_LIQUIDITY_WITHIN_BOUNDS": "Nothing was offered within the limit before the order expired.",
}

# How often each occurs, in percent, and what the newest rows are whatever the dice say.
TRADE_STATES = {"confirmed": 80, "chain_only": 8, "api_only": 8, "disagreeing": 2, "retracted": 2}
FIXED_TRADE_STATES = {
    -1: "chain_only",
    0: "chain_only",
    2: "api_only",
    5: "disagreeing",
    8: "retracted",
}
ATTEMPT_STATUSES = {"SKIPPED": 34, "FILLED": 44, "PARTIAL": 10, "CANCELLED": 6, "NO_FILL": 6}
FIXED_ATTEMPT_STATUSES = {
    -1: "SUBMITTED",
    0: "SUBMITTED",
    1: "FILLED",
    2: "SKIPPED",
    3: "PARTIAL",
    4: "NO_FILL",
}
HISTORY = {
    "code": "SKIP_BACKFILL",
    "text": "The fill is history recovered later; history never trades.",
}
SHARED_KEYS = (
    "leader",
    "leader_name",
    "token_id",
    "outcome",
    "question",
    "slug",
    "life_cycle",
    "side",
)
LIFE_CYCLES = {2: "closing_soon", 3: "closed"}
"""By market; the others are open."""
STRANGERS_KEYS = {
    "name",
    "leader_name",
    "question",
    "outcome",
    "slug",
    "text",
    "tx_hash",
    "detail",
    "reasons",
    "warnings",
}


def digest(*parts: object) -> str:
    return hashlib.sha256("|".join(map(str, parts)).encode()).hexdigest()


def trade(index: int) -> Json:
    """The fill `index` steps before the newest one; -1 is the one that arrives in `grown`."""
    rng = random.Random(f"trade {index}")
    leader, name, _ = LEADERS[rng.choice([0, 0, 0, 1, 1, 2])]
    question, outcomes, base = rng.choice(MARKETS)
    outcome = rng.randrange(2)
    price = (base if outcome == 0 else MICROS - base) + rng.randrange(-12, 13) * 1_000
    shares = int(10 ** rng.uniform(0.8, 3.9) * 100) * 10_000
    ts_block = NOW_MS - 9_250 - index * 47_000 - rng.randrange(20) * 1_000
    chain_lag, api_lag = rng.randrange(1_300, 3_400), rng.randrange(3_900, 11_000)
    [state] = rng.choices(list(TRADE_STATES), list(TRADE_STATES.values()))
    state = FIXED_TRADE_STATES.get(index, state)
    chain = None if state == "api_only" else ts_block + chain_lag
    api = None if state in ("chain_only", "retracted") else ts_block + api_lag
    token = str(int(digest(question, outcome), 16))
    return {
        "trade_id": digest("trade", index),
        "leader": leader,
        "leader_name": name,
        "wallet": leader,
        "tx_hash": "0x" + digest("tx", index),
        "token_id": token,
        "side": rng.choice(["BUY", "BUY", "SELL"]),
        "outcome": outcomes[outcome],
        "question": question,
        "slug": "market-" + digest(question)[:8],
        "life_cycle": LIFE_CYCLES.get([m[0] for m in MARKETS].index(question), "open"),
        "shares_micros": shares,
        "cash_micros": shares * price // MICROS,
        "fee_micros": 0,
        "price_micros": price,
        "role": None if state == "api_only" else rng.choice(["maker", "taker", "taker"]),
        "block_number": 79_412_000 - index * 21,
        "block_hash": "0x" + digest("block", index),
        "log_index": 7,
        "order_hash": "0x" + digest("order", index),
        "ts_block": ts_block,
        "ts_seen_chain": chain,
        "ts_seen_api": api,
        "first_source": "api" if chain is None else "chain",
        "state": state,
        "backfill": index in (9, 10),
        "not_copied": HISTORY if index in (9, 10) else None,
    }


@cache
def gallery() -> Gallery:
    return Gallery(NOW_MS, LEADERS, [question for question, _, _ in MARKETS])


STAND_INS = {
    "FILLED": "filled",
    "PARTIAL": "resting partly filled",
    "SUBMITTED": "resting unfilled",
    "CANCELLED": "expired in part",
    "NO_FILL": "expired unfilled",
    "SKIPPED": "spread too wide",
}


def stand_in(status: str) -> str:
    """The attempt in full that is shown for a canned row."""
    return gallery().refs[STAND_INS[status]]


def attempts_of(index: int) -> list[Json]:
    """What the global portfolio and the leader's own one did with that fill."""
    fill = trade(index)
    return [
        attempt(index, fill, "global", GLOBAL),
        attempt(index, fill, "leader", f"main/leader/{fill['leader']}"),
    ]


def attempt(index: int, fill: Json, kind: str, portfolio: str) -> Json:
    rng = random.Random(f"attempt {index} {kind}")
    [status] = rng.choices(list(ATTEMPT_STATUSES), list(ATTEMPT_STATUSES.values()))
    status = FIXED_ATTEMPT_STATUSES.get(index, status)
    executed = status != "SKIPPED"
    buy = fill["side"] == "BUY"
    price = fill["price_micros"]
    target = max(5 * MICROS * MICROS // price, fill["shares_micros"] // 100) // 10_000 * 10_000
    share = {"FILLED": 100, "PARTIAL": 62, "CANCELLED": 18}.get(status, 0)
    filled = target * share // 100 // 10_000 * 10_000
    slippage = rng.choice([-2_000, 0, 1_300, 3_000, 4_000, 6_250])
    vwap = (price + slippage if buy else price - slippage) if filled else None
    codes = [] if executed else [rng.choice(["SPREAD_TOO_WIDE", "CATCH_UP_TOO_OLD"])]
    if codes and not buy:
        codes = ["NO_POSITION"]
    elif codes and kind == "global":
        codes = ["SPREAD_TOO_WIDE", "RISK_CAP_MARKET"]
    if status == "NO_FILL":
        codes = ["NO_LIQUIDITY_WITHIN_BOUNDS"]
    opened = (fill["ts_seen_chain"] or fill["ts_seen_api"]) + 40
    placed = opened + 2_750 + rng.randrange(251)
    cost = None if vwap is None else vwap - price if buy else price - vwap
    return {
        "attempt_id": digest("attempt", index, kind),
        "ref": stand_in(status),
        "group_id": digest("group", index),
        "portfolio_id": portfolio,
        "portfolio_kind": kind,
        **{key: fill[key] for key in SHARED_KEYS},
        "decision": "EXECUTE" if executed else "SKIP",
        "status": "SKIPPED" if status == "NO_FILL" else status,
        "reasons": [{"code": code, "text": REASONS[code]} for code in codes],
        "target_shares_micros": target if executed else None,
        "limit_micros": price + (10_000 if buy else -50_000) if executed else None,
        "filled_shares_micros": filled,
        "vwap_micros": vwap,
        "cash_micros": filled * vwap // MICROS if vwap else 0,
        "fee_micros": filled * vwap // MICROS // 90 if vwap else 0,
        "leader_price_micros": price,
        "leader_shares_micros": fill["shares_micros"],
        "best_micros": price + 1_000,
        "mid_micros": price,
        "spread_micros": 2_000,
        "slippage_leader_micros": cost,
        "slippage_mid_micros": cost,
        "slippage_arrival_micros": None if cost is None else 0,
        "ts_block": fill["ts_block"],
        "ts_opened": opened,
        "ts_decided": opened + 2_000,
        "ts_placed": placed if executed else None,
        "ts_first_fill": placed if filled else None,
        "ts_done": placed + 200 if executed and status != "SUBMITTED" else None,
        "ts_expiry": placed + 30_000 if executed else None,
        "known_until": placed + 200 if status == "SUBMITTED" else None,
        "book_source": ("rest" if fill["ts_seen_chain"] is None else "tape") if executed else None,
        "late_by_ms": 310,
    }


def portfolio(
    kind: str,
    leader: int | None,
    start: int,
    cash: int,
    held: int,
    realized: int,
    unrealized: int,
    fees: int,
    positions: int,
) -> Json:
    address, name = LEADERS[leader][:2] if leader is not None else (None, None)
    names = {"global": GLOBAL, "leader": f"main/leader/{address}", "shadow": f"shadow/{address}"}
    return {
        "portfolio_id": names[kind],
        "kind": kind,
        "leader": address,
        "leader_name": name,
        "epoch": 2 if kind == "global" else 1,
        "starting_cash_micros": start,
        "cash_micros": cash,
        "reserved_micros": 42_500_000 if kind == "global" else 0,
        "positions_value_micros": held,
        "equity_micros": cash + held,
        "realized_micros": realized,
        "unrealized_micros": unrealized,
        "fees_micros": fees,
        "open_positions": positions,
        "marked_at": NOW_MS - 12_000,
    }


HOUR_MS = 3_600_000
HOURS = 24
FIRST_HOUR_MS = NOW_MS // HOUR_MS * HOUR_MS - (HOURS - 1) * HOUR_MS


def hour(leader: int, index: int, broken: bool) -> Json:
    """A leader's tally of the hour `index` after the first one shown."""
    address, name, _ = LEADERS[leader]
    rng = random.Random(f"hour {leader} {index}")
    busy = leader == 0 or rng.random() < 0.6
    live = rng.randrange(20, 90) // (1 + 3 * leader) if busy else 0
    recovered = rng.choice([0, 0, 0, 0, 3]) if busy else 0
    start = FIRST_HOUR_MS + index * HOUR_MS
    missed = 2 if broken and (leader, index) == (0, HOURS - 1) else 0
    api_first = recovered + live // 12
    return {
        "leader": address,
        "leader_name": name,
        "ts_hour": start,
        "ts_from": start,
        "ts_until": min(start + HOUR_MS, NOW_MS - 130_000),
        "final": index < HOURS - 1,
        "live": live,
        "recovered": recovered,
        "missed": missed,
        "duplicated": 0,
        "unconfirmed": 1 if (leader, index) == (1, HOURS - 1) else 0,
        "disagreeing": 0,
        "chain_first": live + recovered - api_first,
        "api_first": api_first,
    }


def hours(broken: bool) -> list[Json]:
    """Newest hour first; the third leader was followed six hours ago."""
    return [
        hour(leader, index, broken)
        for index in reversed(range(HOURS))
        for leader in range(len(LEADERS))
        if leader < 2 or index >= HOURS - 6
    ]


def day_of(leader: str, broken: bool) -> Json:
    """The sums of a leader's hours."""
    found = [row for row in hours(broken) if row["leader"] == leader]
    names = [name for name, value in found[0].items() if type(value) is int and name[:3] != "ts_"]
    sums: Json = {name: sum(row[name] for row in found) for name in names}
    return {**sums, "ts_until": max(row["ts_until"] for row in found)}


STAGES: dict[str, tuple[int, int, int]] = {
    "chain": (2_000, 3_150, 5_000),
    "api": (6_300, 12_500, 25_000),
    "first_seen": (2_000, 3_150, 8_000),
    "decided": (4_000, 6_300, 12_500),
    "placed": (5_000, 6_300, 12_500),
    "first_fill": (5_000, 6_300, 12_500),
    "done": (5_000, 8_000, 16_000),
}


def distribution(rows: list[Json], seen: bool = True) -> Json:
    return {
        "chain_first": sum(row["chain_first"] for row in rows),
        "api_first": sum(row["api_first"] for row in rows),
        "stages": [
            {
                "stage": stage,
                "count": 400 if seen else 0,
                **dict(
                    zip(("p50_ms", "p95_ms", "p99_ms"), lags if seen else [None] * 3, strict=True)
                ),
            }
            for stage, lags in STAGES.items()
        ],
    }


def latency(empty: bool) -> Json:
    leaders = [] if empty else LEADERS
    rows = [] if empty else hours(False)
    return {
        "now": NOW_MS,
        "hours": HOURS,
        "overall": distribution(rows, not empty),
        "leaders": [
            {
                "leader": address,
                "leader_name": name,
                **distribution([r for r in rows if r["leader"] == address], name != LEADERS[2][1]),
            }
            for address, name, _ in leaders
        ],
    }


def last_trade_at(leader: str, newest: int) -> int:
    fills = map(trade, range(newest, TRADES))
    return max(int(fill["ts_block"]) for fill in fills if fill["leader"] == leader)


def overview(extra: int, broken: bool = False) -> Json:
    start = 10_000 * MICROS
    return {
        "now": NOW_MS,
        "leaders": [
            {
                "leader": address,
                "name": name,
                "wallets": [address] + ["0x" + "ab" * 20] * (name == "Kestrel"),
                "state": state,
                "followed_from": FIRST_HOUR_MS,
                "positions_agreed_at": None if state == "sell_only" else NOW_MS - 190_000,
                "positions_checked_at": NOW_MS - 190_000,
                "positions_differing": 2 if state == "sell_only" else 0,
                "completeness": day_of(address, broken),
                "trades": trades + (extra if name == "Kestrel" else 0),
                "last_trade_at": last_trade_at(address, -extra),
            }
            for (address, name, state), trades in zip(LEADERS, (1_412, 236, 58), strict=True)
        ],
        "portfolios": [
            global_row(),
            portfolio(
                "leader",
                0,
                start,
                8_702_118_000,
                1_356_902_330,
                71_406_330,
                -6_120_000,
                6_266_000,
                17,
            ),
            portfolio(
                "shadow", 0, 0, -41_870_552_310, 66_204_118_900, 5_118_402_770, 804_210_660, 0, 44
            ),
            portfolio(
                "leader", 1, start, 9_561_040_000, 428_211_700, -4_338_300, -5_010_000, 1_400_000, 6
            ),
            portfolio("shadow", 1, 0, 2_310_400_000, 1_402_877_000, -210_660_000, 61_004_000, 0, 9),
            portfolio("leader", 2, start, 10_000_000_000, 0, 0, 0, 0, 0),
            portfolio("shadow", 2, 0, 118_000_000, 0, 118_000_000, 0, 0, 0),
        ],
        "counts": {
            "trades": 1_706 + extra,
            "attempts": 3_204 + 2 * extra,
            "executed": 1_981 + 2 * extra,
            "skipped": 1_223,
            "filled": 1_640,
            "partial": 212,
            "no_fill": 129,
        },
    }


def global_row() -> Json:
    """The global portfolio as its own page has it."""
    now = desk().global_portfolio()
    held = now["positions_value_micros"]
    unrealized = sum(row["unrealized_micros"] for row in now["positions"])
    gain = now["gain_micros"]
    return portfolio(
        "global",
        None,
        now["starting_cash_micros"],
        now["cash_micros"],
        held,
        gain - unrealized + 7_665_000,
        unrealized,
        7_665_000,
        len(now["positions"]),
    )


def health(status: str = "ok", overridden: bool = False) -> Json:
    broken = status != "ok"
    return {
        "status": status,
        "engine": "embedded",
        "stage": "local",
        "version": "0.1.0",
        "now": NOW_MS,
        "venue": "simulated",
        "mode": {"effective": "api", "source": "environment", "stored": "both"}
        if overridden
        else {"effective": "both", "source": "default", "stored": None},
        "blocking": [],
        "chain": {
            "state": "down" if broken else "up",
            "last_block": 79_412_004,
            "last_block_at": NOW_MS - (94_000 if broken else 1_250),
            "last_log_at": NOW_MS - 7_000,
            "connected_at": NOW_MS - 7_200_000,
            "detail": "connection refused" if broken else "",
        },
        "api": {"state": "up", "last_poll_at": NOW_MS - 4_100, "detail": ""},
        "registry": {"markets": 48_211, "synced_at": NOW_MS - 420_000},
        "queues": {
            "fills": 3 if broken else 0,
            "dead": 2 if broken else 0,
            "failures": 5 if broken else 0,
        },
        "completeness": {
            "state": "degraded" if broken else "ok",
            "measured_at": NOW_MS - 12_000,
            "detail": INCOMPLETE if broken else "",
        },
        "reasons": [SOCKET_DOWN, f"Completeness: {INCOMPLETE}."] if broken else [],
        "warnings": [OVERRIDE] if overridden else [],
    }


COUNTS = ("trades", "attempts", "executed", "skipped", "filled", "partial", "no_fill")
EMPTY_OVERVIEW: Json = {
    "now": NOW_MS,
    "leaders": [],
    "portfolios": [],
    "counts": dict.fromkeys(COUNTS, 0),
}


def page(items: list[Json], query: dict[str, str]) -> Json:
    first = int(query.get("cursor", "0"))
    last = first + int(query.get("limit", "50"))
    return {"items": items[first:last], "next_cursor": str(last) if last < len(items) else None}


def deface(value: Any, key: str = "") -> Any:
    """The same document with markup in every string that comes from a stranger."""
    if isinstance(value, dict):
        return {name: deface(part, name) for name, part in value.items()}
    if isinstance(value, list):
        return [deface(part, key) for part in value]
    return MARKUP if isinstance(value, str) and key in STRANGERS_KEYS else value


def answer(path: str, query: dict[str, str], state: str) -> Json | None:
    """What the API says to one request in a state; None for an unknown path."""
    grown = 1 if state == "grown" else 0
    broken = state == "degraded"
    rows = range(-grown, 0 if state == "empty" else TRADES)

    def attempts() -> Json:
        found = [row for index in rows for row in attempts_of(index)]
        if state == "gallery":
            found = gallery().listing()
        for parameter, key in (
            ("portfolio", "portfolio_id"),
            ("decision", "decision"),
            ("leader", "leader"),
        ):
            if parameter in query:
                found = [row for row in found if row[key] == query[parameter]]
        return page(found, query)

    routes: dict[str, Callable[[], Json]] = {
        "/api/auth/session": lambda: session(state),
        "/api/health": lambda: health("degraded" if broken else "ok", state == "overridden"),
        "/api/overview": lambda: EMPTY_OVERVIEW if state == "empty" else overview(grown, broken),
        "/api/completeness": lambda: page([] if state == "empty" else hours(broken), query),
        "/api/latency": lambda: latency(state == "empty"),
        "/api/trades": lambda: page([trade(index) for index in rows], query),
        "/api/copy-attempts": attempts,
        "/api/live": lambda: live(query, state),
    }
    document = routes[path]() if path in routes else desk_answer(path, query, state)
    document = document or one_attempt(path)
    if document is None:
        return None
    return deface(document) if state == "hostile" else document


class _Still:
    def now_ms(self) -> int:
        return NOW_MS


def live(query: dict[str, str], state: str) -> Json:
    """The combined answer, cut by the code that cuts the real one."""
    broken, empty, grown = state == "degraded", state == "empty", state == "grown"
    rows = range(-grown, 0 if empty else TRADES)
    return Live(
        _Still(),
        lambda: EMPTY_OVERVIEW if empty else overview(int(grown), broken),
        lambda: {"items": [trade(index) for index in rows[:20]]},
        lambda: health("degraded" if broken else "ok", state == "overridden"),
    )(query)


@cache
def desk() -> Desk:
    return Desk(NOW_MS, LEADERS, MARKETS)


def desk_answer(path: str, query: dict[str, str], state: str) -> Json | None:
    """Portfolios and users; None for what there is not."""
    if state == "partial":
        return None
    empty, quiet = state == "empty", state == "quiet"
    name, _, rest = path.removeprefix("/api/").partition("/")
    if path == "/api/pnl":
        document = desk().pnl()
        return None if empty else document
    if path == "/api/portfolio/global":
        return None if empty else desk().global_portfolio(state == "paused", state == "breakers")
    if path == "/api/skip-ledger":
        ledger = desk().skip_ledger(query.get("portfolio", "main.global"), query.get("leader"))
        return None if empty else {**ledger, "total": [], "unjudged": 0} if quiet else ledger
    if name == "portfolios" and rest.endswith("/snapshots"):
        portfolio = rest.removesuffix("/snapshots").replace(".", "/")
        document = desk().series(portfolio, query.get("span", "1d"))
        return None if empty else {**document, "points": []} if quiet and document else document
    if path == "/api/markets":
        return {"items": [], "next_cursor": None}
    if path == "/api/users":
        return page([] if empty else users(), query)
    if name == "users" and rest:
        return None if empty else user_answer(rest, query, quiet)
    return None


def users() -> list[Json]:
    """Every leader as the list of users has him."""
    answers = (user_answer(row["leader"], {}, True) or {} for row in overview(0)["leaders"])
    kept = ("copying", "settings_refused", "shadow", "copy", *overview(0)["leaders"][0])
    return [{name: answer[name] for name in kept} for answer in answers]


def user_answer(rest: str, query: dict[str, str], quiet: bool) -> Json | None:
    leader, _, part = rest.partition("/")
    known = overview(0)
    row = next((row for row in known["leaders"] if row["leader"] == leader), None)
    if row is None:
        return None
    if part == "performance":
        return desk().performance(leader, row["name"], query.get("span", "7d"), quiet)
    own = {p["kind"]: p for p in known["portfolios"] if p["leader"] == leader}
    document = desk().user(row, own["shadow"], own["leader"])
    if quiet:
        document["positions"] = {key: {"items": [], "more": False} for key in ("shadow", "copy")}
    return document


def session(state: str) -> Json:
    out = state.startswith("signed-out")
    return {
        "signed_in": not out,
        "subject": None if out else "local:owner",
        "expires_at": None if out else NOW_MS + 86_400_000,
        "ways": ["github", "google"] if state == "signed-out-deployed" else ["local"],
        "now": NOW_MS,
    }


def one_attempt(path: str) -> Json | None:
    ref, _, part = path.removeprefix("/api/copy-attempts/").partition("/")
    if not path.startswith("/api/copy-attempts/") or part not in ("", "tape"):
        return None
    try:
        return gallery().tape(ref) if part else gallery().detail(ref)
    except InvalidInput:
        return None


class FixtureState:
    def __init__(self, name: str) -> None:
        self.name = name
        self.changed = threading.Condition()
        self.requests: dict[str, int] = {}
        self.not_modified = 0

    def switch(self, name: str) -> None:
        with self.changed:
            self.name = name
            self.changed.notify_all()


class Handler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, *args: Any, fixture: FixtureState, **kwargs: Any) -> None:
        self.fixture = fixture
        super().__init__(*args, directory=str(DASHBOARD), **kwargs)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path == "/fixture":
            counts = {"requests": self.fixture.requests, "not_modified": self.fixture.not_modified}
            self.send_document(HTTPStatus.OK, counts)
        elif url.path == "/fixture/cases":
            self.send_document(HTTPStatus.OK, gallery().refs)
        elif url.path.startswith("/api/"):
            self.answer_api(url.path, dict(parse_qsl(url.query)))
        else:
            super().do_GET()

    def do_POST(self) -> None:
        if self.path.startswith("/api/auth/"):
            self.answer_sign_in(self.path)
            return
        if self.path == "/api/control/pause":
            self.answer_control()
            return
        state = parse_qs(urlsplit(self.path).query).get("state", [""])[0]
        if state not in STATES:
            self.send_problem(HTTPStatus.BAD_REQUEST, {"title": "Unknown state"})
            return
        self.fixture.switch(state)
        self.send_document(HTTPStatus.OK, {"state": state})

    def answer_sign_in(self, path: str) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if path == "/api/auth/logout":
            self.fixture.switch("signed-out")
            self.send_document(HTTPStatus.OK, {"signed_in": False})
        elif body.get("token") == "good-token":
            self.fixture.switch("normal")
            self.send_document(HTTPStatus.OK, {"signed_in": True})
        else:
            problem = {"title": "Forbidden", "detail": "This link was used before."}
            self.send_problem(HTTPStatus.FORBIDDEN, problem)

    def answer_control(self) -> None:
        ask = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.fixture.name == "refusing":
            problem = {"title": "Conflict", "detail": "A portfolio kept moving; try again."}
            self.send_problem(HTTPStatus.CONFLICT, problem)
            return
        paused = ask["action"] == "pause"
        self.fixture.switch("paused" if paused else "normal")
        standings = desk().standings(paused)
        changed = [row["portfolio_id"] for row in standings]
        self.send_document(HTTPStatus.OK, {"changed": changed, "portfolios": standings})

    def answer_api(self, path: str, query: dict[str, str]) -> None:
        fixture = self.fixture
        with fixture.changed:
            fixture.requests[path] = fixture.requests.get(path, 0) + 1
            fixture.changed.wait_for(lambda: fixture.name != "stalled", STALL_S_MAX)
            state = fixture.name
        if state == "error":
            problem = {"title": "Service Unavailable", "detail": "the store does not answer"}
            self.send_problem(HTTPStatus.SERVICE_UNAVAILABLE, problem)
            return
        if state.startswith("signed-out") and path not in ("/api/health", "/api/auth/session"):
            self.send_problem(HTTPStatus.UNAUTHORIZED, {"title": "Unauthorized"})
            return
        document = answer(path, query, state)
        if document is None:
            self.send_problem(HTTPStatus.NOT_FOUND, {"title": "Not Found"})
            return
        self.send_document(HTTPStatus.OK, document, conditional=True)

    def send_problem(self, status: HTTPStatus, problem: Json) -> None:
        self.send_document(status, {**problem, "status": status}, "application/problem+json")

    def send_document(
        self,
        status: HTTPStatus,
        document: Json,
        kind: str = "application/json",
        conditional: bool = False,
    ) -> None:
        body = json.dumps(document).encode()
        etag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
        if conditional and self.headers.get("if-none-match") == etag:
            self.fixture.not_modified += 1
            status, body = HTTPStatus.NOT_MODIFIED, b""
        self.send_response(status)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        if conditional:
            self.send_header("etag", etag)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        """Requests are not logged: a test reads only the address from the output."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Serves the dashboard with canned answers.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--state", choices=STATES, default="normal")
    options = parser.parse_args()
    handler = partial(Handler, fixture=FixtureState(options.state))
    with ThreadingHTTPServer(("127.0.0.1", options.port), handler) as server:
        server.daemon_threads = True
        print(f"http://127.0.0.1:{server.server_port}/", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
