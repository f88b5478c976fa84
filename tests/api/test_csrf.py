"""Writes come from our own pages: every other origin, relation or body type is refused."""

from __future__ import annotations

import pytest

from chalicelib.api.access import Access, local_access
from chalicelib.api.auth import new_session
from chalicelib.api.session import session_cookie
from tests.api.signing_in import KEY, ORIGIN, Browser, Site

ACCESSES = (Access(ORIGIN, (KEY,), frozenset({"github:1"})), local_access(8000, (KEY,)))
SUBJECTS = {ORIGIN: "github:1", "http://127.0.0.1:8000": "local:owner"}


@pytest.fixture(params=ACCESSES, ids=["deployed", "local"])
def browser(request: pytest.FixtureRequest) -> Browser:
    site = Site(request.param)
    session = new_session(SUBJECTS[site.access.origin], site.clock.now_ms() // 1000)
    text = session_cookie(site.access, session).partition(";")[0].partition("=")[2]
    return Browser(site, {site.access.session_name: text})


def test_our_own_pages_may_write(browser: Browser) -> None:
    assert browser.post("/secret").status == 200
    assert browser.post("/secret", Sec_Fetch_Site="").status == 200
    assert browser.post("/secret", Content_Type="application/json; charset=utf-8").status == 200
    assert len(browser.site.written) == 3


FOREIGN = [
    "",
    "null",
    "https://evil.example",
    "https://papercopy.example.evil.example",
    "https://evil-papercopy.example",
    "https://sub.papercopy.example",
    "http://papercopy.example",
    "https://papercopy.example:8443",
    "https://papercopy.example/",
    "HTTPS://PAPERCOPY.EXAMPLE",
    "http://127.0.0.1:8001",
    "http://localhost",
    "https://localhost:8000",
    "http://127.0.0.1.evil.example:8000",
]


@pytest.mark.parametrize("origin", FOREIGN)
@pytest.mark.parametrize("target", ["/secret", "/auth/logout"])
def test_a_write_of_another_origin_is_refused(browser: Browser, origin: str, target: str) -> None:
    assert browser.post(target, Origin=origin).status == 403
    assert browser.site.written == []
    assert browser.get("/secret").status == 200


@pytest.mark.parametrize("relation", ["cross-site", "same-site", "none", "same-origin, cross-site"])
def test_a_request_that_the_browser_calls_foreign_is_refused(
    browser: Browser, relation: str
) -> None:
    assert browser.post("/secret", Sec_Fetch_Site=relation).status == 403
    assert browser.site.written == []


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "text/plain; application/json",
        "application/json-patch+json",
    ],
)
def test_what_a_form_can_send_is_refused(browser: Browser, kind: str) -> None:
    assert browser.post("/secret", Content_Type=kind).status == 415
    assert browser.site.written == []


def test_two_origins_are_none(browser: Browser) -> None:
    cookie = "; ".join(f"{name}={value}" for name, value in browser.cookies.items())
    own = ("Origin", browser.site.access.origin)
    foreign = ("Origin", "https://evil.example")
    for origins in ([foreign, own], [own, foreign], [own, own]):
        headers = [*origins, ("Content-Type", "application/json"), ("Cookie", cookie)]
        assert browser.site.ask("POST", "/secret", headers).status == 403
    assert browser.site.written == []


def test_a_write_without_a_session_is_401_and_without_an_origin_403(browser: Browser) -> None:
    stranger = Browser(browser.site)
    assert stranger.post("/secret").status == 401
    assert stranger.post("/secret", Origin="https://evil.example").status == 403
    assert browser.site.written == []
