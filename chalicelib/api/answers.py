"""Answers of the API: JSON with an entity tag, problem documents for errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256

from chalice.app import Response

_HEADERS: dict[str, str | list[str]] = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
}


def answer(body: Mapping[str, object], if_none_match: str | None) -> Response:
    """200 with the body and its tag, or 304 when the caller has exactly this.

    The tag leaves out `now`, which changes with every answer.
    """
    tagged = {key: value for key, value in body.items() if key != "now"}
    tag = '"' + sha256(json.dumps(tagged, sort_keys=True).encode()).hexdigest()[:24] + '"'
    headers = {**_HEADERS, "Content-Type": "application/json", "ETag": tag}
    if if_none_match and _matches(if_none_match, tag):
        return Response(body="", status_code=304, headers=headers)
    return Response(body=json.dumps(body, separators=(",", ":")), status_code=200, headers=headers)


def _matches(if_none_match: str, tag: str) -> bool:
    """Whether the caller's list names the tag; who compresses on the way makes a tag weak."""
    return any(part.strip().removeprefix("W/") in (tag, "*") for part in if_none_match.split(","))


def problem(status: int, title: str, detail: str) -> Response:
    """A problem document."""
    return Response(
        body=json.dumps(
            {"type": "about:blank", "title": title, "detail": detail, "status": status}
        ),
        status_code=status,
        headers={**_HEADERS, "Content-Type": "application/problem+json"},
    )
