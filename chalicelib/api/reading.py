"""The pages' data: health, overview, trades, copy attempts, completeness, latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, get_args

from chalice.app import Response

from chalicelib.api.asked import View, answered, limit_of, one_of, query_of, range_of
from chalicelib.api.routes import Routes
from chalicelib.domain.identifiers import address, condition_id
from chalicelib.domain.paper_order import AttemptStatus
from chalicelib.domain.reasons import Reason
from chalicelib.services.read_models import ReadModels, Wanted

VERSION = "0.1.0"
_FILTERS = ("portfolio", "leader", "market", "decision", "status", "reason", "from", "until")
STATUSES = get_args(AttemptStatus)

reading = Routes(__name__)


class Sources:
    """What the routes read from; the engine sets it before the first request."""

    read: Callable[[], ReadModels]
    health: Callable[[], Mapping[str, object]]


def _query(*allowed: str) -> dict[str, str]:
    return query_of(reading.current_request, *allowed)


def _answered(view: View) -> Response:
    return answered(reading.current_request, view)


@reading.route("/health", methods=["GET"])
def health() -> Response:
    """Whether the system works; open to everybody.

    Costs two small listings, the leaders and their settings; queue depths are kept for 30 s.
    """

    def view() -> Mapping[str, Any]:
        _query()
        return Sources.health()

    return _answered(view)


@reading.route("/overview", methods=["GET"])
def overview() -> Response:
    """Leaders, portfolios with equity, totals.

    Costs three reads per portfolio and two per leader, of which 200 can be followed; a portfolio
    that moved since its last snapshot costs its positions.
    """

    def view() -> Mapping[str, Any]:
        _query()
        return Sources.read().overview()

    return _answered(view)


@reading.route("/trades", methods=["GET"])
def trades() -> Response:
    """Leaders' trades, newest first: `limit`, `cursor`, `leader`, `market`, `from`, `until`.

    A page reads at most 1,000 rows in 20 reads, and its cursor goes on from there.
    """

    def view() -> Mapping[str, Any]:
        query = _query("limit", "cursor", "leader", "market", "from", "until")
        return Sources.read().trades(
            query.get("cursor"),
            limit_of(query),
            _leader(query),
            _market(query),
            range_of(query),
        )

    return _answered(view)


@reading.route("/copy-attempts", methods=["GET"])
def copy_attempts() -> Response:
    """Copy attempts, newest first, filtered by what the parameters name.

    `limit`, `cursor`, `portfolio`, `leader`, `market`, `decision`, `status`, `reason`, `from`,
    `until`. A page reads at most 1,000 rows in 20 reads, and its cursor goes on from there.
    """

    def view() -> Mapping[str, Any]:
        query = _query("limit", "cursor", *_FILTERS)
        which = Wanted(
            portfolio=query.get("portfolio"),
            decision=one_of(query, "decision", "EXECUTE", "SKIP"),
            leader=_leader(query),
            market=_market(query),
            reason=one_of(query, "reason", *Reason),
            status=one_of(query, "status", *STATUSES),
            within=range_of(query),
        )
        return Sources.read().copy_attempts(query.get("cursor"), limit_of(query), which)

    return _answered(view)


def _leader(query: Mapping[str, str]) -> str | None:
    return address(query["leader"], "leader") if "leader" in query else None


def _market(query: Mapping[str, str]) -> str | None:
    return condition_id(query["market"], "market") if "market" in query else None


@reading.route("/copy-attempts/{attempt}", methods=["GET"])
def copy_attempt(attempt: str) -> Response:
    """One attempt in full, named by the `ref` of its row.

    Costs five reads and the list of leaders.
    """

    def view() -> Mapping[str, Any] | None:
        _query()
        return Sources.read().copy_attempt(attempt)

    return _answered(view)


@reading.route("/copy-attempts/{attempt}/tape", methods=["GET"])
def tape(attempt: str) -> Response:
    """The recorded book around one attempt.

    Costs two reads and one query of the tape's segments.
    """

    def view() -> Mapping[str, Any] | None:
        _query()
        return Sources.read().tape(attempt)

    return _answered(view)


@reading.route("/completeness", methods=["GET"])
def completeness() -> Response:
    """What was detected per leader and hour, newest first: `limit`, `cursor`, `leader`.

    A page reads at most 1,000 rows in 20 reads, and its cursor goes on from there.
    """

    def view() -> Mapping[str, Any]:
        query = _query("limit", "cursor", "leader")
        leader = address(query["leader"], "leader") if "leader" in query else None
        return Sources.read().completeness(query.get("cursor"), limit_of(query), leader)

    return _answered(view)


@reading.route("/latency", methods=["GET"])
def latency() -> Response:
    """How long after its block a trade was seen, decided, placed and done: percentiles of a day.

    Costs one query of 24 rows per leader ever followed.
    """

    def view() -> Mapping[str, Any]:
        _query()
        return Sources.read().latency()

    return _answered(view)


@reading.route("/portfolios/{portfolio}", methods=["GET"])
def portfolio_(portfolio: str) -> Response:
    """One portfolio's measures; dots stand for the slashes of its name.

    Costs five reads, and one per leader it holds shares of.
    """

    def view() -> Mapping[str, Any] | None:
        _query()
        return Sources.read().portfolio(portfolio)

    return _answered(view)


@reading.route("/portfolios/{portfolio}/snapshots", methods=["GET"])
def snapshots(portfolio: str) -> Response:
    """What a portfolio was worth over `span`: 1h, 1d (default), 7d, 30d or all.

    Costs three reads, one of them of at most 1,000 snapshots.
    """

    def view() -> Mapping[str, Any] | None:
        return Sources.read().snapshots(portfolio, _query("span").get("span", "1d"))

    return _answered(view)


@reading.route("/users/{leader}/performance", methods=["GET"])
def performance(leader: str) -> Response:
    """How copying a leader fares over `span`: 1h, 1d, 7d (default), 30d or all.

    Costs about twenty reads, one of them of 24 hours.
    """

    def view() -> Mapping[str, Any] | None:
        span = _query("span").get("span", "7d")
        return Sources.read().performance(address(leader, "leader"), span)

    return _answered(view)


@reading.route("/skip-ledger", methods=["GET"])
def skip_ledger() -> Response:
    """What skipped signals would have earned: `portfolio` (default main.global), `leader`.

    Costs two reads and one query of at most 500 leaders.
    """

    def view() -> Mapping[str, Any] | None:
        query = _query("portfolio", "leader")
        leader = address(query["leader"], "leader") if "leader" in query else None
        return Sources.read().skip_ledger(query.get("portfolio", "main.global"), leader)

    return _answered(view)
