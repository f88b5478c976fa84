"""Sign-in by authorization code with PKCE against a provider of our own, and every way it fails."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from chalicelib.api.access import Access
from chalicelib.api.auth import return_path
from chalicelib.api.session import SESSION_S, SIGN_IN_S
from chalicelib.api.throttle import PER_SOURCE_MAX, Throttle
from chalicelib.domain.errors import InvalidInput, Retryable
from tests.api.oauth_double import CLIENT_SECRET, TOKEN, Provider, provider
from tests.api.signing_in import KEY, ORIGIN, OTHER_KEY, Answer, Browser, Site

ADDRESS = "/#/overview?decision=SKIP&attempt=abc"


@pytest.fixture
def double() -> Iterator[Provider]:
    with provider() as made:
        yield made


@pytest.fixture
def site(double: Provider) -> Site:
    subjects = frozenset({"github:583231", "google:10769150350006150715113082367"})
    clients = {name: double.client(name) for name in ("github", "google")}
    return Site(Access(ORIGIN, (KEY,), subjects, clients))


@pytest.fixture
def browser(site: Site) -> Browser:
    return Browser(site)


def begin(browser: Browser, name: str = "github", **headers: str) -> Answer:
    answer = browser.get("/auth/login", {"provider": name, "return_to": ADDRESS}, **headers)
    assert answer.status == 303
    return answer


def finish(browser: Browser, code: str, state: str, name: str = "github", **headers: str) -> Answer:
    return browser.get(f"/auth/callback/{name}", {"code": code, "state": state}, **headers)


def sign_in(browser: Browser, double: Provider, name: str = "github") -> Answer:
    return finish(browser, *double.authorize(begin(browser, name).location), name)


def refused(browser: Browser, answer: Answer, status: int) -> str:
    """The refusal's sentence; nobody is signed in."""
    assert answer.status == status
    assert browser.site.access.session_name not in browser.cookies
    assert browser.get("/secret").status == 401
    assert CLIENT_SECRET not in str(answer) and TOKEN not in str(answer)
    return str(answer.body["detail"])


@pytest.mark.parametrize(
    ("name", "user_id"), [("github", 583231), ("google", "10769150350006150715113082367")]
)
def test_who_is_on_the_list_is_signed_in_and_back_where_he_was(
    browser: Browser, double: Provider, name: str, user_id: object
) -> None:
    double.user_id = user_id
    assert browser.get("/secret").status == 401
    answer = sign_in(browser, double, name)
    assert (answer.status, answer.location) == (303, ORIGIN + ADDRESS)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert list(browser.cookies) == ["__Host-papercopy"]
    assert browser.get("/secret").body == {"secret": "figures"}
    shown = browser.get("/auth/session").body
    assert (shown["signed_in"], shown["subject"]) == (True, f"{name}:{user_id}")
    assert shown["expires_at"] == (browser.site.clock.now_ms() // 1000 + SESSION_S) * 1000
    assert double.asked == ["POST /token", "GET /user"]


def test_the_session_is_strict_and_the_sign_in_lax(browser: Browser, double: Provider) -> None:
    begun = begin(browser)
    assert "SameSite=Lax" in begun.cookies[0]
    done = finish(browser, *double.authorize(begun.location))
    assert "SameSite=Strict" in next(c for c in done.cookies if c.startswith("__Host-papercopy="))


def test_nothing_in_the_browser_or_its_address_gives_the_verifier_away(
    browser: Browser, double: Provider
) -> None:
    begun = begin(browser)
    finish(browser, *double.authorize(begun.location))
    (form,) = double.forms
    assert len(form["code_verifier"]) == 43
    assert form["code_verifier"] not in begun.location + "".join(begun.cookies)
    query = parse_qs(urlsplit(begun.location).query)
    assert query["state"][0] not in "".join(begun.cookies)
    assert query["redirect_uri"] == [f"{ORIGIN}/api/auth/callback/github"]


def test_another_browsers_state_is_refused_before_the_provider_is_asked(
    browser: Browser, double: Provider, site: Site
) -> None:
    begin(browser)
    code, state = double.authorize(begin(Browser(site)).location)
    assert "did not begin in this browser" in refused(browser, finish(browser, code, state), 403)
    assert double.asked == []


@pytest.mark.parametrize("state", ["", "x", "\u00e9", "x" * 5000])
def test_a_wrong_state_is_refused(browser: Browser, double: Provider, state: str) -> None:
    code, _ = double.authorize(begin(browser).location)
    refused(browser, finish(browser, code, state), 403)
    assert double.asked == []


def test_a_callback_without_a_sign_in_under_way_is_refused(
    browser: Browser, double: Provider, site: Site
) -> None:
    code, state = double.authorize(begin(Browser(site)).location)
    refused(browser, finish(browser, code, state), 403)


def test_one_providers_answer_is_not_taken_for_the_others(
    browser: Browser, double: Provider
) -> None:
    code, state = double.authorize(begin(browser, "github").location)
    refused(browser, finish(browser, code, state, "google"), 403)
    assert double.asked == []


def test_a_sign_in_that_took_too_long_is_refused(browser: Browser, double: Provider) -> None:
    code, state = double.authorize(begin(browser).location)
    browser.site.clock.advance((SIGN_IN_S + 1) * 1000)
    refused(browser, finish(browser, code, state), 403)


def test_a_code_serves_once(browser: Browser, double: Provider) -> None:
    begun = begin(browser)
    code, state = double.authorize(begun.location)
    kept = dict(browser.cookies)
    assert finish(browser, code, state).status == 303
    thief = Browser(browser.site, kept)
    assert "does not accept" in refused(thief, finish(thief, code, state), 403)
    again = Browser(browser.site)
    refused(again, finish(again, code, state), 403)


def test_a_code_that_was_asked_for_with_another_verifier_is_refused(
    browser: Browser, double: Provider, site: Site
) -> None:
    """Somebody brings a code of his own sign-in into this browser, with the right state."""
    stolen, _ = double.authorize(begin(Browser(site)).location)
    _, state = double.authorize(begin(browser).location)
    assert "does not accept" in refused(browser, finish(browser, stolen, state), 403)


def test_declining_at_the_provider_signs_nobody_in(browser: Browser, double: Provider) -> None:
    _, state = double.authorize(begin(browser).location)
    answer = browser.get("/auth/callback/github", {"error": "access_denied", "state": state})
    refused(browser, answer, 403)
    assert double.asked == []


def test_who_is_not_on_the_list_is_told_his_number(browser: Browser, double: Provider) -> None:
    double.user_id = 99
    answer = sign_in(browser, double)
    assert "github:99 is not on the list" in refused(browser, answer, 403)


def test_a_number_allowed_for_one_provider_is_worth_nothing_at_the_other(
    browser: Browser, double: Provider
) -> None:
    double.user_id = 583231
    refused(browser, sign_in(browser, double, "google"), 403)


@pytest.mark.parametrize("user_id", [None, True, "octocat", "", 1.5, ["583231"], "٣"])
def test_a_provider_that_does_not_say_who_it_is_signs_nobody_in(
    browser: Browser, double: Provider, user_id: object
) -> None:
    double.user_id = user_id
    refused(browser, sign_in(browser, double), 503)


@pytest.mark.parametrize("fault", ["down", "garbage", "huge", "redirect", "nobody"])
def test_a_provider_out_of_order_is_503_and_nothing_leaks(
    browser: Browser, double: Provider, fault: str
) -> None:
    double.fault = fault
    assert "does not answer" in refused(browser, sign_in(browser, double), 503)
    assert "GET /elsewhere" not in double.asked


def test_a_provider_that_cannot_be_reached_is_503(browser: Browser, double: Provider) -> None:
    gone = replace(double.client("github").endpoints, token_url="http://127.0.0.1:9/token")
    client = replace(double.client("github"), endpoints=gone)
    browser.site.access = replace(browser.site.access, providers={"github": client})
    refused(browser, sign_in(browser, double), 503)


@pytest.mark.parametrize("name", ["", "gitlab", "local", "GitHub"])
def test_an_unknown_provider_is_404(browser: Browser, name: str) -> None:
    answer = browser.get("/auth/login", {"provider": name})
    assert "github, google" in refused(browser, answer, 404)
    refused(browser, browser.get("/auth/callback/gitlab?code=a&state=b"), 404)


AWAY = [
    "https://evil.example/",
    "//evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/..//evil.example",
    "/%0d%0aSet-Cookie:a=b\r\n",
    "/a\tb",
    "javascript:alert(1)",
    "evil.example",
    "",
    "/api/auth/logout",
    "/api",
    "@evil.example",
    ".evil.example",
    "/\u2028evil",
    "/" + "a" * 2_000,
]


@pytest.mark.parametrize("target", AWAY)
def test_no_address_leads_away_from_here(browser: Browser, target: str) -> None:
    with pytest.raises(InvalidInput):
        return_path(target)
    if target:
        answer = browser.get("/auth/login", {"provider": "github", "return_to": target})
        assert refused(browser, answer, 400).startswith("return_to: ")


def test_a_browser_is_led_back_and_told_why(browser: Browser, double: Provider) -> None:
    """A person who navigates gets the dashboard, not JSON, and keeps his address."""
    double.user_id = 99
    location = begin(browser).location
    answer = finish(browser, *double.authorize(location), Sec_Fetch_Mode="navigate")
    expected = f"{ORIGIN}/?sign_in=not_allowed#/overview?decision=SKIP&attempt=abc"
    assert (answer.status, answer.location) == (303, expected)
    assert browser.cookies == {}
    unknown = browser.get("/auth/login", {"provider": "x"}, Sec_Fetch_Mode="navigate")
    assert unknown.location == f"{ORIGIN}/?sign_in=refused"


def test_attempts_are_bounded_and_the_bound_ends(browser: Browser, double: Provider) -> None:
    for _ in range(PER_SOURCE_MAX):
        assert browser.get("/auth/login", {"provider": "github"}).status == 303
    answer = browser.get("/auth/login", {"provider": "github"})
    wait_s = int(answer.headers["retry-after"])
    assert "Too many" in refused(browser, answer, 429)
    refused(browser, finish(browser, "code", "state"), 429)
    assert 0 < wait_s <= 60
    assert double.asked == []
    browser.site.clock.advance(wait_s * 1000)
    assert sign_in(browser, double).status == 303


def test_sources_are_bounded_apart_and_together() -> None:
    throttle = Throttle(per_source=2, in_all=3)
    assert [throttle.wait_s("a", 0) for _ in range(3)] == [0, 0, 60]
    assert [throttle.wait_s("b", 30_000) for _ in range(2)] == [0, 30]
    assert throttle.wait_s("b", 60_000) == 0


def test_the_log_holds_no_secret(
    browser: Browser, double: Provider, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    begun = begin(browser)
    code, state = double.authorize(begun.location)
    finish(browser, code, state)
    double.fault = "down"
    sign_in(browser, double)
    own = "\n".join(r.getMessage() for r in caplog.records if r.name.startswith("chalicelib"))
    for secret in (code, state, TOKEN, CLIENT_SECRET, *browser.cookies.values()):
        assert secret not in own
    assert "github:583231 signed in" in own
    assert CLIENT_SECRET not in repr(double.client("github"))


def test_a_sign_in_begun_with_the_previous_key_is_finished(
    browser: Browser, double: Provider
) -> None:
    code, state = double.authorize(begin(browser).location)
    browser.site.access = replace(browser.site.access, keys=(OTHER_KEY, KEY))
    assert finish(browser, code, state).status == 303
    assert browser.get("/secret").status == 200


def test_without_a_store_nobody_gets_in_and_the_reason_is_said(
    browser: Browser, double: Provider
) -> None:
    sign_in(browser, double)
    browser.site.clock.advance(60_000)

    def broken(*_: object, **__: object) -> list[object]:
        raise Retryable("the store does not answer")

    browser.site.store.query = broken  # type: ignore[assignment, method-assign]
    assert browser.get("/secret").status == 503
    assert browser.get("/auth/session").status == 503
    ended = browser.post("/auth/logout")
    assert ended.status == 503 and browser.cookies == {}
