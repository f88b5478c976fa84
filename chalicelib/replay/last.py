"""Test a configuration: the last hours as they were, and as they would have been."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass

from chalicelib.domain.lane import Attempt
from chalicelib.domain.portfolio import Head, Position, positions_value
from chalicelib.ports import Clock, Store
from chalicelib.replay.fast import played_of
from chalicelib.replay.played import Played
from chalicelib.replay.player import Layers
from chalicelib.services.portfolios import ACCOUNT, marks
from chalicelib.services.record_period import record_period
from chalicelib.services.recordings import Recording

HOURS = 24
HOURS_MAX = 24 * 7
GROUPS_MAX = 5_000


@dataclass(frozen=True, slots=True)
class Side:
    """One portfolio's period under one configuration; `pnl` in micros.

    `reasons` count why attempts were skipped or ended as they did. `pnl` is what the period
    brought, fees included, with everything held at its start and end valued at the latest marks.
    """

    executed: int
    skipped: int
    filled: int
    pnl: int
    reasons: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Compared:
    """One portfolio before and after."""

    portfolio_id: str
    before: Side
    after: Side


@dataclass(frozen=True, slots=True)
class ConfigTest:
    """The answer to a test of a configuration; times in milliseconds.

    `ts_from` is later than was asked for where there were more groups than may be replayed, then
    `cut` is true.
    """

    ts_from: int
    ts_until: int
    groups: int
    cut: bool
    portfolios: tuple[Compared, ...]


def replay_last(
    store: Store,
    clock: Clock,
    layers: Layers,
    hours: int = HOURS,
    groups_max: int = GROUPS_MAX,
) -> ConfigTest:
    """The last `hours` under the settings in `layers`, beside what they were.

    Raises InvalidInput naming a setting, Retryable when the store cannot answer.
    """
    now = clock.now_ms()
    wanted = now - min(max(1, hours), HOURS_MAX) * 3_600_000
    bound = min(max(1, groups_max), GROUPS_MAX)
    recording = record_period(store, wanted, now, groups_max=bound)
    # The same evidence is played twice: what differs is the settings alone.
    before = played_of(recording)
    after = played_of(recording, layers)
    prices, _ = marks(store)
    opened = _opened(recording, prices)
    compared = [
        Compared(
            ref.portfolio_id,
            _side(before, ref.portfolio_id, prices, opened.get(ref.portfolio_id, 0)),
            _side(after, ref.portfolio_id, prices, opened.get(ref.portfolio_id, 0)),
        )
        for ref in sorted(before.refs, key=lambda ref: ref.portfolio_id)
        if ref.kind != "shadow"
    ]
    header = recording.header
    return ConfigTest(
        ts_from=header.ts_from,
        ts_until=header.ts_until,
        groups=len({attempt.group_id for attempt in recording.attempts}),
        cut=header.ts_from > wanted,
        portfolios=tuple(compared),
    )


def _opened(recording: Recording, prices: dict[str, int]) -> dict[str, int]:
    """What each portfolio was worth when the period began."""
    heads = [record for record in recording.opening if isinstance(record, Head)]
    held = [record for record in recording.opening if isinstance(record, Position)]
    worth = {
        head.portfolio_id: head.cash
        + positions_value([p for p in held if p.portfolio_id == head.portfolio_id], prices)
        for head in heads
    }
    for entry in recording.entries:
        if entry.kind == "OPENING" and not entry.token_id:
            worth[entry.portfolio_id] = worth.get(entry.portfolio_id, 0) + entry.cash
    return worth


def _side(played: Played, portfolio_id: str, prices: dict[str, int], opened: int) -> Side:
    ref = next(ref for ref in played.refs if ref.portfolio_id == portfolio_id)
    head = played.left.head(ref)
    cash = head.cash if head else 0
    value = positions_value(played.left.positions(ref), prices)
    attempts = played.left.attempts(ref)
    executed = sum(attempt.order is not None for attempt in attempts)
    return Side(
        executed=executed,
        skipped=len(attempts) - executed,
        filled=sum(attempt.vwap is not None for attempt in attempts),
        pnl=cash + value - opened,
        reasons=_reasons(attempts),
    )


def _reasons(attempts: Iterable[Attempt]) -> tuple[tuple[str, int], ...]:
    counted = Counter(reason.value for attempt in attempts for reason in attempt.reasons)
    return tuple(sorted(counted.items(), key=lambda one: (-one[1], one[0])))


def replayed_job(store: Store, clock: Clock) -> Callable[[Layers, int], dict[str, object]]:
    """What runs a stored test: the comparison of the account's portfolios as JSON-ready figures."""

    def run(layers: Layers, hours: int) -> dict[str, object]:
        found = asdict(replay_last(store, clock, layers, hours))
        own = f"{ACCOUNT}/"
        found["portfolios"] = [
            one for one in found["portfolios"] if one["portfolio_id"].startswith(own)
        ]
        return found

    return run
