"""Own payloads through both engines: logs, rows and books to trades, attempts and ledger rows."""

from __future__ import annotations

import pytest

from chalicelib.domain.reasons import Reason
from infra.local.stack import EngineName
from tests.e2e.venue import Script
from tests.e2e.walkthrough import (
    ENGINES,
    Ending,
    Story,
    TradeName,
    hash_of,
    order_filled,
    play,
    trade_row,
)

ADA = "0x" + "a1" * 20
BOB = "0x" + "b2" * 20
CAT = "0x" + "c3" * 20
TOKEN = str(int(hash_of("yes"), 16))
OPPOSITE = str(int(hash_of("no"), 16))
# Another token: fills of one token and side seen within two seconds would be one group.
OLD = str(int(hash_of("old yes"), 16))
OLD_OPPOSITE = str(int(hash_of("old no"), 16))
OLD_SECONDS = 1_786_195_459
M = 1_000_000
CASH = 10_000 * M

MATCHED = hash_of("tx old")
ADA_BOUGHT: TradeName = (ADA, MATCHED, OLD, "BUY")
BOB_SOLD: TradeName = (BOB, MATCHED, OLD, "SELL")
CAT_BOUGHT: TradeName = (CAT, hash_of("tx api"), OLD, "BUY")


def story() -> Story:
    """Months ago Ada bought of Bob, and Cat of somebody; now Ada buys and sells half."""
    script = Script()
    script.add_market(hash_of("condition"), (TOKEN, OPPOSITE), rate=0.07)
    script.set_book(
        TOKEN, [("0.50", "40"), ("0.49", "900")], [("0.51", "60"), ("0.52", "900"), ("0.60", "9")]
    )
    script.add_market(hash_of("old condition"), (OLD, OLD_OPPOSITE))
    script.set_book(OLD, [("0.50", "900")], [("0.51", "900")])
    old = {"label": "old", "seconds": OLD_SECONDS}
    logs = [
        order_filled(ADA, "BUY", OLD, 2_560_000, 1_280_000, taker=BOB, index=394, **old),  # type: ignore[arg-type]
        # 0.07 × 2.56 × 0.5 × 0.5 = 0.0448.
        order_filled(BOB, "SELL", OLD, 2_560_000, 1_280_000, fee=44_800, index=397, **old),  # type: ignore[arg-type]
    ]
    rows = {
        ADA: [trade_row(ADA, MATCHED, OLD, "BUY", 2.56, 0.5, 1.28, OLD_SECONDS)],
        BOB: [trade_row(BOB, MATCHED, OLD, "SELL", 2.56, 0.5, 1.28, OLD_SECONDS)],
        # A taker's row states the cash with the fee: 10 × 0.4 + 0.168.
        CAT: [trade_row(CAT, hash_of("tx api"), OLD, "BUY", 10, 0.4, 4.168, OLD_SECONDS)],
    }
    return Story(
        script=script,
        leaders=[ADA, BOB, CAT],
        logs=logs,
        rows=rows,
        both=[ADA_BOUGHT, BOB_SOLD],
        api_only=[CAT_BOUGHT],
        leader=ADA,
        token=TOKEN,
        bought=10_000,
        price=510_000,
        sold_at=500_000,
    )


@pytest.fixture(scope="module")
def endings(tmp_path_factory: pytest.TempPathFactory) -> dict[EngineName, Ending]:
    return play(story(), tmp_path_factory.mktemp("own"))


@pytest.fixture(params=ENGINES)
def ending(request: pytest.FixtureRequest, endings: dict[EngineName, Ending]) -> Ending:
    return endings[request.param]


def test_trades_of_logs_and_rows_are_counted_once_and_confirmed(ending: Ending) -> None:
    assert ending.states[ADA_BOUGHT] == ending.states[BOB_SOLD] == "confirmed"
    assert ending.states[CAT_BOUGHT] == "api_only"
    assert ending.totals[ADA_BOUGHT] == (2_560_000, 1_280_000, 0)
    assert ending.totals[BOB_SOLD] == (2_560_000, 1_280_000, 44_800)
    assert ending.totals[CAT_BOUGHT] == (10 * M, 4 * M, 168_000)


def test_the_shadows_hold_what_the_leaders_did(ending: Ending) -> None:
    kinds = [(e.kind, e.shares, e.cash) for e in ending.entries[f"shadow/{BOB}"]]
    assert kinds == [
        ("OPENING", 0, 0),
        ("TRADE_FILL", -2_560_000, 1_280_000),
        ("FEE", 0, -44_800),
    ]
    assert ending.heads[f"shadow/{CAT}"].cash == -4_168_000
    assert ending.heads[f"shadow/{ADA}"].trades == 3


def test_old_fills_end_as_honest_skips(ending: Ending) -> None:
    old, *_ = ending.attempts[f"main/leader/{ADA}"]
    assert (old.status, old.reasons) == ("SKIPPED", (Reason.TOO_OLD,))
    assert old.decision.leader_cash == 1_280_000
    (sold,) = ending.attempts[f"main/leader/{BOB}"]
    assert (sold.status, sold.reasons) == ("SKIPPED", (Reason.NO_POSITION,))
    # A row that is found a day late is history, and history never trades.
    assert ending.attempts[f"main/leader/{CAT}"] == []


@pytest.mark.parametrize("portfolio", ["main/global", f"main/leader/{ADA}"])
def test_the_fresh_fills_are_copied_with_figures_from_the_book(
    ending: Ending, portfolio: str
) -> None:
    bought, sold = (a for a in ending.attempts[portfolio] if a.token_id == TOKEN)
    # 1 % of 5,100 is 51; min(0.51 + 0.01, 0.505 + 0.015) = 0.52; 51 ÷ 0.52 = 98.07 shares.
    assert bought.order is not None
    assert bought.outcome is not None
    assert (bought.status, bought.order.limit) == ("FILLED", 520_000)
    assert bought.order.shares == 98_070_000
    levels = [(level.price, level.shares) for level in bought.outcome.slices[0].levels]
    assert levels == [(510_000, 60 * M), (520_000, 38_070_000)]
    # 60 × 0.51 + 38.07 × 0.52 = 50.3964.
    assert bought.outcome.cash == 50_396_400
    # 0.07 × 98.07 × p × (1 − p) with p = 50.3964 ÷ 98.07: 1.714902… down to five decimals.
    assert bought.outcome.fee == 1_714_900
    # He sold half, so half of 98.07 down to 0.01 share: 49.03, of which 40 find the best bid.
    assert sold.outcome is not None
    assert sold.outcome.shares == 49_030_000
    # 40 × 0.50 + 9.03 × 0.49 = 24.4247.
    assert (sold.outcome.cash, sold.outcome.fee) == (24_424_700, 858_010)
    cash = [e.cash for e in ending.entries[portfolio]]
    assert cash == [CASH, -50_396_400, -1_714_900, 24_424_700, -858_010]
    assert ending.heads[portfolio].cash == sum(cash)
    # Window 2,000, latencies 500 and 250, jitter at most 250.
    assert 2_750 <= bought.order.ts_placed - bought.ts_opened <= 3_000


def test_the_ledger_is_the_fold_of_its_entries_and_nothing_is_left(ending: Ending) -> None:
    assert ending.ledger_errors == []
    assert ending.left == 0
    assert all(h.reserved == 0 for h in ending.heads.values())


def test_both_engines_have_equal_ledgers(endings: dict[EngineName, Ending]) -> None:
    assert endings["embedded"].digests == endings["aws"].digests
    assert len(endings["aws"].digests) == 7
    assert len(set(endings["aws"].digests.values())) == 6, "only idle leaders' portfolios agree"
