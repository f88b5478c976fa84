"""What the routes that show and change things work with; the engine sets it before a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chalicelib.ports import Clock, Rules, Store
from chalicelib.services.config_tests import ConfigTests
from chalicelib.services.control_portfolios import ControlPortfolios
from chalicelib.services.manage_leaders import FollowLeader, UnfollowLeader
from chalicelib.services.market_lists import ChangeMarketLists
from chalicelib.services.preview_leader import PreviewLeader
from chalicelib.services.read_models import Json, ReadModels
from chalicelib.services.read_models.live import Live
from chalicelib.services.read_models.markets import MarketViews
from chalicelib.services.redrive import Redrive
from chalicelib.settings import Environment


@dataclass(frozen=True, slots=True)
class Office:
    """Use cases of one engine.

    `start_test` has a test of a configuration run elsewhere, by its name; it raises Retryable or
    Permanent. `system` is the machinery in full, `health` its short form. Without
    `redrive` there are no dead letters.
    """

    store: Store
    clock: Clock
    rules: Rules
    env: Environment
    read: ReadModels
    markets: MarketViews
    live: Live
    follow: FollowLeader
    unfollow: UnfollowLeader
    preview: PreviewLeader
    control: ControlPortfolios
    market_lists: ChangeMarketLists
    config_tests: ConfigTests
    start_test: Callable[[str], None]
    system: Callable[[], Json]
    redrive: Redrive | None = None


class Desk:
    """Where the routes find their office."""

    office: Callable[[], Office]
