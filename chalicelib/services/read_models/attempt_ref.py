"""The opaque name under which the API hands out one attempt."""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.lane import Attempt
from chalicelib.keyspace import Key, attempt_key
from chalicelib.services.portfolios import ACCOUNT

REF_CHARS_MAX = 400
_TEXT = re.compile(
    r"(?P<portfolio>[a-z0-9_-]{1,40}/[a-z0-9_/-]{1,80})"
    r"#(?P<epoch>[1-9][0-9]{0,5})#(?P<ts>[0-9]{1,15})#(?P<id>[0-9a-f]{8,64})",
    re.ASCII,
)


def ref_of(attempt: Attempt) -> str:
    """Carries what finds the row: portfolio, epoch, decision time and id."""
    decided = attempt.decision.ts_decided
    text = f"{attempt.portfolio_id}#{attempt.epoch}#{decided}#{attempt.attempt_id}"
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def key_of_ref(ref: str) -> Key:
    """Where the attempt is stored. Raises InvalidInput for a name that is not ours."""
    refused = InvalidInput("attempt", "is not the name of an attempt")
    if len(ref) > REF_CHARS_MAX or not re.fullmatch(r"[A-Za-z0-9_-]+", ref):
        raise refused
    try:
        text = urlsafe_b64decode(ref + "=" * (-len(ref) % 4)).decode("ascii")
    except (Error, UnicodeDecodeError):
        raise refused from None
    found = _TEXT.fullmatch(text)
    # Attempts of other accounts are none of ours, whatever the caller knows.
    if found is None or not found["portfolio"].startswith(f"{ACCOUNT}/"):
        raise refused
    return attempt_key(found["portfolio"], int(found["epoch"]), int(found["ts"]), found["id"])
