"""The addresses of a stage's Polygon node, kept as secrets; `python -m infra.secrets` sets them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chalicelib.adapters.node_addresses import FOLDER, HTTP_NAME, WS_NAME
from infra.functions import APP_NAME

FREE_HTTP_ADDRESS = "https://polygon.drpc.org"
"""A public node that takes no key."""
SCHEMES = {HTTP_NAME: ("https://", "http://"), WS_NAME: ("wss://", "ws://")}
SECRET_VARIABLES = frozenset({"POLYGON_HTTP_URL", "POLYGON_WS_URL"})


class NodeAddresses:
    """The addresses of one stage in Parameter Store."""

    def __init__(self, ssm: Any, stage: str) -> None:
        self._ssm = ssm
        self._root = f"/{APP_NAME}/{stage}"

    def name(self, which: str) -> str:
        """Full name of the parameter HTTP_NAME or WS_NAME."""
        return f"{self._root}/{FOLDER}/{which}"

    def known(self, which: str) -> bool:
        """Whether the address is kept."""
        return self._value(self.name(which)) is not None

    def put(self, which: str, address: str) -> None:
        """Keep an address. Raises ValueError, without quoting it, for one of another scheme."""
        address = address.strip()
        if not address.startswith(SCHEMES[which]):
            raise ValueError(f"{which} must start with {' or '.join(SCHEMES[which])}")
        self._ssm.put_parameter(
            Name=self.name(which), Value=address, Type="SecureString", Overwrite=True
        )

    def adopt(self, before: Callable[[], str], report: Callable[[str], None]) -> None:
        """Move addresses from where earlier versions kept them.

        The WebSocket address was a parameter beside the folder; `before` gives the HTTP address
        that the functions had in their environment, empty without one.
        """
        old_name = f"{self._root}/{WS_NAME}"
        old = self._value(old_name)
        if old is not None:
            if not self.known(WS_NAME):
                self.put(WS_NAME, old)
            self._ssm.delete_parameter(Name=old_name)
            report(f"  {old_name}: moved to {self.name(WS_NAME)}")
        if not self.known(HTTP_NAME) and (given := before()):
            self.put(HTTP_NAME, given)
            report(f"  POLYGON_HTTP_URL: moved from the functions to {self.name(HTTP_NAME)}")

    def _value(self, name: str) -> str | None:
        found = self._ssm.get_parameters(Names=[name], WithDecryption=True)["Parameters"]
        return str(found[0]["Value"]) if found else None
