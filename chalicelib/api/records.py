"""Records and their end: reset of paper portfolios, exports, the audit log."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Mapping
from json import loads
from typing import Any

from chalice.app import Response

from chalicelib.adapters.admin_token import AdminToken
from chalicelib.api.answers import answer, problem
from chalicelib.api.guard import WHO
from chalicelib.api.routes import Routes
from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError
from chalicelib.domain.export_rows import ExportFormat, text_of
from chalicelib.services.exports import TS_MAX, Exports, Selection
from chalicelib.services.read_models import PAGE_MAX, ReadModels
from chalicelib.services.reset_paper import ResetPaper

PAGE_DEFAULT = 50
TOKEN_HEADER = "x-admin-token"
BODY_BYTES_MAX = 64_000
PAGES_PER_ANSWER_MAX = 100
ROWS_PER_ANSWER = 2_000
ANSWER_CHARS = 1_000_000
"""An answer ends with the page that passes one of these: API Gateway allows 6 MB."""
ADMIN = "admin"
"""Who acts where no guard stands in front."""
_NUMBER = re.compile(r"[0-9]{1,13}")
_KINDS = {"csv": "text/csv; charset=utf-8", "json": "application/x-ndjson"}
_log = logging.getLogger(__name__)

records = Routes(__name__)


class Keeping:
    """What the routes work with; the engine sets it before the first request."""

    reset: Callable[[], ResetPaper]
    exports: Callable[[], Exports]
    read: Callable[[], ReadModels]
    token: Callable[[], AdminToken]


def _answered(view: Callable[[], Response]) -> Response:
    try:
        return view()
    except InvalidInput as error:
        return problem(400, "Invalid parameter", str(error))
    except Conflict as error:
        return problem(409, "Conflict", str(error))
    except PapercopyError as error:
        return problem(503, "Temporarily unavailable", str(error))
    except Exception:  # noqa: BLE001
        _log.exception("the API failed")
        return problem(500, "Internal error", "The request could not be answered.")


def _who() -> str:
    """Whose session the guard in front of all routes found."""
    return str(records.current_request.context.get(WHO, ADMIN))


def _query(*allowed: str) -> dict[str, str]:
    given: dict[str, str] = dict(records.current_request.query_params or {})
    for name in given:
        if name not in allowed:
            raise InvalidInput(name, f"is not a parameter of this route ({', '.join(allowed)})")
    return given


def _number(query: Mapping[str, str], name: str, default: int, most: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not _NUMBER.fullmatch(text) or not text.isascii() or int(text) > most:
        raise InvalidInput(name, f"a whole number up to {most} was expected")
    return int(text)


@records.route("/admin/reset-paper", methods=["POST"])
def reset_paper() -> Response:
    """End epochs of executable portfolios: `{"portfolios": {"main/global": 1}}`.

    The numbers are the epochs to end, so that a repetition does no harm.
    """

    def view() -> Response:
        _query()
        if not _holds_token():
            return problem(403, "Forbidden", f"The header {TOKEN_HEADER} is needed and must match.")
        epochs = _epochs(records.current_request.raw_body)
        done = Keeping.reset()(epochs, who=_who())
        items = [{"portfolio_id": each.portfolio_id, "epoch": each.epoch} for each in done]
        return answer({"items": items}, None)

    return _answered(view)


def _holds_token() -> bool:
    try:
        return Keeping.token().opens(records.current_request.headers.get(TOKEN_HEADER, ""))
    except InvalidInput as error:
        _log.warning("%s", error)
        raise Unavailable("there is no usable admin token") from error


class Unavailable(PapercopyError):
    """Something that has to be set up first is missing."""


def _epochs(body: str | bytes) -> dict[str, int]:
    """Epochs by portfolio id. Raises InvalidInput."""
    refused = InvalidInput("portfolios", "an object of epochs by portfolio id was expected")
    if len(body) > BODY_BYTES_MAX:
        raise refused
    try:
        given: Any = loads(body)
    except (ValueError, RecursionError):
        raise refused from None
    if not isinstance(given, dict) or set(given) != {"portfolios"}:
        raise refused
    epochs = given["portfolios"]
    if not isinstance(epochs, dict) or not all(type(epoch) is int for epoch in epochs.values()):
        raise refused
    return {str(name): epoch for name, epoch in epochs.items()}


@records.route("/exports/{kind}", methods=["GET"])
def export(kind: str) -> Response:
    """Rows of trades, attempts, fills or ledger as CSV or JSON lines, page by page.

    `format`, `portfolio`, `epoch`, `from`, `until` (milliseconds) and `cursor`. What follows is
    behind the cursor in the header X-Next-Cursor; answers joined are one file.
    """

    def view() -> Response:
        query = _query("format", "portfolio", "epoch", "from", "until", "cursor")
        format_ = query.get("format", "csv")
        if format_ not in ("csv", "json"):
            raise InvalidInput("format", "one of csv, json was expected")
        wanted = Selection(
            kind=kind,  # type: ignore[arg-type]
            portfolio_id=query.get("portfolio", ""),
            epoch=_number(query, "epoch", 0, 99_999),
            ts_from=_number(query, "from", 0, TS_MAX),
            ts_until=_number(query, "until", TS_MAX, TS_MAX),
        )
        cursor = query.get("cursor")
        text, following = _joined(wanted, format_, cursor)  # type: ignore[arg-type]
        headers: dict[str, str | list[str]] = {
            "Content-Type": _KINDS[format_],
            "Content-Disposition": f'attachment; filename="{kind}.{_suffix(format_)}"',
            "Cache-Control": "no-cache",
            "X-Content-Type-Options": "nosniff",
        }
        if following:
            headers["X-Next-Cursor"] = following
        return Response(body=text, status_code=200, headers=headers)

    return _answered(view)


def _suffix(format_: str) -> str:
    return "csv" if format_ == "csv" else "jsonl"


def _joined(wanted: Selection, format_: ExportFormat, cursor: str | None) -> tuple[str, str | None]:
    """As many pages as one answer may have, and the cursor of what follows."""
    texts: list[str] = []
    rows = chars = 0
    following: str | None = None
    for read, page in enumerate(Keeping.exports()(wanted, cursor), start=1):
        header = cursor is None and read == 1
        text = text_of(wanted.kind, format_, page.rows, header=header)
        texts.append(text)
        rows, chars, following = rows + len(page.rows), chars + len(text), page.cursor
        if rows >= ROWS_PER_ANSWER or chars >= ANSWER_CHARS or read == PAGES_PER_ANSWER_MAX:
            break
    return "".join(texts), following


@records.route("/audit", methods=["GET"])
def audit() -> Response:
    """Who changed what, newest first: `limit`, `cursor`."""

    def view() -> Response:
        query = _query("limit", "cursor")
        limit = _number(query, "limit", PAGE_DEFAULT, PAGE_MAX)
        if limit < 1:
            raise InvalidInput("limit", f"1 to {PAGE_MAX} was expected")
        body = Keeping.read().audit(query.get("cursor"), limit)
        return answer(body, records.current_request.headers.get("if-none-match"))

    return _answered(view)
