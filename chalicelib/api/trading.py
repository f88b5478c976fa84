"""Markets and their lists, the global portfolio, gains, pausing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chalice.app import Response

from chalicelib.api.asked import (
    answered,
    body_of,
    changed,
    limit_of,
    one_of,
    query_of,
    who_of,
)
from chalicelib.api.bodies import ControlAsk, ListAsk
from chalicelib.api.desk import Desk
from chalicelib.api.routes import Routes
from chalicelib.domain.identifiers import condition_id
from chalicelib.services.read_models.markets import STATUSES
from chalicelib.services.read_models.pnl import DAYS_MAX, days_of

MARKETS_MAX = 50

trading = Routes(__name__)


@trading.route("/portfolio/global", methods=["GET"])
def global_portfolio() -> Response:
    """The global portfolio: positions, exposure by market and leader, use of the risk limits.

    Costs about twenty reads, one of at most 1,000 positions and one of as many orders, and two
    reads for each market not seen within a minute.
    """

    def view() -> Mapping[str, Any] | None:
        query_of(trading.current_request)
        return Desk.office().read.global_portfolio()

    return answered(trading.current_request, view)


@trading.route("/pnl", methods=["GET"])
def pnl() -> Response:
    """Gains of every portfolio, and per day of `portfolio` (default main.global) over `days`.

    Costs four reads per portfolio and one of at most 744 snapshots.
    """

    def view() -> Mapping[str, Any] | None:
        query = query_of(trading.current_request, "portfolio", "days")
        days = days_of(query.get("days", str(DAYS_MAX)))
        return Desk.office().read.pnl(query.get("portfolio", "main.global"), days)

    return answered(trading.current_request, view)


@trading.route("/markets", methods=["GET"])
def markets() -> Response:
    """Markets we hold, listed or see traded: `limit` (50 at most), `cursor`, `status`.

    A process reads them every 20 s: one read of at most 200 open positions per portfolio, 200
    trades, 1,000 market items; and one request to the venue for the books of a page.
    """

    def view() -> Mapping[str, Any]:
        query = query_of(trading.current_request, "limit", "cursor", "status")
        status = one_of(query, "status", *STATUSES)
        limit = limit_of(query, MARKETS_MAX)
        return Desk.office().markets.listing(query.get("cursor"), limit, status)

    return answered(trading.current_request, view)


@trading.route("/markets/{market}", methods=["GET"])
def market(market: str) -> Response:
    """One market: books, positions of all portfolios, our fills and how they fared.

    Costs what the list costs, at most four reads for each of 200 leaders, one venue request.
    """

    def view() -> Mapping[str, Any] | None:
        query_of(trading.current_request)
        return Desk.office().markets.one(condition_id(market, "market"))

    return answered(trading.current_request, view)


@trading.route("/market-lists", methods=["GET"])
def market_lists() -> Response:
    """The blacklist and the whitelist of markets and categories; one read."""

    def view() -> Mapping[str, Any]:
        query_of(trading.current_request)
        return Desk.office().read.market_lists()

    return answered(trading.current_request, view)


@trading.route("/market-lists", methods=["POST"])
def change_market_lists() -> Response:
    """Put a market or category on a list, or take it off; safe to repeat. Two reads, a commit."""

    def view() -> Mapping[str, Any]:
        request = trading.current_request
        query_of(request)
        ask, office, who = body_of(request, ListAsk), Desk.office(), who_of(request)
        if ask.action == "add":
            office.market_lists.add(ask.listing, ask.kind, ask.value, who=who, note=ask.note)
        else:
            office.market_lists.remove(ask.listing, ask.kind, ask.value, who=who)
        return office.read.market_lists()

    return changed(view)


@trading.route("/control/pause", methods=["POST"])
def control() -> Response:
    """Pause or resume one portfolio or all, or close the drawdown's breaker by hand.

    Costs three reads and at most one commit per executable portfolio.
    """

    def view() -> Mapping[str, Any]:
        request = trading.current_request
        query_of(request)
        ask, office, who = body_of(request, ControlAsk), Desk.office(), who_of(request)
        verbs = {
            "pause": office.control.pause,
            "resume": office.control.resume,
            "reset-breaker": office.control.reset_breaker,
        }
        done = verbs[ask.action](who, ask.portfolio)
        return {"changed": done, "portfolios": office.read.standings()}

    return changed(view)
