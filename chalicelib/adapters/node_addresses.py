"""Where the Polygon node is. Providers put keys into addresses, so a stage keeps them as secrets.

SecureString parameters `/papercopy/<stage>/node/polygon_http_url` and `…/polygon_ws_url`. The
watcher's task is given both when it starts; a Lambda reads the first one at its first question.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

from chalicelib.adapters.parameters import parameters
from chalicelib.domain.errors import InvalidInput, PapercopyError, Permanent
from chalicelib.ports import Receipts

FOLDER = "node"
HTTP_NAME, WS_NAME = "polygon_http_url", "polygon_ws_url"
REFRESH_MS = 300_000
"""An address that was replaced is used after this at the latest."""


def stored_http_address(ssm: Any, stage: str) -> str:
    """The node's address.

    Raises Permanent when it is missing or no SecureString, Retryable when it cannot be read now.
    """
    try:
        found = parameters(ssm, stage, FOLDER, (), (HTTP_NAME,))
    except InvalidInput as error:
        # It says nothing about the transaction that was asked for.
        raise Permanent(str(error)) from error
    if HTTP_NAME not in found:
        raise Permanent(f"parameter /papercopy/{stage}/{FOLDER}/{HTTP_NAME} is missing")
    return found[HTTP_NAME]


class StoredNode:
    """Port Receipts on the node whose address `read` gives; it is read again every REFRESH_MS.

    Who asks for nothing reads no secret. Raises what `read` and the node raise; an address that
    cannot be read again stays in use.
    """

    def __init__(
        self,
        read: Callable[[], str],
        connect: Callable[[str], Receipts],
        now_ms: Callable[[], int],
    ) -> None:
        self._read = read
        self._connect = connect
        self._now_ms = now_ms
        self._lock = Lock()
        self._address = ""
        self._node: Receipts | None = None
        self._ts_read = 0

    def receipt_logs(self, tx_hash: str) -> tuple[Mapping[str, object], ...] | None:
        """Raw logs of a mined transaction, None when the node has none."""
        return self._current().receipt_logs(tx_hash)

    def block_number(self) -> int:
        """The node's head."""
        return self._current().block_number()

    def _current(self) -> Receipts:
        with self._lock:
            now = self._now_ms()
            if self._node is None or now - self._ts_read >= REFRESH_MS:
                self._node = self._renewed()
                self._ts_read = now
            return self._node

    def _renewed(self) -> Receipts:
        try:
            address = self._read()
        except PapercopyError:
            if self._node is None:
                raise
            return self._node
        if self._node is not None and address == self._address:
            return self._node
        self._address = address
        return self._connect(address)
