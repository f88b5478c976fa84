"""Sign-in against the deployed topology in moto: the functions' own keys, rights and routes."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from chalicelib.api.access import REFRESH_MS_MIN
from chalicelib.api.guard import Door
from infra.local.engine import AwsEngine
from infra.session_keys import main as session_keys

NOWHERE = dict.fromkeys(("DATA_API_URL", "GAMMA_API_URL", "CLOB_API_URL"), "http://127.0.0.1:9")


def ask(url: str, cookie: str = "", body: object = None) -> tuple[int, dict[str, str], Any]:
    """Status, headers and JSON; a body makes it a POST of the dashboard's own pages."""
    headers = {"Cookie": cookie}
    if body is not None:
        origin = "/".join(url.split("/")[:3])
        headers |= {"Content-Type": "application/json", "Origin": origin}
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, headers)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, _by_name(answer), json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, _by_name(error), json.loads(error.read())


def _by_name(answer: Any) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


def test_a_link_opens_the_deployed_api_and_a_replaced_key_keeps_it_open() -> None:
    with AwsEngine(environment=NOWHERE, schedules=False, time_scale=0.01) as engine:
        assert engine.sign_in is not None
        api = f"{engine.api_url}/api"
        assert ask(f"{api}/health")[0] == 200
        assert ask(f"{api}/overview")[0] == 401
        token = engine.sign_in.link().split("token=")[1]
        status, headers, _ = ask(f"{api}/auth/local", body={"token": token})
        assert status == 200
        cookie = headers["set-cookie"].partition(";")[0]
        assert ask(f"{api}/overview", cookie)[0] == 200
        status, _, shown = ask(f"{api}/auth/session", cookie)
        assert (status, shown["subject"], shown["ways"]) == (200, "local:owner", ["local"])
        assert session_keys(["--stage", "local", "--endpoint-url", engine.endpoint_url]) == 0
        now = Door.now_ms
        Door.access._now_ms = lambda: now() + 40 * REFRESH_MS_MIN  # type: ignore[attr-defined]
        assert ask(f"{api}/overview", cookie)[0] == 200
        assert ask(f"{api}/auth/logout", cookie, {})[0] == 200
        assert ask(f"{api}/overview", cookie)[0] == 401
        assert ask(f"{api}/auth/local", body={"token": token})[0] == 403
        refused = [error for error in engine.runtime.errors if "may not" in error["errorMessage"]]
        assert refused == []


def test_keys_are_made_and_replaced_and_the_one_before_is_kept(new_engine: Any) -> None:
    with new_engine() as engine:
        ssm = engine.client("ssm")
        names = [f"/papercopy/fresh/auth/session_key{tail}" for tail in ("", "_previous")]

        def stored() -> list[str]:
            found = ssm.get_parameters(Names=names, WithDecryption=True)["Parameters"]
            assert all(row["Type"] == "SecureString" for row in found)
            by_name = {row["Name"]: row["Value"] for row in found}
            return [by_name[name] for name in names if name in by_name]

        words = ["--stage", "fresh", "--endpoint-url", engine.endpoint_url]
        assert session_keys(words) == 0
        (first,) = stored()
        assert session_keys(words) == 0
        second, previous = stored()
        assert previous == first != second
        assert len(second) >= 48
