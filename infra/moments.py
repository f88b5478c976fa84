"""Times as operators write them."""

from __future__ import annotations

from datetime import UTC, datetime

from chalicelib.domain.errors import InvalidInput


def moment(text: str) -> int:
    """Milliseconds of an ISO 8601 time or date, UTC unless it says otherwise.

    Raises InvalidInput.
    """
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(text, "a time such as 2026-11-20T08:00:00Z was expected") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    since = at - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000
