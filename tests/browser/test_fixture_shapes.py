"""The canned answers have the documented shapes, so a page that reads them reads the real ones."""

import pytest
from pydantic import BaseModel

from chalicelib.api import shapes
from tests.browser.fixture_server import LEADERS, STATES, answer

LEADER = LEADERS[0][0]
ROUTES: dict[str, type[BaseModel]] = {
    "/api/health": shapes.Health,
    "/api/live": shapes.Live,
    "/api/overview": shapes.Overview,
    "/api/pnl": shapes.Pnl,
    "/api/portfolio/global": shapes.GlobalPortfolio,
    "/api/portfolios/main.global/snapshots": shapes.Series,
    f"/api/portfolios/shadow.{LEADER}/snapshots": shapes.Series,
    "/api/users": shapes.Users,
    f"/api/users/{LEADER}": shapes.User,
    f"/api/users/{LEADER}/performance": shapes.Performance,
    "/api/skip-ledger": shapes.SkipLedger,
    "/api/trades": shapes.Trades,
    "/api/completeness": shapes.Hours,
    "/api/latency": shapes.Latency,
}
ANSWERING = [s for s in STATES if s not in ("error", "stalled") and not s.startswith("signed")]
ABSENT = {"empty", "partial"}


@pytest.mark.parametrize("state", ANSWERING)
@pytest.mark.parametrize("path", ROUTES)
def test_answers_have_the_documented_shape(path: str, state: str) -> None:
    document = answer(path, {}, state)
    if document is None:
        assert state in ABSENT, "only a server without the route answers 404"
        return
    ROUTES[path].model_validate(document)
