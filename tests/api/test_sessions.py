"""Session cookies: what is signed, what is refused, and how a session ends."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chalicelib.api import signing
from chalicelib.api.access import REFRESH_MS, REFRESH_MS_MIN, Access, StoredAccess, access_from
from chalicelib.api.auth import new_session
from chalicelib.api.guard import Door
from chalicelib.api.session import (
    CLOCK_SKEW_S,
    SESSION_S,
    Session,
    cookie_values,
    session_cookie,
    session_of,
    sign_in_cookie,
)
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.services.sign_outs import READ_MS, SignOuts
from tests.api.signing_in import KEY, ORIGIN, OTHER_KEY, START_MS, Browser, Site

ACCESS = Access(ORIGIN, (KEY,), frozenset({"github:1", "google:2"}))
NAME = "__Host-papercopy"
NOW_S = START_MS // 1000
PARAMETERS = {
    "public_origin": ORIGIN,
    "session_key": KEY.decode(),
    "github_client_id": "id",
    "github_client_secret": "secret",
    "allowed_github_ids": "1, 583231",
}


def value_of(access: Access, session: Session) -> str:
    return session_cookie(access, session).partition(";")[0].partition("=")[2]


@pytest.fixture
def site() -> Site:
    return Site(ACCESS)


def signed_in(site: Site, subject: str = "github:1") -> Browser:
    made = new_session(subject, site.clock.now_ms() // 1000)
    return Browser(site, {site.access.session_name: value_of(site.access, made)})


def test_a_session_ends_by_itself(site: Site) -> None:
    browser = signed_in(site)
    site.clock.advance((SESSION_S - 1) * 1000)
    assert browser.get("/secret").status == 200
    site.clock.advance(1000)
    answer = browser.get("/secret")
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Session ")
    assert browser.get("/auth/session").body["signed_in"] is False


@pytest.mark.parametrize(
    ("issued", "expires"),
    [
        (0, SESSION_S + 1),
        (CLOCK_SKEW_S + 1, CLOCK_SKEW_S + 10),
        (-10, 0),
        (-SESSION_S * 10, 10),
    ],
)
def test_times_we_never_give_are_refused_though_signed(issued: int, expires: int) -> None:
    session = Session("github:1", "id", NOW_S + issued, NOW_S + expires)
    assert session_of(ACCESS, [f"{NAME}={value_of(ACCESS, session)}"], NOW_S) is None


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"sub": "github:1"},
        {"sub": "github:1", "sid": "a", "iat": "1", "exp": NOW_S + 5},
        {"sub": "github:1", "sid": "a", "iat": True, "exp": True},
        {"sub": "github:1", "sid": "", "iat": NOW_S, "exp": NOW_S + 5},
        {"sub": ["github:1"], "sid": "a", "iat": NOW_S, "exp": NOW_S + 5},
    ],
)
def test_a_signed_payload_of_another_form_is_no_session(payload: dict[str, object]) -> None:
    text = signing.sign(KEY, NAME, payload)
    assert session_of(ACCESS, [f"{NAME}={text}"], NOW_S) is None


@settings(max_examples=300, deadline=None)
@given(place=st.integers(0, 400), other=st.sampled_from("ABZaz09-_.=; ,\"'\\\x00é"))
def test_a_cookie_with_any_character_changed_is_refused(place: int, other: str) -> None:
    value = value_of(ACCESS, Session("github:1", "id", NOW_S, NOW_S + 60))
    place %= len(value)
    changed = value[:place] + other + value[place + 1 :]
    assert (session_of(ACCESS, [f"{NAME}={changed}"], NOW_S) is None) == (changed != value)


@given(text=st.text(max_size=300))
def test_no_other_text_is_a_session(text: str) -> None:
    assert session_of(ACCESS, [f"{NAME}={text}"], NOW_S) is None
    assert signing.read([KEY], NAME, text) is None


def test_the_payload_of_another_session_under_this_mac_is_refused() -> None:
    body, mac = value_of(ACCESS, Session("github:9", "id", NOW_S, NOW_S + 60)).split(".")
    own = json.dumps({"sub": "github:1", "sid": "id", "iat": NOW_S, "exp": NOW_S + 60})
    forged = urlsafe_b64encode(own.encode()).decode().rstrip("=")
    for text in (f"{forged}.{mac}", f"{forged}.", forged, f"{body}.{mac}.{mac}"):
        assert session_of(ACCESS, [f"{NAME}={text}"], NOW_S) is None


def test_a_cookie_of_another_purpose_is_no_session() -> None:
    text = sign_in_cookie(ACCESS, "n", "github", "/", NOW_S).partition(";")[0].partition("=")[2]
    assert session_of(ACCESS, [f"{NAME}={text}"], NOW_S) is None


def test_of_two_cookies_of_one_name_neither_is_taken(site: Site) -> None:
    value = value_of(ACCESS, Session("github:1", "id", NOW_S, NOW_S + 60))
    assert session_of(ACCESS, [f"{NAME}={value}"], NOW_S) is not None
    assert session_of(ACCESS, [f"{NAME}=x; {NAME}={value}"], NOW_S) is None
    assert session_of(ACCESS, [f"{NAME}={value}", f"{NAME}={value}"], NOW_S) is None
    assert cookie_values([f"a={'x' * 20_000}; {NAME}={value}"], NAME) == []


def test_a_replaced_key_signs_nobody_out_and_a_removed_one_everybody(site: Site) -> None:
    browser = signed_in(site)
    site.access = replace(ACCESS, keys=(OTHER_KEY, KEY))
    assert browser.get("/secret").status == 200
    assert signed_in(site).get("/secret").status == 200
    site.access = replace(ACCESS, keys=(OTHER_KEY,))
    assert browser.get("/secret").status == 401


def test_who_is_taken_off_the_list_is_out_at_once(site: Site) -> None:
    browser = signed_in(site, "google:2")
    assert browser.get("/secret").status == 200
    site.access = replace(ACCESS, subjects=frozenset({"github:1", "github:2"}))
    assert browser.get("/secret").status == 401


def test_signing_out_ends_every_copy_of_the_cookie(site: Site) -> None:
    browser = signed_in(site)
    copy, other = Browser(site, dict(browser.cookies)), signed_in(site)
    assert browser.get("/secret").status == 200
    assert browser.post("/auth/logout").body["signed_in"] is False
    assert browser.cookies == {}
    assert copy.get("/secret").status == 401
    assert copy.post("/auth/logout").status == 200
    assert other.get("/secret").status == 200


def test_another_process_learns_of_a_sign_out(site: Site) -> None:
    browser = signed_in(site)
    elsewhere = SignOuts(site.store, site.clock)
    copy = Browser(site, dict(browser.cookies))
    assert not elsewhere.has("unknown")
    browser.post("/auth/logout")
    Door.sign_outs = lambda: elsewhere
    site.clock.advance(READ_MS)
    assert copy.get("/secret").status == 401
    # What a sign-out is remembered for ends with the session itself.
    site.clock.advance(SESSION_S * 1000)
    assert not elsewhere.has(next(iter(site.sign_outs._ended)))


def test_a_local_cookie_and_a_deployed_one_are_never_mistaken() -> None:
    local = access_from({"public_origin": "http://127.0.0.1:8000", "session_key": KEY.decode()})
    assert (local.is_local, local.session_name) == (True, "papercopy-local-8000")
    assert local.origins == {"http://127.0.0.1:8000", "http://localhost:8000"}
    deployed = replace(ACCESS, subjects=frozenset({"local:owner"}))
    text = value_of(local, new_session("local:owner", NOW_S))
    assert session_of(local, [f"papercopy-local-8000={text}"], NOW_S) is not None
    assert session_of(deployed, [f"{NAME}={text}"], NOW_S) is None
    assert "local:owner" not in access_from(PARAMETERS).subjects


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("public_origin", ""),
        ("public_origin", "http://papercopy.example"),
        ("public_origin", "https://papercopy.example/"),
        ("public_origin", "https://papercopy.example/app"),
        ("public_origin", "https://user@papercopy.example"),
        ("public_origin", "https://Papercopy.example"),
        ("public_origin", "https://papercopy.example:99999"),
        ("public_origin", "papercopy.example"),
        ("session_key", ""),
        ("session_key", "short"),
        ("session_key_previous", "short"),
        ("allowed_github_ids", "octocat"),
        ("allowed_github_ids", "1;2"),
        ("allowed_github_ids", "٣"),
        ("allowed_google_subjects", "me@example.org"),
        ("allowed_github_ids", ",".join(str(n) for n in range(1, 102))),
    ],
)
def test_a_wrong_parameter_is_named_and_closes_the_api(site: Site, name: str, value: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        access_from({**PARAMETERS, name: value})
    assert caught.value.field == name
    assert not value or value not in str(caught.value)
    browser = signed_in(site)
    Door.access = StoredAccess(lambda: {**PARAMETERS, name: value}, site.clock.now_ms)
    for target in ("/secret", "/auth/session", "/auth/login?provider=github"):
        assert browser.get(target).status == 503
    assert browser.post("/secret").status == 503 and not site.written


def test_parameters_say_who_may_come_and_how() -> None:
    found = access_from(PARAMETERS)
    assert found.subjects == {"github:1", "github:583231"}
    assert found.ways == ["github"]
    both = {"google_client_id": "g", "google_client_secret": "s", "allowed_google_subjects": "7"}
    assert access_from({**PARAMETERS, **both}).ways == ["github", "google"]
    # A provider nobody is allowed from can sign nobody in; one without its secret is not offered.
    assert access_from({**PARAMETERS, "google_client_id": "g"}).ways == ["github"]


def test_keys_are_read_again_now_and_then_and_when_one_is_unknown(site: Site) -> None:
    stored = dict(PARAMETERS)
    reads: list[int] = []

    def read() -> dict[str, str]:
        reads.append(site.clock.now_ms())
        return dict(stored)

    Door.access = StoredAccess(read, site.clock.now_ms)
    browser = signed_in(site)
    assert browser.get("/secret").status == 200
    stored.update(session_key=OTHER_KEY.decode(), session_key_previous=KEY.decode())
    site.access = replace(ACCESS, keys=(OTHER_KEY,))
    newer = signed_in(site)
    assert newer.get("/secret").status == 401
    site.clock.advance(REFRESH_MS_MIN)
    assert newer.get("/secret").status == 200
    for _ in range(20):
        assert Browser(site, {NAME: "forged.forged"}).get("/secret").status == 401
    assert len(reads) == 2
    site.clock.advance(REFRESH_MS)
    browser.get("/secret")
    assert len(reads) == 3


@pytest.mark.parametrize(
    ("failure", "status"), [(Retryable("time-out"), 200), (Permanent("no such right"), 503)]
)
def test_a_store_of_parameters_that_fails_keeps_the_last_ones_only_for_a_while_of_its_own(
    site: Site, failure: PapercopyError, status: int
) -> None:
    answers: list[PapercopyError | None] = [None, failure]

    def read() -> dict[str, str]:
        error = answers.pop(0)
        if error:
            raise error
        return PARAMETERS

    Door.access = StoredAccess(read, site.clock.now_ms)
    browser = signed_in(site)
    assert browser.get("/secret").status == 200
    site.clock.advance(REFRESH_MS)
    assert browser.get("/secret").status == status
    assert answers == []


def test_without_any_parameters_the_api_is_closed_and_says_nothing_more(site: Site) -> None:
    def read() -> dict[str, str]:
        raise Retryable("secret detail")

    Door.access = StoredAccess(read, site.clock.now_ms)
    answer = signed_in(site).get("/secret")
    assert answer.status == 503
    assert "secret" not in str(answer.body)


def test_a_failing_handler_shows_nothing_of_it(site: Site) -> None:
    answer = signed_in(site).get("/broken")
    assert answer.status == 500
    assert "hidden" not in str(answer.body) and "ZeroDivision" not in str(answer.body)
