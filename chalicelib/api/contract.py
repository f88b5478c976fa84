"""The API's OpenAPI 3.1 document, from the table of operations and the shapes of their answers.

Written to `docs/openapi.json` by `python -m chalicelib.api.contract`, and served by the API.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from chalicelib.api import bodies, shapes
from chalicelib.api.asked import PAGE_DEFAULT
from chalicelib.api.auth import auth
from chalicelib.api.configuring import configuring
from chalicelib.api.followed import USERS_MAX, followed
from chalicelib.api.guard import OPEN
from chalicelib.api.reading import STATUSES, VERSION, reading
from chalicelib.api.records import TOKEN_HEADER, records
from chalicelib.api.routes import Routes
from chalicelib.api.trading import MARKETS_MAX, trading
from chalicelib.api.watching import watching
from chalicelib.domain.reasons import Reason
from chalicelib.domain.snapshot import SPANS
from chalicelib.services.read_models import PAGE_MAX
from chalicelib.services.read_models.markets import STATUSES as MARKET_STATUSES
from chalicelib.services.read_models.pnl import DAYS_MAX

BLUEPRINTS: tuple[Routes, ...] = (
    auth,
    reading,
    records,
    followed,
    trading,
    configuring,
    watching,
)
Json = dict[str, Any]
_ADDRESS = {"type": "string", "pattern": "^0x[0-9a-fA-F]{40}$"}
_CONDITION = {"type": "string", "pattern": "^0x[0-9a-fA-F]{62}([0-9a-fA-F]{2})?$"}
_TEXT = {"type": "string"}
_TS = {"type": "integer", "minimum": 0, "maximum": 9_999_999_999_999}
_SPAN = {"type": "string", "enum": list(SPANS)}
_SESSION = {"type": "apiKey", "in": "cookie", "name": "__Host-papercopy"}
_TAG = {"type": "string", "pattern": "^[0-9a-f]{16}$"}
_PROBLEMS = {
    304: "What the caller has already; no body.",
    400: "A parameter or the body is wrong; the detail names it.",
    401: "Nobody is signed in.",
    403: "Not from the dashboard's own pages, or the admin token is missing.",
    404: "There is nothing of this name.",
    409: "Somebody else changed it first; read it again.",
    415: "The body is not JSON.",
    429: "Too many tries; Retry-After says how long to wait.",
    503: "Temporarily unavailable.",
}


def _limit(most: int = PAGE_MAX) -> Json:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": min(PAGE_DEFAULT, most)}


def _one_of(*values: str) -> Json:
    return {"type": "string", "enum": list(values)}


@dataclass(frozen=True, slots=True)
class Operation:
    """One route: its answer, the parameters it knows, its body, and what else it may say.

    Without a `shape` the answer is no JSON, and `kinds` are its media types.
    """

    shape: type[BaseModel] | None
    query: Mapping[str, Json] | None = None
    body: type[BaseModel] | None = None
    status: int = 200
    also: Sequence[int] = ()
    kinds: Sequence[str] = ()
    headers: Sequence[str] = ()


_STATE = _one_of("on", "sell_only", "off")
_PAGE: dict[str, Json] = {"limit": _limit(), "cursor": _TEXT}
_RANGE = {"from": _TS, "until": _TS}
_WRITE = (409,)
_RESET = {
    "type": "object",
    "required": ["portfolios"],
    "additionalProperties": False,
    "properties": {
        "portfolios": {"type": "object", "additionalProperties": {"type": "integer"}},
    },
}

OPERATIONS: Mapping[tuple[str, str], Operation] = {
    ("GET", "/auth/login"): Operation(
        None, {"provider": _TEXT, "return_to": _TEXT}, status=302, also=(404, 429)
    ),
    ("GET", "/auth/callback/{provider}"): Operation(
        None,
        dict.fromkeys(("code", "state", "error", "error_description", "iss"), _TEXT),
        status=302,
        also=(403, 404, 429),
    ),
    ("GET", "/auth/session"): Operation(shapes.Session),
    ("POST", "/auth/logout"): Operation(shapes.SignedOut),
    ("GET", "/health"): Operation(shapes.Health),
    ("GET", "/overview"): Operation(shapes.Overview),
    ("GET", "/live"): Operation(shapes.Live, {"overview": _TAG, "trades": _TAG, "system": _TAG}),
    ("GET", "/system"): Operation(shapes.System),
    ("POST", "/system/redrive"): Operation(
        shapes.Redriven, body=bodies.RedriveAsk, also=(404, *_WRITE)
    ),
    ("GET", "/openapi.json"): Operation(shapes.Document),
    ("GET", "/users"): Operation(
        shapes.Users,
        {
            "limit": _limit(USERS_MAX),
            "cursor": _ADDRESS,
            "state": _one_of("on", "sell_only", "off"),
        },
    ),
    ("POST", "/users"): Operation(shapes.Followed, body=bodies.FollowAsk, status=201, also=_WRITE),
    ("GET", "/users/preview"): Operation(shapes.Preview, {"q": _TEXT}),
    ("GET", "/users/{leader}"): Operation(shapes.User, also=(404,)),
    ("DELETE", "/users/{leader}"): Operation(shapes.Followed, also=(404, *_WRITE)),
    ("POST", "/users/{leader}/state"): Operation(
        shapes.Followed, body=bodies.StateAsk, also=(404, *_WRITE)
    ),
    ("GET", "/users/{leader}/performance"): Operation(
        shapes.Performance, {"span": _SPAN}, also=(404,)
    ),
    ("GET", "/trades"): Operation(
        shapes.Trades, {**_PAGE, "leader": _ADDRESS, "market": _CONDITION, **_RANGE}
    ),
    ("GET", "/copy-attempts"): Operation(
        shapes.Attempts,
        {
            **_PAGE,
            "portfolio": _TEXT,
            "leader": _ADDRESS,
            "market": _CONDITION,
            "decision": _one_of("EXECUTE", "SKIP"),
            "status": _one_of(*STATUSES),
            "reason": _one_of(*Reason),
            **_RANGE,
        },
    ),
    ("GET", "/copy-attempts/{attempt}"): Operation(shapes.Attempt, also=(404,)),
    ("GET", "/copy-attempts/{attempt}/tape"): Operation(shapes.Tape, also=(404,)),
    ("GET", "/completeness"): Operation(shapes.Hours, {**_PAGE, "leader": _ADDRESS}),
    ("GET", "/latency"): Operation(shapes.Latency),
    ("GET", "/portfolio/global"): Operation(shapes.GlobalPortfolio, also=(404,)),
    ("GET", "/portfolios/{portfolio}"): Operation(shapes.Portfolio, also=(404,)),
    ("GET", "/portfolios/{portfolio}/snapshots"): Operation(
        shapes.Series, {"span": _SPAN}, also=(404,)
    ),
    ("GET", "/pnl"): Operation(
        shapes.Pnl,
        {"portfolio": _TEXT, "days": {"type": "integer", "minimum": 1, "maximum": DAYS_MAX}},
        also=(404,),
    ),
    ("GET", "/skip-ledger"): Operation(
        shapes.SkipLedger, {"portfolio": _TEXT, "leader": _ADDRESS}, also=(404,)
    ),
    ("GET", "/markets"): Operation(
        shapes.Markets,
        {"limit": _limit(MARKETS_MAX), "cursor": _TEXT, "status": _one_of(*MARKET_STATUSES)},
    ),
    ("GET", "/markets/{market}"): Operation(shapes.Market, also=(404,)),
    ("GET", "/market-lists"): Operation(shapes.MarketLists),
    ("POST", "/market-lists"): Operation(shapes.MarketLists, body=bodies.ListAsk, also=_WRITE),
    ("POST", "/control/pause"): Operation(shapes.Controlled, body=bodies.ControlAsk, also=_WRITE),
    ("GET", "/config/global"): Operation(shapes.Config),
    ("POST", "/config/global"): Operation(shapes.Config, body=bodies.ConfigChange, also=_WRITE),
    ("GET", "/config/system"): Operation(shapes.Config),
    ("POST", "/config/system"): Operation(shapes.Config, body=bodies.ConfigChange, also=_WRITE),
    ("GET", "/config/user/{leader}"): Operation(shapes.Config, also=(404,)),
    ("POST", "/config/user/{leader}"): Operation(
        shapes.Config, body=bodies.ConfigChange, also=(404, *_WRITE)
    ),
    ("POST", "/config/test"): Operation(
        shapes.ConfigTest, body=bodies.ConfigTestAsk, status=202, also=_WRITE
    ),
    ("GET", "/config/test/{job}"): Operation(shapes.ConfigTest, also=(404,)),
    ("GET", "/trigger-mode"): Operation(shapes.TriggerMode),
    ("POST", "/trigger-mode"): Operation(shapes.TriggerMode, body=bodies.ModeAsk, also=_WRITE),
    ("POST", "/admin/reset-paper"): Operation(
        shapes.ResetDone, also=_WRITE, headers=(TOKEN_HEADER,)
    ),
    ("GET", "/exports/{kind}"): Operation(
        None,
        {
            "format": _one_of("csv", "json"),
            "portfolio": _TEXT,
            "epoch": {"type": "integer", "minimum": 0, "maximum": 99_999},
            **_RANGE,
            "cursor": _TEXT,
        },
        also=(404,),
        kinds=("text/csv", "application/x-ndjson"),
    ),
    ("GET", "/audit"): Operation(shapes.Audit, _PAGE),
}


def document() -> Json:
    """The whole document. Raises KeyError for a route that is not in the table."""
    views = {
        (method, path): view
        for blueprint in BLUEPRINTS
        for path, options, view in blueprint.declared
        for method in options["methods"]
    }
    paths: dict[str, Json] = {}
    for (method, path), view in sorted(views.items(), key=lambda one: (one[0][1], one[0][0])):
        operation = OPERATIONS[method, path]
        said = _operation(method, path, operation, view.__doc__ or "")
        paths.setdefault(path, {})[method.lower()] = said
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "papercopy",
            "version": VERSION,
            "description": (shapes.__doc__ or "").split("\n\n", 1)[1].strip(),
        },
        "servers": [{"url": "/api"}],
        "paths": paths,
        "components": {"schemas": _schemas(), "securitySchemes": {"session": _SESSION}},
        "security": [{"session": []}],
    }


def _schemas() -> Json:
    answers = [op.shape for op in OPERATIONS.values() if op.shape]
    asks = [op.body for op in OPERATIONS.values() if op.body]
    models: list[Any] = [(m, "serialization") for m in dict.fromkeys([shapes.Problem, *answers])]
    models += [(m, "validation") for m in dict.fromkeys(asks)]
    _, found = models_json_schema(models, ref_template="#/components/schemas/{model}")
    defined: Json = found["$defs"]
    return dict(sorted(defined.items()))


def _operation(method: str, path: str, operation: Operation, doc: str) -> Json:
    summary, _, rest = doc.strip().partition("\n")
    said: Json = {
        "summary": summary.rstrip("."),
        "operationId": _name(method, path),
        "responses": _responses(method, path, operation),
    }
    if rest.strip():
        said["description"] = re.sub(r"\s*\n\s*", " ", rest.strip())
    parameters = [
        *({"name": n, "in": "path", "required": True, "schema": _TEXT} for n in _variables(path)),
        *({"name": n, "in": "query", "schema": s} for n, s in (operation.query or {}).items()),
        *(
            {"name": n, "in": "header", "required": True, "schema": _TEXT}
            for n in operation.headers
        ),
    ]
    if parameters:
        said["parameters"] = parameters
    body = _RESET if path == "/admin/reset-paper" else _ref(operation.body)
    if body:
        said["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    if (method, path) in OPEN:
        said["security"] = []
    return said


def _responses(method: str, path: str, operation: Operation) -> Json:
    done: Json = {"description": "Done." if method != "GET" else "What was asked for."}
    if operation.shape:
        done["content"] = {"application/json": {"schema": _ref(operation.shape)}}
    elif operation.kinds:
        done["content"] = {kind: {"schema": _TEXT} for kind in operation.kinds}
    found = {operation.status: done}
    for status in sorted({400, 503, *_guarded(method, path), *operation.also}):
        found[status] = {"description": _PROBLEMS[status]}
        if status >= 400:
            problem = {"schema": _ref(shapes.Problem)}
            found[status]["content"] = {"application/problem+json": problem}
    return {str(status): found[status] for status in sorted(found)}


def _guarded(method: str, path: str) -> set[int]:
    """What the guard and conditional requests add."""
    extra = {304} if method == "GET" and not path.startswith(("/auth", "/exports")) else set()
    if (method, path) not in OPEN:
        extra.add(401)
    return extra if method == "GET" else extra | {403, 415}


def _ref(model: type[BaseModel] | None) -> Json | None:
    return {"$ref": f"#/components/schemas/{model.__name__}"} if model else None


def _name(method: str, path: str) -> str:
    words = re.findall(r"[A-Za-z0-9]+", path)
    return method.lower() + "".join(word.capitalize() for word in words)


def _variables(path: str) -> list[str]:
    return re.findall(r"{(\w+)}", path)


def text() -> str:
    """The document as it is kept in the repository."""
    return json.dumps(document(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(text())
