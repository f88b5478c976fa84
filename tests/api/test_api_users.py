"""Users: listed, previewed, followed by address and name, unfollowed; every change is audited."""

from __future__ import annotations

import pytest

from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.registry import Leader
from chalicelib.keyspace import leader_key
from chalicelib.ports import Holding, Profile
from tests.api.calling import trading
from tests.api.office import Office
from tests.workflow.harness import LEADER, OTHER, T0, TOKEN, M, System

NEW = "0x" + "7" * 40
TWIN = "0x" + "8" * 40


@pytest.fixture
def api() -> Office:
    return Office(System())


def event(
    side: str, cash: int, *, at: int = T0 // 1000 - 100, shares: int | None = None
) -> ActivityEvent:
    return ActivityEvent(
        kind="TRADE",
        wallet=NEW,
        tx_hash="0x" + "a" * 64,
        timestamp=at,
        condition_id="",
        token_id=TOKEN,
        side=side,  # type: ignore[arg-type]
        shares=shares or cash * 2,
        cash=cash,
        price_e10=5_000_000_000,
        fee=None,
        role=None,
    )


def test_following_an_address_opens_portfolios_and_is_audited(api: Office) -> None:
    answer = api.post("/api/users", {"who": NEW.upper().replace("0X", "0x"), "name": "gus"})
    assert (answer.status, answer.body["leader"], answer.body["state"]) == (201, NEW, "on")
    (row,) = api.audited("leader.follow")
    assert (row["actor"], row["subject"]) == ("local:owner", NEW)
    found = api.get(f"/api/users/{NEW}").body
    assert found["copy"]["equity_micros"] == 10_000 * M
    assert found["shadow"]["portfolio_id"] == f"shadow/{NEW}"
    assert [wallet["wallet"] for wallet in found["followed_wallets"]] == [NEW]


def test_following_twice_changes_nothing(api: Office) -> None:
    for _ in range(2):
        assert api.post("/api/users", {"who": NEW}).status == 201
    assert len(api.audited("leader.follow")) == 1
    assert len(api.get("/api/users").items) == 1


def test_a_name_must_mean_one_user(api: Office) -> None:
    api.profiles.users = [Profile(NEW, "Gus"), Profile(TWIN, "Gustav")]
    assert api.post("/api/users", {"who": "gus"}).body["leader"] == NEW
    api.profiles.users = [Profile(NEW, "Gus"), Profile(TWIN, "gus")]
    refused = api.post("/api/users", {"who": "gus"})
    assert refused.status == 400 and refused.body["detail"].startswith("who: ")
    assert api.post("/api/users", {"who": "nobody"}).status == 400


def test_a_silent_venue_is_no_user(api: Office) -> None:
    api.profiles.down = True
    assert api.post("/api/users", {"who": "gus"}).status == 503
    assert api.get("/api/users").items == []
    assert api.post("/api/users", {"who": NEW}).body["name"] == NEW[:10]


def test_wallets_of_another_are_refused(api: Office) -> None:
    api.post("/api/users", {"who": NEW})
    answer = api.post("/api/users", {"who": TWIN, "wallets": [NEW]})
    assert answer.status == 400 and answer.body["detail"].startswith("wallets: ")


def test_unfollowing_ends_in_off_and_following_again_in_on(api: Office) -> None:
    api.post("/api/users", {"who": NEW})
    gone = api.call("DELETE", f"/api/users/{NEW}")
    assert (gone.status, gone.body["state"]) == (200, "off")
    assert api.audited("leader.unfollow")[0]["actor"] == "local:owner"
    again = api.post(f"/api/users/{NEW}/state", {"state": "on"})
    assert (again.status, again.body["state"]) == (200, "on")
    assert api.post(f"/api/users/{NEW}/state", {"state": "off"}).body["state"] == "off"


def test_who_was_never_followed_is_not_found(api: Office) -> None:
    assert api.get(f"/api/users/{NEW}").status == 404
    assert api.call("DELETE", f"/api/users/{NEW}").status == 404
    for state in ("on", "off"):
        assert api.post(f"/api/users/{NEW}/state", {"state": state}).status == 404
    assert api.system.store.get(Leader, leader_key(NEW)) is None


def test_who_is_still_held_is_sell_only() -> None:
    api = Office(trading(days=1, trades_per_day=3))
    assert api.call("DELETE", f"/api/users/{LEADER}").body["state"] == "sell_only"


def test_users_are_paged_by_address_and_filtered_by_state() -> None:
    api = Office(System())
    wallets = [f"0x{number:040x}" for number in range(1, 8)]
    for wallet in wallets:
        api.post("/api/users", {"who": wallet})
    api.call("DELETE", f"/api/users/{wallets[2]}")
    found, cursor = [], ""
    for _ in range(4):
        body = api.get(f"/api/users?limit=2{cursor}").body
        found += [row["leader"] for row in body["items"]]
        cursor = f"&cursor={body['next_cursor']}"
    assert (found, body["next_cursor"]) == (wallets, None)
    off = api.get("/api/users?state=off").items
    assert [row["leader"] for row in off] == [wallets[2]]


def test_a_user_shows_what_he_holds_and_what_we_hold_of_him() -> None:
    api = Office(trading(days=1, trades_per_day=6))
    api.system.services.mark_portfolios()
    found = api.get(f"/api/users/{LEADER}").body
    ours, his = found["positions"]["copy"]["items"], found["positions"]["shadow"]["items"]
    assert [row["portfolio_id"] for row in his] == [f"shadow/{LEADER}"]
    assert ours[0]["question"] == "Will it rain?" and ours[0]["shares_micros"] > 0
    assert sum(row["value_micros"] for row in ours) == found["copy"]["positions_value_micros"]
    assert {row["leader"] for row in api.get("/api/users").items} == {LEADER, OTHER}


def test_a_preview_says_what_is_known_and_what_copying_would_have_cost(api: Office) -> None:
    api.system.follow()
    api.profiles.users = [Profile(NEW, "gus", "Mealy-Oar")]
    api.profiles.events = (event("BUY", 100 * M), event("BUY", 900 * M), event("SELL", 50 * M))
    api.profiles.takers = 1
    api.profiles.held = (Holding(TOKEN, 10 * M, 400_000),)
    body = api.get("/api/users/preview?q=gus").body
    found = body["leader"]
    assert (found["wallet"], found["name"], found["state"]) == (NEW, "gus", None)
    assert found["activity"]["trades"] == 3 and found["activity"]["buys"] == 2
    assert found["activity"]["median_cash_micros"] == 100 * M
    assert found["maker_share_micros"] == 666_666
    assert found["holdings"]["value_micros"] == 4 * M
    estimate = found["copying"]
    # One percent of 100 is below the minimum of 5; of 900 it is 9: at half a dollar a share.
    assert (estimate["buys"], estimate["cash_micros"]) == (2, 14 * M)
    assert estimate["guard_cost_micros"] == 28 * 10_000
    assert "Estimate" in estimate["label"]
    assert api.get("/api/users").items[0]["leader"] == LEADER


def test_a_preview_asks_the_venue_at_most_four_times(api: Office) -> None:
    api.profiles.users = [Profile(NEW, "gus")]
    api.profiles.events = (event("BUY", 100 * M),)
    api.get("/api/users/preview?q=gus")
    assert len(api.profiles.calls) == 4


def test_a_preview_shows_what_it_has_when_the_venue_falls_silent(api: Office) -> None:
    def silent(wallet: str) -> object:
        api.profiles.down = True
        return api.profiles.holdings(wallet)

    api.profiles.users = [Profile(NEW, "gus")]
    api.profiles.recent = silent  # type: ignore[method-assign, assignment]
    found = api.get("/api/users/preview?q=gus").body["leader"]
    assert found["activity"] is found["holdings"] is found["copying"] is None


@pytest.mark.parametrize("text", ["", "%20", "x" * 81, "0x12", "%00"])
def test_a_preview_of_nobody_is_refused(api: Office, text: str) -> None:
    answer = api.get(f"/api/users/preview?q={text}")
    assert answer.status == 400 and answer.body["detail"].startswith("q: ")
