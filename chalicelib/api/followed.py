"""Followed users: list, detail, preview, follow, unfollow."""

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
from chalicelib.api.bodies import FollowAsk, StateAsk
from chalicelib.api.desk import Desk
from chalicelib.api.routes import Routes
from chalicelib.domain.identifiers import address
from chalicelib.domain.registry import Leader
from chalicelib.keyspace import leader_key

USERS_MAX = 50

followed = Routes(__name__)


@followed.route("/users", methods=["GET"])
def users() -> Response:
    """Users by address: `limit` (50 at most), `cursor`, `state`.

    Costs one query of all leaders and about ten reads per user shown.
    """

    def view() -> Mapping[str, Any]:
        query = query_of(followed.current_request, "limit", "cursor", "state")
        state = one_of(query, "state", "on", "sell_only", "off")
        return Desk.office().read.users(query.get("cursor"), limit_of(query, USERS_MAX), state)

    return answered(followed.current_request, view)


@followed.route("/users/preview", methods=["GET"])
def preview() -> Response:
    """Who `q` (an address or a name) may be, and what copying him would have cost.

    Costs at most four requests to the venue and 120 reads; nothing is written.
    """

    def view() -> Mapping[str, Any]:
        query = query_of(followed.current_request, "q")
        return Desk.office().preview(query.get("q", ""))

    return answered(followed.current_request, view)


@followed.route("/users/{leader}", methods=["GET"])
def user(leader: str) -> Response:
    """One user with his wallets and positions.

    Costs about thirty reads, and at most four for each of 200 positions.
    """

    def view() -> Mapping[str, Any] | None:
        query_of(followed.current_request)
        return Desk.office().read.user(address(leader, "leader"))

    return answered(followed.current_request, view)


@followed.route("/users", methods=["POST"])
def follow() -> Response:
    """Follow somebody, follow him again, or give him more wallets.

    Costs at most one request to the venue, the list of leaders, and one commit per portfolio.
    """

    def view() -> Mapping[str, Any]:
        query_of(followed.current_request)
        ask, office = body_of(followed.current_request, FollowAsk), Desk.office()
        named = office.preview.wallet_of(ask.who)
        wallets = [named.wallet, *ask.wallets]
        name = ask.name or named.name
        leader = office.follow(wallets, name, who=who_of(followed.current_request))
        return _row(leader)

    return changed(view, 201)


@followed.route("/users/{leader}", methods=["DELETE"])
def unfollow(leader: str) -> Response:
    """Stop copying somebody: `sell_only` while anything of him is held, then `off`.

    Costs the open positions and work of every executable portfolio.
    """

    def view() -> Mapping[str, Any] | None:
        query_of(followed.current_request)
        return _stopped(address(leader, "leader"))

    return changed(view)


@followed.route("/users/{leader}/state", methods=["POST"])
def set_state(leader: str) -> Response:
    """Copy a followed user again, or stop; costs what following or unfollowing costs."""

    def view() -> Mapping[str, Any] | None:
        query_of(followed.current_request)
        known = address(leader, "leader")
        ask, office = body_of(followed.current_request, StateAsk), Desk.office()
        if ask.state == "off":
            return _stopped(known)
        if office.store.get(Leader, leader_key(known)) is None:
            return None
        return _row(office.follow([known], who=who_of(followed.current_request)))

    return changed(view)


def _stopped(leader: str) -> Mapping[str, Any] | None:
    office = Desk.office()
    if office.store.get(Leader, leader_key(leader)) is None:
        return None
    return _row(office.unfollow(leader, who=who_of(followed.current_request)))


def _row(leader: Leader) -> dict[str, Any]:
    return {
        "leader": leader.leader,
        "name": leader.name,
        "wallets": list(leader.wallets),
        "state": leader.state,
        "followed_from": leader.followed_from,
    }
