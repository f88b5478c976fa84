"""Writes are taken from our own pages only: by what browsers say of a request's origin.

The session cookie is SameSite=Strict already; this holds where a browser or a neighbour of the
same site gets around that. A write needs an Origin that is ours, a Sec-Fetch-Site that is
`same-origin` where the browser sends one, and a JSON body type, which no foreign form can have.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from chalice.app import Response

from chalicelib.api.answers import problem

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


def refused_write(
    values_of: Callable[[str], Sequence[str]], origins: Collection[str]
) -> Response | None:
    """The refusal of a write, None for one of our own pages; `values_of` looks up a header."""
    origin = values_of("origin")
    if len(origin) != 1 or origin[0] not in origins:
        return problem(403, "Forbidden", "A change must come from the dashboard's own pages.")
    if any(site != "same-origin" for site in values_of("sec-fetch-site")):
        return problem(403, "Forbidden", "A change must come from the dashboard's own pages.")
    kinds = values_of("content-type")
    if len(kinds) != 1 or kinds[0].partition(";")[0].strip().lower() != "application/json":
        return problem(415, "Unsupported Media Type", "application/json was expected.")
    return None
