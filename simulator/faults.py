"""Fault switches, consulted at the wire only: the world itself never fails.

A new fault is one more field here plus one look at it where bytes leave the server.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

DELAY_MS_MAX = 600_000


@dataclass(frozen=True, slots=True)
class Faults:
    """Active switches. Rates are probabilities per request, times are milliseconds.

    `ws_stall`: sockets stay open and answer but deliver nothing. `http_error_rate` gives 500,
    `http_429_rate` gives 429 (half of them bare, without Retry-After). `slow_ms` delays every
    HTTP answer. `duplicate_logs` delivers every pushed log twice. `late_rows_ms` holds Data
    API rows back further. `logs_range_max` (0 = no limit) caps the blocks of one eth_getLogs.
    `logs_drop_rate` loses pushed logs silently. `http_scope` limits the three HTTP faults to
    one of SCOPES; empty means all of them.
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

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


REORG_BLOCKS_MAX = 64
SCOPES = ("polygon", "data", "gamma", "clob")
ACTIONS = ("disconnect", "clob_disconnect", "reorg")


class FaultError(ValueError):
    """A fault switch is unknown or has an impossible value."""


def changed_faults(current: Faults, wanted: object) -> tuple[Faults, dict[str, int]]:
    """Merge a JSON object of switches into `current`.

    Returns the new state and the one-time actions asked for: name -> 1, or the depth of a
    `reorg` in blocks. Raises FaultError
    naming the offending switch.
    """
    if not isinstance(wanted, dict):
        raise FaultError("expected a JSON object of fault switches")
    known = {f.name: f.default for f in fields(Faults)}
    changes: dict[str, Any] = {}
    actions: dict[str, int] = {}
    for name, value in wanted.items():
        if name == "reorg":
            if isinstance(value, bool) or not isinstance(value, int):
                raise FaultError("reorg: expected a number of blocks")
            if not 1 <= value <= REORG_BLOCKS_MAX:
                raise FaultError(f"reorg: expected 1 to {REORG_BLOCKS_MAX} blocks")
            actions[name] = value
        elif name in ACTIONS:
            if not isinstance(value, bool):
                raise FaultError(f"{name}: expected true or false")
            if value:
                actions[name] = 1
        elif name in known:
            changes[name] = _checked(name, value, known[name])
        else:
            raise FaultError(f"unknown fault switch: {name}")
    return replace(current, **changes), actions


def _checked(name: str, value: object, default: object) -> bool | int | float | str:
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise FaultError(f"{name}: expected true or false")
        return value
    if isinstance(default, str):
        if value not in ("", *SCOPES):
            raise FaultError(f"{name}: expected one of {', '.join(SCOPES)} or an empty string")
        return str(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise FaultError(f"{name}: expected a number")
    if isinstance(default, float):
        if not 0 <= value <= 1:
            raise FaultError(f"{name}: expected a number from 0 to 1")
        return float(value)
    if not isinstance(value, int) or not 0 <= value <= DELAY_MS_MAX:
        raise FaultError(f"{name}: expected an integer from 0 to {DELAY_MS_MAX}")
    return value
