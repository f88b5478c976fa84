"""What a leader's hour is held to be, over random trades of ours and of the venue's record."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.completeness import (
    HOUR_MS,
    LIVE_MS,
    HourTally,
    Shown,
    first_seen,
    hour_of,
    judge,
    shown_by,
    tally_hour,
)
from chalicelib.domain.evidence import ApiEvidence
from chalicelib.domain.identifiers import trade_id
from chalicelib.domain.trade import (
    Reading,
    Trade,
    fold_leg,
    fold_receipt,
    fold_rows,
    new_trade,
    state_of,
)
from tests.workflow.harness import LEADER, TOKEN, M, leg, row, tx

HOUR = hour_of(1_795_000_000_000)
BLOCK = HOUR + 600_000


def trade(
    number: int = 1,
    *,
    chain: int = 0,
    api: int = 0,
    ts_block: int = BLOCK,
    chain_lag: int = 2_000,
    api_lag: int = 5_000,
) -> Trade:
    """A trade with these shares by each source; 0 means that the source never showed it."""
    made = new_trade(
        LEADER,
        LEADER,
        tx(number),
        TOKEN,
        "BUY",
        source="chain" if chain else "api",
        backfill=False,
        ts_listed=ts_block,
    )
    if chain:
        made = fold_leg(made, leg(chain, 500_000, ts_block=ts_block), ts_block + chain_lag)
    if api:
        made = fold_rows(made, [row(api, 500_000, ts_block=ts_block)], ts_block + api_lag)
    return made


def shown(number: int, shares: int, ts_block: int = BLOCK) -> Shown:
    return Shown(trade_id(LEADER, tx(number), TOKEN, "BUY"), shares, ts_block)


def tally(ours: list[Trade], record: list[Shown], until: int = HOUR + HOUR_MS) -> HourTally:
    return tally_hour(
        LEADER,
        HOUR,
        HOUR,
        until,
        {s.trade_id: s for s in record},
        {t.trade_id: t for t in ours},
        [],
    )


@pytest.mark.parametrize(
    ("ours", "verdict"),
    [
        (None, "missed"),
        (trade(chain=9 * M), "missed"),
        (trade(chain=10 * M), "live"),
        (trade(api=10 * M, api_lag=LIVE_MS), "live"),
        (trade(api=10 * M, api_lag=LIVE_MS + 1), "recovered"),
        (trade(chain=10 * M, api=10 * M, chain_lag=90_000, api_lag=50_000), "live"),
        (trade(chain=10 * M, api=10 * M, chain_lag=90_000, api_lag=70_000), "recovered"),
        (trade(chain=11 * M), "duplicated"),
        (trade(chain=11 * M, api=10 * M), "duplicated"),
    ],
)
def test_a_trade_of_the_record_is_judged_by_its_shares_and_then_by_its_lag(
    ours: Trade | None, verdict: str
) -> None:
    assert judge(ours, shown(1, 10 * M)) == verdict


def test_who_was_first_is_told_by_the_times_not_by_the_order_of_arrival() -> None:
    assert first_seen(trade(chain=M, api=M, chain_lag=9_000)) == ("api", BLOCK + 5_000)
    assert first_seen(trade(chain=M, api=M, chain_lag=5_000)) == ("chain", BLOCK + 5_000)
    assert first_seen(trade(api=M)) == ("api", BLOCK + 5_000)
    assert first_seen(trade()) is None


def test_a_receipt_is_a_better_measure_than_the_record() -> None:
    read = Reading(BLOCK + 30_000, f"0x{1:064x}", (leg(9 * M, 500_000, ts_block=BLOCK),))
    settled = fold_receipt(trade(chain=9 * M, api=10 * M), read)
    assert state_of(settled) == "resolved"
    assert judge(settled, shown(1, 10 * M)) == "live"


def test_rows_of_a_trade_add_up_with_their_counts() -> None:
    evidence = ApiEvidence(tx(1), TOKEN, "BUY", (row(3 * M, 500_000, 2), row(M, 510_000)))
    assert shown_by(LEADER, evidence).shares == 7 * M


def test_what_the_record_does_not_show_is_unconfirmed_and_nothing_worse() -> None:
    found = tally([trade(chain=M)], [])
    assert (found.unconfirmed, found.live, found.duplicated, found.clean) == (1, 0, 0, True)


def test_a_retracted_trade_is_none_of_ours() -> None:
    gone = fold_leg(trade(chain=M), leg(M, 500_000, ts_block=BLOCK, removed=True), BLOCK + 9_000)
    assert tally([gone], []).unconfirmed == 0
    assert tally([gone], [shown(1, M)]).missed == 1


def test_disagreeing_trades_are_counted_beside_the_verdict() -> None:
    found = tally([trade(chain=M, api=2 * M)], [shown(1, 2 * M)])
    assert (found.live, found.disagreeing, found.clean) == (1, 1, False)


def test_the_venues_block_time_decides_to_which_hour_a_trade_belongs() -> None:
    moved = trade(chain=M, ts_block=HOUR + HOUR_MS - 1_000)
    before, after = shown(1, M, HOUR - 1_000), shown(1, M, HOUR + HOUR_MS)
    for other in (before, after):
        found = tally([moved], [other])
        assert (found.live, found.unconfirmed, found.chain_first) == (0, 0, 0)


def test_what_is_too_young_is_not_judged() -> None:
    found = tally([trade(2, chain=M)], [shown(1, M)], until=BLOCK)
    assert found == HourTally(LEADER, HOUR, HOUR, BLOCK)
    assert not found.final


SHARES = st.sampled_from([0, M, 2 * M, 3 * M])
LAGS = st.integers(-1_000, 300_000)


@given(
    st.lists(
        st.tuples(SHARES, SHARES, SHARES, LAGS, LAGS, st.integers(0, HOUR_MS - 1)), max_size=12
    )
)
def test_every_trade_of_the_record_gets_exactly_one_verdict(
    cases: list[tuple[int, int, int, int, int, int]],
) -> None:
    ours, record = [], []
    for number, (chain, api, venue, chain_lag, api_lag, at) in enumerate(cases):
        block = HOUR + at
        if chain or api:
            ours.append(
                trade(
                    number,
                    chain=chain,
                    api=api,
                    ts_block=block,
                    chain_lag=chain_lag,
                    api_lag=api_lag,
                )
            )
        if venue:
            record.append(shown(number, venue, block))
    found = tally(ours, record)
    assert found.live + found.recovered + found.missed + found.duplicated == len(record)
    held = [(c, a, v) for c, a, v, *_ in cases if c or a]
    assert found.missed == sum(max(c, a) < v for c, a, v, *_ in cases)
    assert found.duplicated == sum(0 < v < max(c, a) for c, a, v in held)
    assert found.unconfirmed == sum(v == 0 for *_, v in held)
    assert found.disagreeing == sum(0 < c != a > 0 for c, a, _ in held)
    assert found.chain_first + found.api_first == len(ours)
    assert sum(found.lags.chain) == sum(t.ts_seen_chain is not None for t in ours)
    assert sum(found.lags.api) == sum(t.ts_seen_api is not None for t in ours)
    assert sum(found.lags.first_seen) == len(ours)
