"""The venue's own payloads through both engines: real logs, rows of the same fills, real books."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.reasons import Reason
from infra.local.stack import EngineName
from tests.e2e.venue import Script
from tests.e2e.walkthrough import ENGINES, Ending, Story, TradeName, order_filled, play, trade_row

SAMPLES = Path(__file__).parents[2].parent / "shared" / "venue" / "samples"

pytestmark = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="the venue's real samples are not part of the repository"
)

MAKER = "0x335ac48637a3bc37c2eac9e0c9799c32b3cda494"
TAKER = "0x686024b5c1fcc10eb86b8d551fae78488b1b6279"
SELLER = "0xa253d75c2dfb2c6650291d5e8d54076d2fb40181"
POLLED = "0x379a410a36c101e3b8dfb6c90d1176eb0def4b1a"
MATCHED = "0x82ea0e5a13f6365049fb1ed1dd1dad91adc954f6116c031862f5a72f817c5686"
MATCHED_SECONDS = 1_786_195_459
MATCHED_TOKEN = "26668574760930728259231314028185687024922326310580986080795483281195870186846"
FED = "40302938956091099752849867077837976978448552504757012372843872340644441002059"
FED_MARKET = "0xde04b189b3f19eaccda02529a3ea67abfc46bff5c0c8fc42d8a2d0ed7b8f0d41"

BOUGHT: TradeName = (MAKER, MATCHED, MATCHED_TOKEN, "BUY")
SOLD: TradeName = (TAKER, MATCHED, MATCHED_TOKEN, "SELL")
M = 1_000_000
CASH = 10_000 * M


def load(name: str) -> Any:
    return json.loads((SAMPLES / name).read_text(encoding="utf-8"))


def real_fed_markets() -> Script:
    """All six real books, and the markets of them as the CLOB states them."""
    script = Script()
    script.books = {book["asset_id"]: book for book in load("clob/books_3_pairs_fed_2026-05.json")}
    script.clob_markets = {m["c"]: m for m in load("clob/clob_markets_fed_2026-05.json")}
    return script


def story() -> Story:
    match = load("chain/v2_match_both_sides.json")
    late = order_filled(
        TAKER, "BUY", FED, 50_000 * M, 1_000 * M, label="late", seconds=MATCHED_SECONDS
    )
    polled = load("data-v2/activity_taker_with_fee.json")["data"]
    return Story(
        script=real_fed_markets(),
        leaders=[MAKER, TAKER, SELLER, POLLED],
        logs=[*match, *load("chain/v2_maker_sell.json"), *load("chain/v2_taker_sell.json"), late],
        rows={
            MAKER: [
                trade_row(MAKER, MATCHED, MATCHED_TOKEN, "BUY", 2.56, 0.92, 2.3552, MATCHED_SECONDS)
            ],
            TAKER: [
                trade_row(
                    TAKER, MATCHED, MATCHED_TOKEN, "SELL", 2.56, 0.92, 2.3552, MATCHED_SECONDS
                )
            ],
            POLLED: polled,
        },
        both=[BOUGHT, SOLD],
        api_only=[(POLLED, r["transaction_hash"], r["token_id"], r["side"]) for r in polled],
        leader=MAKER,
        token=FED,
        bought=30_000,
        price=20_000,
        sold_at=19_000,
    )


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[EngineName, Ending]:
    return play(story(), tmp_path_factory.mktemp("venue"))


@pytest.fixture(params=ENGINES)
def ending(request: pytest.FixtureRequest, endings: dict[EngineName, Ending]) -> Ending:
    return endings[request.param]


def test_both_sides_of_a_real_match_are_confirmed_by_both_sources(ending: Ending) -> None:
    assert ending.states[BOUGHT] == ending.states[SOLD] == "confirmed"
    assert ending.totals[BOUGHT] == (2_560_000, 2_355_200, 0)
    assert ending.totals[SOLD] == (2_560_000, 2_355_200, 13_180)


def test_every_real_log_is_on_its_leaders_shadow(ending: Ending) -> None:
    def booked(leader: str) -> list[tuple[str, int, int]]:
        entries = ending.entries[f"shadow/{leader}"]
        return [(e.kind, e.shares, e.cash) for e in entries if e.token_id and e.token_id != FED]

    assert booked(MAKER) == [
        ("TRADE_FILL", 2_560_000, -2_355_200),
        ("TRADE_FILL", -6_000_000, 2_880_000),
        ("FEE", 0, -104_830),
    ]
    assert booked(TAKER) == [("TRADE_FILL", -2_560_000, 2_355_200), ("FEE", 0, -13_180)]
    assert booked(SELLER) == [("TRADE_FILL", -4_180_000, 3_929_200)]


def test_real_rows_alone_are_trades_with_the_fee_they_prove(ending: Ending) -> None:
    polled = {name: t for name, t in ending.totals.items() if name[0] == POLLED}
    # 22.84 × 0.52 = 11.8768 of 12.16184; 7.44 × 0.9 = 6.696 of 6.72948.
    assert sorted(polled.values()) == [
        (7_440_000, 6_696_000, 33_480),
        (22_840_000, 11_876_800, 285_040),
    ]
    assert {ending.states[name] for name in polled} == {"api_only"}


def test_old_fills_end_as_honest_skips(ending: Ending) -> None:
    def reasons(leader: str) -> dict[tuple[str, str], tuple[Reason, ...]]:
        attempts = ending.attempts[f"main/leader/{leader}"]
        return {(a.token_id, a.side): a.reasons for a in attempts if a.status == "SKIPPED"}

    # Nobody knows the market of that token any more, and nobody holds what the others sold.
    assert reasons(MAKER)[MATCHED_TOKEN, "BUY"] == (Reason.UNKNOWN_TOKEN,)
    assert reasons(TAKER)[MATCHED_TOKEN, "SELL"] == (Reason.NO_POSITION,)
    assert reasons(TAKER)[FED, "BUY"] == (Reason.TOO_OLD,)
    assert set(reasons(SELLER).values()) == {(Reason.NO_POSITION,)}
    # Rows that are found a day late are history.
    assert reasons(POLLED) == {}
    skipped = sum(len(reasons(leader)) for leader in (MAKER, TAKER, SELLER))
    assert skipped == ending.heads["main/global"].skipped == 5


@pytest.mark.parametrize("portfolio", ["main/global", f"main/leader/{MAKER}"])
def test_a_fresh_fill_is_copied_against_the_real_book(ending: Ending, portfolio: str) -> None:
    bought, sold = (a for a in ending.attempts[portfolio] if (a.token_id, a.leader) == (FED, MAKER))
    assert bought.order is not None
    assert bought.outcome is not None
    # He paid 30,000 × 0.02 = 600; 1 % is 6. The book is 0.019 to 0.020, so the middle is 0.0195:
    # min(0.02 + 0.01, 0.0195 + 0.015) = 0.03, and 6 ÷ 0.03 = 200 shares.
    assert (bought.decision.best, bought.decision.mid) == (20_000, 19_500)
    assert (bought.order.limit, bought.order.shares) == (30_000, 200 * M)
    # 13,016.36 are offered at 0.02: 4.00, and 0.05 × 200 × 0.02 × 0.98 = 0.196 for the venue.
    assert (bought.status, bought.outcome.cash, bought.outcome.fee) == ("FILLED", 4 * M, 196_000)
    assert bought.outcome.book_hash == "97623fa114e5e5379cecf1badf77bb02dd7f8dc2"
    assert sold.outcome is not None
    # Half of it at 0.019: 1.90, and 0.05 × 100 × 0.019 × 0.981 = 0.093195 down to 0.09319.
    assert (sold.status, sold.outcome.shares) == ("FILLED", 100 * M)
    assert (sold.outcome.cash, sold.outcome.fee) == (1_900_000, 93_190)
    cash = [e.cash for e in ending.entries[portfolio]]
    assert cash == [CASH, -4 * M, -196_000, 1_900_000, -93_190]
    assert ending.heads[portfolio].cash == sum(cash) == 9_997_610_810


def test_the_ledger_is_the_fold_of_its_entries_and_nothing_is_left(ending: Ending) -> None:
    assert ending.ledger_errors == []
    assert ending.left == 0


def test_both_engines_have_equal_ledgers(endings: dict[EngineName, Ending]) -> None:
    assert endings["embedded"].digests == endings["aws"].digests
    assert len(endings["aws"].digests) == 9
