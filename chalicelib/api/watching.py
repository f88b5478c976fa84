"""The combined live answer, the machinery, and the description of the API itself."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict
from functools import lru_cache
from typing import Any

from chalice.app import Response

from chalicelib.api.answers import answer
from chalicelib.api.asked import answered, body_of, changed, guarded, query_of, who_of
from chalicelib.api.bodies import RedriveAsk
from chalicelib.api.desk import Desk
from chalicelib.api.routes import Routes
from chalicelib.domain.errors import InvalidInput
from chalicelib.services.read_models.live import PARTS

_TAG = re.compile(r"[0-9a-f]{16}", re.ASCII)

watching = Routes(__name__)


@watching.route("/live", methods=["GET"])
def live() -> Response:
    """Overview, latest trades and system strip in one; a part whose tag is given comes empty.

    `overview`, `trades` and `system` carry the tags of the last answer. A process reads each part
    at most every 3 s: what GET /overview, 20 trades and GET /health cost.
    """

    def view() -> Mapping[str, Any]:
        query = query_of(watching.current_request, *PARTS)
        for part, tag in query.items():
            if not _TAG.fullmatch(tag):
                raise InvalidInput(part, "a tag of an earlier answer was expected")
        return Desk.office().live(query)

    return answered(watching.current_request, view)


@watching.route("/system", methods=["GET"])
def system() -> Response:
    """Queues, dead letters, heartbeats, gaps, errors, ledgers, sizes.

    Costs about ten queries of small listings; sizes and queue depths are asked for now and then.
    """

    def view() -> Mapping[str, Any]:
        query_of(watching.current_request)
        return Desk.office().system()

    return answered(watching.current_request, view)


@watching.route("/system/redrive", methods=["POST"])
def redrive() -> Response:
    """Hand in dead letters again; evidence that counted already changes nothing.

    Costs three calls of the queue per message.
    """

    def view() -> Mapping[str, Any] | None:
        query_of(watching.current_request)
        asked = body_of(watching.current_request, RedriveAsk)
        redrive = Desk.office().redrive
        if redrive is None:
            return None
        who = who_of(watching.current_request)
        return asdict(redrive(asked.queue, asked.limit, who, dry_run=asked.dry_run))

    return changed(view)


@watching.route("/openapi.json", methods=["GET"])
def openapi() -> Response:
    """This description; no reads."""

    def view() -> Response:
        query_of(watching.current_request)
        return answer(_document(), watching.current_request.headers.get("if-none-match"))

    return guarded(view, conflict=503)


@lru_cache(maxsize=1)
def _document() -> dict[str, Any]:
    # Hundreds of models that nothing else needs: not for every cold start.
    from chalicelib.api.contract import document

    return document()
