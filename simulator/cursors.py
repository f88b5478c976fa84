"""Page cursors of the Data API: URL-safe base64 of a small signed JSON document."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any


class CursorError(ValueError):
    """A cursor is not one of ours, was changed, or belongs to another endpoint."""


class CursorSigner:
    """Mints and reads cursors `{"data":{"type","params"},"sig"}` without base64 padding."""

    def __init__(self, seed: int) -> None:
        self._key = f"cursor key {seed}".encode()

    def mint(self, kind: str, params: dict[str, Any]) -> str:
        body = {"type": kind, "params": params}
        document = {"data": body, "sig": self._signature(body)}
        packed = json.dumps(document, separators=(",", ":")).encode()
        return base64.urlsafe_b64encode(packed).decode().rstrip("=")

    def read(self, kind: str, cursor: str) -> dict[str, Any]:
        """The params of a cursor of this kind. Raises CursorError."""
        try:
            packed = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
            document = json.loads(packed)
            body, signature = document["data"], document["sig"]
            params = body["params"]
        except (ValueError, KeyError, TypeError) as error:
            raise CursorError("malformed cursor") from error
        if not hmac.compare_digest(str(signature), self._signature(body)):
            raise CursorError("cursor signature mismatch")
        if body["type"] != kind:
            raise CursorError("cursor belongs to another endpoint")
        return dict(params)

    def _signature(self, body: dict[str, Any]) -> str:
        packed = json.dumps(body, separators=(",", ":")).encode()
        return hmac.new(self._key, packed, hashlib.sha256).hexdigest()[:32]
