"""Fault switches, consulted at the wire only, and the one-time actions asked for beside them.

A new fault is one more field here plus one look at it where bytes leave the server.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

DELAY_MS_MAX = 600_000
LAG_BLOCKS_MAX = 5_000
REORDER_MS_MAX, REORDER_MS_DEFAULT = 10_000, 2_000
REORG_BLOCKS_MAX = 64
SCOPES = ("polygon", "data", "gamma", "clob")
GENERATIONS = ("v2", "v3")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}")


@dataclass(frozen=True, slots=True)
class Faults:
    """Active switches. Rates are probabilities per request or row, times are milliseconds.

    Sockets: `ws_stall` keeps them open and answering but delivers nothing;
    `ws_stall_subscriptions` (a part of those that exist, or "one") silences log subscriptions
    until they are made anew; `duplicate_logs` delivers twice, `logs_drop_rate` never,
    `reorder_logs` up to so many ms later, in any order.
    `clob_ws_stall_assets` does to subscribed assets of the market channel what
    `ws_stall_subscriptions` does to log subscriptions.
    HTTP: `http_error_rate` (500), `http_429_rate` (half of them bare), `maintenance_rate` (503,
    on the CLOB also 425), `slow_ms`, all limited to `http_scope` unless that is empty;
    `stale_cache` serves a page of another nonce that is at most `stale_ms` old.
    Data API rows: `late_rows_ms`, `missing_fields_rate`, `broken_rows_rate`,
    `unknown_types_rate`, and `positions_lag_blocks` for holdings.
    Chain: `logs_range_max` (0 = no limit), `omit_block_timestamp`, `http_head_lag_blocks`,
    `receipt_missing_rate`.
    """

    ws_stall: bool = False
    clob_ws_stall: bool = False
    http_error_rate: float = 0.0
    http_429_rate: float = 0.0
    slow_ms: int = 0
    duplicate_logs: bool = False
    late_rows_ms: int = 0
    logs_range_max: int = 0
    logs_drop_rate: float = 0.0
    http_scope: str = ""
    ws_stall_subscriptions: float | str = 0.0
    reorder_logs: int = 0
    stale_cache: bool = False
    stale_ms: int = 0
    missing_fields_rate: float = 0.0
    broken_rows_rate: float = 0.0
    unknown_types_rate: float = 0.0
    positions_lag_blocks: int = 0
    omit_block_timestamp: bool = False
    http_head_lag_blocks: int = 0
    receipt_missing_rate: float = 0.0
    maintenance_rate: float = 0.0
    clob_ws_stall_assets: float | str = 0.0

    @property
    def of_clob(self) -> bool:
        """Whether any switch is on that hides or delays a book."""
        http = self.http_error_rate or self.http_429_rate or self.maintenance_rate or self.slow_ms
        in_scope = self.http_scope in ("", "clob")
        return bool(self.clob_ws_stall or self.clob_ws_stall_assets or (in_scope and http))

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class FaultError(ValueError):
    """A fault switch is unknown or has an impossible value."""


def _blocks(name: str, value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise FaultError(f"{name}: expected a number of blocks")
    if not 1 <= value <= REORG_BLOCKS_MAX:
        raise FaultError(f"{name}: expected 1 to {REORG_BLOCKS_MAX} blocks")
    return value


def _once(name: str, value: object) -> int | None:
    if not isinstance(value, bool):
        raise FaultError(f"{name}: expected true or false")
    return 1 if value else None


def _generation(name: str, value: object) -> str | None:
    """true announces an upgrade only; a generation also moves its fills to a new address."""
    if value is False:
        return None
    if value is True:
        return ""
    if value not in GENERATIONS:
        raise FaultError(f"{name}: expected true or one of {', '.join(GENERATIONS)}")
    return str(value)


def _wallets(name: str, value: object) -> tuple[str, str]:
    """(from, to) in lower case; `to` is empty when the simulator shall choose."""
    if not isinstance(value, dict) or not {"from"} <= value.keys() <= {"from", "to"}:
        raise FaultError(f"{name}: expected an object with from and, if wanted, to")
    for wallet in value.values():
        if not isinstance(wallet, str) or not _ADDRESS.fullmatch(wallet):
            raise FaultError(f"{name}: {wallet!r} is not an address")
    return value["from"].lower(), value.get("to", "").lower()


_READERS: dict[str, Callable[[str, object], Any]] = {
    "disconnect": _once,
    "clob_disconnect": _once,
    "reorg": _blocks,
    "reorg_silent": _blocks,
    "reorg_drop": _blocks,
    "rotate_exchange": _generation,
    "rotate_wallet": _wallets,
}
ACTIONS = tuple(_READERS)


def changed_faults(current: Faults, wanted: object) -> tuple[Faults, dict[str, Any]]:
    """Merge a JSON object of switches into `current`.

    Returns the new state and the one-time actions asked for: name -> its checked argument (1, a
    depth in blocks, a generation or a pair of wallets). Raises FaultError naming the switch.
    """
    if not isinstance(wanted, dict):
        raise FaultError("expected a JSON object of fault switches")
    known = {f.name: f.default for f in fields(Faults)}
    changes: dict[str, Any] = {}
    actions: dict[str, Any] = {}
    for name, value in wanted.items():
        if name in _READERS:
            argument = _READERS[name](name, value)
            if argument is not None:
                actions[name] = argument
        elif name in ("ws_stall_subscriptions", "clob_ws_stall_assets"):
            changes[name] = _part(name, value)
        elif name == "reorder_logs":
            wished = REORDER_MS_DEFAULT if value is True else value or 0
            changes[name] = _bounded(name, wished, REORDER_MS_MAX)
        elif name in ("http_head_lag_blocks", "positions_lag_blocks"):
            changes[name] = _bounded(name, value, LAG_BLOCKS_MAX)
        elif name in known:
            changes[name] = _checked(name, value, known[name])
        else:
            raise FaultError(f"unknown fault switch: {name}")
    return replace(current, **changes), actions


def _part(name: str, value: object) -> float | str:
    """A part of what is subscribed: 0 to 1, true for half of them, or "one"."""
    if value == "one":
        return "one"
    if isinstance(value, bool):
        return 0.5 * value
    if not isinstance(value, int | float) or not 0 <= value <= 1:
        raise FaultError(f'{name}: expected a number from 0 to 1 or "one"')
    return float(value)


def _checked(name: str, value: object, default: object) -> bool | int | float | str:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise FaultError(f"{name}: expected true or false")
        return value
    if isinstance(default, str):
        if value not in ("", *SCOPES):
            raise FaultError(f"{name}: expected one of {', '.join(SCOPES)} or an empty string")
        return str(value)
    if isinstance(default, float):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise FaultError(f"{name}: expected a number")
        if not 0 <= value <= 1:
            raise FaultError(f"{name}: expected a number from 0 to 1")
        return float(value)
    return _bounded(name, value, DELAY_MS_MAX)


def _bounded(name: str, value: object, largest: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultError(f"{name}: expected a number")
    if not isinstance(value, int) or not 0 <= value <= largest:
        raise FaultError(f"{name}: expected an integer from 0 to {largest}")
    return value
