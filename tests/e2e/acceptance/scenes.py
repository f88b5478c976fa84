"""The scenes. Unless it says otherwise, ours is 30 shares of the leader's 100, without fees.

The leader's 100 shares at 0.50 are 50 USDC; 0.306 of that is 15.30, which pays 30 shares at the
limit of 0.51 (a cent above his price, and 0.015 above the midpoint of 0.49 and 0.50). They fill at
0.50 for 15.00, and sell at 0.49.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

from tests.e2e.acceptance.scene import (
    DAY,
    DAY_MS,
    Held,
    Scene,
    bought,
    sold,
)

THIRTY = {"copy_fraction": "0.306"}
MINUTE = 60


def flat_start(number: int) -> Scene:
    """He holds 500 when following begins: that is his, not ours, and no reason to sell."""
    s = Scene("flat start shows no positions", number, THIRTY)
    s.holdings = [Held(s.token, 500, "0.40")]
    s.does(0, lambda stage: stage.read_holdings(s))
    s.does(1, lambda stage: _expect(stage.held(s, s.token), 0))
    s.sells(100, "0.50", at=5 * MINUTE)
    s.buys(100, "0.50", at=7 * MINUTE)
    return s.ends(
        cash="9985",
        held={s.token: "30"},
        orders=[sold("NO_POSITION"), bought()],
        shadow={s.token: "500"},
    )


def half_of_ours(number: int) -> Scene:
    """Taker fees: 0.05 × 30 × 0.50 × 0.50 = 0.375; 0.05 × 15 × 0.49 × 0.51 = 0.18742."""
    s = Scene("leader 100, we 30: he sells 50, we sell 15", number, THIRTY, fee=50_000)
    s.buys(100, "0.50", at=0)
    s.sells(50, "0.50", at=2 * MINUTE)
    return s.ends(
        # 10,000 − 15 − 0.375 + 7.35 − 0.18742
        cash="9991.78758",
        held={s.token: "15"},
        realized="-0.15",
        orders=[bought(), sold()],
        shadow={s.token: "50"},
    )


def one_of_three_buys(number: int) -> Scene:
    """The second book is 0.03 wide, the third has run away; a third of his is a third of ours."""
    s = Scene("several buys of which one was copied, then proportional sells", number, THIRTY)
    s.buys(100, "0.50", at=0)
    s.books("0.48", "0.51")
    s.buys(100, "0.50", at=2 * MINUTE)
    s.books("0.52", "0.53")
    s.buys(100, "0.50", at=4 * MINUTE)
    s.books("0.49", "0.50")
    s.sells(100, "0.50", at=6 * MINUTE)
    s.sells(200, "0.50", at=8 * MINUTE)
    return s.ends(
        # 10,000 − 15 + 4.90 + 9.80
        cash="9999.70",
        realized="-0.30",
        orders=[bought(), bought("SPREAD_TOO_WIDE"), bought("WORSE_THAN_LEADER"), sold(), sold()],
        shadow={},
    )


def backfill(number: int) -> Scene:
    """What is told as backfill, and what is older than the following, reaches the shadow only."""
    s = Scene("backfill never trades", number, THIRTY)
    s.buys(100, "0.50", at=0, backfill=True)
    since_following = (s.start - DAY) / 1000 + 3_600
    s.buys(60, "0.50", at=2 * MINUTE, late_s=since_following + 3 * MINUTE)
    s.sells(40, "0.50", at=4 * MINUTE)
    return s.ends(
        cash="10000",
        orders=[sold("NO_POSITION")],
        shadow={s.token: "120"},
    )


def polygon_only(number: int) -> Scene:
    s = Scene("polygon only", number, THIRTY, mode="polygon")
    s.buys(100, "0.50", at=0)
    s.sells(100, "0.50", at=2 * MINUTE)
    return s.ends(cash="9999.70", realized="-0.30", orders=[bought(), sold()], shadow={})


def both_modes(number: int) -> Scene:
    """Whoever comes first is copied; whoever comes second changes nothing."""
    s = Scene("both: chain then API, and API then chain", number, THIRTY, mode="both")
    s.buys(100, "0.50", at=0, by=("chain", "api"))
    s.buys(100, "0.50", at=2 * MINUTE, by=("api", "chain"))
    s.sells(100, "0.50", at=4 * MINUTE, by=("api", "chain"))
    return s.ends(
        # 10,000 − 15 − 15 + 30 × 0.49
        cash="9984.70",
        held={s.token: "30"},
        realized="-0.30",
        orders=[bought(), bought(), sold()],
        shadow={s.token: "100"},
    )


def catch_up(number: int) -> Scene:
    """Five minutes without us: he bought at the start and at 0.49 since, and sold half at the end.

    The first buy is too old, the second would cost us more than 0.2 % above his price.
    """
    s = Scene("stop five minutes and catch up", number, THIRTY)
    s.buys(100, "0.50", at=0)
    s.buys(100, "0.50", at=10 * MINUTE, late_s=299)
    s.buys(100, "0.49", at=10 * MINUTE + 5, late_s=120)
    s.sells(150, "0.50", at=10 * MINUTE + 10, late_s=60)
    return s.ends(
        # 10,000 − 15 + 15 × 0.49
        cash="9992.35",
        held={s.token: "15"},
        realized="-0.15",
        orders=[bought(), bought("TOO_OLD"), bought("CATCH_UP_NOT_BETTER"), sold()],
        shadow={s.token: "150"},
    )


def catch_up_at_a_better_price(number: int) -> Scene:
    """He paid 0.51 two minutes ago, the book asks 0.50: 100 × 0.51 × 0.306 ÷ 0.51 = 30.6 shares."""
    s = Scene("catch up at a better price", number, THIRTY)
    s.buys(100, "0.51", at=0, late_s=120)
    return s.ends(cash="9984.70", held={s.token: "30.6"}, orders=[bought()])


def catch_up_allowed(number: int) -> Scene:
    """Nothing better is asked for: the usual limit of 0.50 counts, 49 × 0.306 ÷ 0.50 = 29.98."""
    s = Scene(
        "catch up where no better price is asked for",
        number,
        {**THIRTY, "catch_up_require_better": False},
    )
    s.buys(100, "0.49", at=0, late_s=120)
    return s.ends(cash="9985.01", held={s.token: "29.98"}, orders=[bought()])


def resolution(number: int) -> Scene:
    """30 shares that cost 15 pay 30; 15 that cost 7.50 pay nothing."""
    s = Scene("a market resolves while it is held", number, THIRTY)
    s.buys(100, "0.50", at=0)
    s.buys(50, "0.50", at=2 * MINUTE, token=s.second)
    s.resolves(5 * MINUTE, 0, (1_000_000, 0))
    s.resolves(7 * MINUTE, 1, (0, 1_000_000))
    return s.ends(
        # 10,000 − 15 − 7.50 + 30
        cash="10007.50",
        realized="7.50",
        orders=[bought(), bought()],
        shadow={s.token: "100", s.second: "50"},
    )


def disputed_then_void(number: int) -> Scene:
    """Nothing is paid while it is disputed; then half a USDC for each share."""
    s = Scene("disputed until final, then void at 0.5", number, THIRTY)
    s.buys(100, "0.49", at=0)
    disputed = {"status": "disputed", "payouts": [1_000_000, 0]}
    condition = s.markets[0].condition_id
    s.does(300, lambda stage: stage.resolve(condition, disputed), scripted=True)
    s.does(310, lambda stage: _expect(stage.held(s, s.token), 29_980_000), scripted=True)
    s.resolves(7 * MINUTE, 0, (500_000, 500_000))
    # 29.98 shares (see `catch_up_allowed`) cost 14.99 and are paid 14.99.
    return s.ends(cash="10000", orders=[bought()], shadow={s.token: "100"})


def conversion(number: int) -> Scene:
    """100 No of one market become 100 Yes of another: his shadow finds out, ours keeps what it has.

    The venue states no amounts, so two readings of his holdings have to agree.
    """
    s = Scene("neg-risk conversion", number, THIRTY, neg_risk=True)
    no, yes = s.opposite, s.second
    s.holdings = [Held(no, 200, "0.50")]
    s.does(0, lambda stage: stage.read_holdings(s))
    s.buys(100, "0.50", at=3 * MINUTE, token=no)
    s.event("CONVERSION", 100, at=6 * MINUTE)
    after = [Held(no, 200, "0.50"), Held(yes, 100, "0.50")]
    for at in (9 * MINUTE, 12 * MINUTE):
        s.does(at, lambda stage, at=at: stage.compare_holdings(after, s, s.ts(at)))  # type: ignore[misc]
    moved = {no: -100_000_000, yes: 100_000_000}
    s.does(13 * MINUTE, lambda stage: _expect(stage.shadowed(s, "CONVERSION"), moved))
    return s.ends(
        cash="9985",
        held={no: "30"},
        orders=[bought()],
        shadow={no: "200", yes: "100"},
        sets=[("CONVERSION", "SKIP", "CONVERSION_UNSUPPORTED")],
    )


def daily_loss(number: int) -> Scene:
    """200 × 0.50 × 0.306 ÷ 0.51 = 60 shares; at 0.30 they have lost 12, more than 0.1 % of 10,000.

    He has 300 and sells 150: half of ours goes at 0.29. After midnight his 100 at 0.31 are 29.64
    of ours (31 × 0.306 ÷ 0.32) for 9.1884.
    """
    s = Scene(
        "the daily loss trips, only reductions pass, midnight resets",
        number,
        {**THIRTY, "daily_loss_max": "0.001"},
        starts=DAY + DAY_MS - 20 * MINUTE * 1_000,
    )
    s.buys(200, "0.50", at=0)
    s.books("0.29", "0.31")
    # In replays marks are made from the tapes.
    s.does(1, lambda stage: stage.mark(s.token, "0.29", "0.31"), scripted=True)
    s.buys(100, "0.31", at=5 * MINUTE)
    s.sells(150, "0.30", at=7 * MINUTE)
    s.books("0.30", "0.31")
    s.buys(100, "0.31", at=25 * MINUTE)
    return s.ends(
        # 10,000 − 30 + 8.70 − 9.1884
        cash="9969.5116",
        held={s.token: "59.64"},
        realized="-6.30",
        orders=[bought(), bought("BREAKER_DAILY_LOSS"), sold(), bought()],
        shadow={s.token: "250"},
    )


def drawdown(number: int) -> Scene:
    """As above, but no midnight helps: only a hand does."""
    s = Scene(
        "the drawdown trips, and is reset by hand",
        number,
        {**THIRTY, "drawdown_max": "0.001", "daily_loss_max": 0, "weekly_loss_max": 0},
        starts=DAY + 2 * DAY_MS - 20 * MINUTE * 1_000,
    )
    s.buys(200, "0.50", at=0)
    s.does(1, lambda stage: stage.mark(s.token, "0.29", "0.31"))
    s.books("0.30", "0.31")
    s.buys(100, "0.31", at=5 * MINUTE)
    s.sells(150, "0.30", at=7 * MINUTE)
    s.buys(100, "0.31", at=25 * MINUTE)
    s.does(26 * MINUTE, lambda stage: stage.reset_breaker(s, s.ts(26 * MINUTE)))
    s.buys(100, "0.31", at=27 * MINUTE)
    return s.ends(
        # 10,000 − 30 + 30 × 0.30 − 9.1884
        cash="9969.8116",
        held={s.token: "59.64"},
        realized="-6",
        orders=[
            bought(),
            bought("BREAKER_DRAWDOWN"),
            sold(),
            bought("BREAKER_DRAWDOWN"),
            bought(),
        ],
        shadow={s.token: "350"},
    )


def pause(number: int) -> Scene:
    """10 of 30 are there, 20 rest at 0.51; sellers come after the pause began."""
    s = Scene(
        "a pause cancels what rests, and a resume copies again",
        number,
        {**THIRTY, "buy_depth_multiple": 0},
    )
    s.pause(10, 200)
    s.buys(100, "0.50", at=0, rests=[(20_000, "ask", 50, 900)], asks=[(50, 10), (53, 900)])
    s.buys(100, "0.50", at=100)
    s.buys(100, "0.50", at=300)
    return s.ends(
        # 10,000 − 5 − 15
        cash="9980",
        held={s.token: "40"},
        orders=[("BUY", "CANCELLED", ("REMAINDER_CANCELLED",)), bought("PAUSED"), bought()],
        shadow={s.token: "300"},
    )


def split_and_merge(number: int) -> Scene:
    """1 % of 2,000 sets are 20; he merges a quarter of his, we 5 of ours. A set is worth one."""
    s = Scene("split and merge", number)
    s.event("SPLIT", 2_000, at=0)
    s.event("MERGE", 500, at=2 * MINUTE)
    return s.ends(
        cash="9985",
        held={s.token: "15", s.opposite: "15"},
        shadow={s.token: "1500", s.opposite: "1500"},
        sets=[("SPLIT", "EXECUTE"), ("MERGE", "EXECUTE")],
    )


def exit_debt(number: int) -> Scene:
    """Half of ours should go, and the only bid is 0.40: our limit is 0.45. Later 0.48 is bid."""
    s = Scene("a sell without liquidity is tried again", number, THIRTY)
    s.buys(100, "0.50", at=0)
    s.books("0.40", "0.50")
    s.sells(50, "0.50", at=2 * MINUTE, rests=[])
    s.books("0.48", "0.49")
    s.retries(5 * MINUTE)
    return s.ends(
        # 10,000 − 15 + 15 × 0.48
        cash="9992.20",
        held={s.token: "15"},
        realized="-0.30",
        orders=[bought(), sold("NO_LIQUIDITY_WITHIN_BOUNDS"), sold()],
        shadow={s.token: "50"},
    )


def reorganisation(number: int) -> Scene:
    """The chain takes his second fill back before we decided on it; then he sells half."""
    s = Scene("a reorganisation takes an undecided fill back", number, THIRTY)
    s.buys(100, "0.50", at=0)
    s.buys(100, "0.50", at=2 * MINUTE, removed=True)
    s.sells(50, "0.50", at=4 * MINUTE)
    return s.ends(
        cash="9992.35",
        held={s.token: "15"},
        realized="-0.15",
        orders=[bought(), bought("LEADER_FILL_RETRACTED"), sold()],
        shadow={s.token: "50"},
    )


def _expect(found: object, expected: object) -> None:
    assert found == expected, f"{found} shares instead of {expected}"


_MADE = (
    # Those that look at every portfolio come while there are few, those of later days last.
    flat_start,
    resolution,
    disputed_then_void,
    conversion,
    split_and_merge,
    half_of_ours,
    one_of_three_buys,
    backfill,
    catch_up,
    catch_up_at_a_better_price,
    catch_up_allowed,
    pause,
    exit_debt,
    reorganisation,
    polygon_only,
    both_modes,
    daily_loss,
    drawdown,
)


def scenes() -> Iterator[Scene]:
    """All of them, in the order in which they are played."""
    numbers = count()
    for make in _MADE:
        yield make(next(numbers))


SCENES = {make.__name__: scene for make, scene in zip(_MADE, scenes(), strict=True)}
