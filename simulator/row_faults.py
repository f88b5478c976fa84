"""Faults of Data API rows: missing fields, rows broken once, rows of unknown types."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

from simulator import ids
from simulator.activity import ActivityRow
from simulator.chain import Fill, Row
from simulator.venue import Venue

UNKNOWN_TYPE = "SNAPSHOT_V9"
OPTIONAL = ("usdc_size", "outcome", "outcome_index", "event_slug", "slug", "title", "icon", "name",
            "pseudonym")  # fmt: skip
BREAKS: tuple[tuple[str, Any], ...] = (
    ("transaction_hash", None), ("transaction_hash", "0x"), ("proxy_wallet", "0x12"),
    ("token_id", None), ("token_id", "12e5"), ("side", "HOLD"), ("size", "many"), ("size", None),
    ("timestamp", "soon"), ("timestamp", None),
)  # fmt: skip
BROKEN_KEPT = 50_000


@dataclass(frozen=True, slots=True, eq=False)
class UnknownRow:
    """A row of a type nobody knows, beside a real one and one place behind it in the feed."""

    beside: Row

    @property
    def type(self) -> str:
        return UNKNOWN_TYPE

    @property
    def sequence(self) -> int:
        return self.beside.sequence + 1

    @property
    def tx(self) -> Any:
        return self.beside.tx


class RowFaults:
    """Applies the row switches to one page at a time."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self._broken: OrderedDict[tuple[Any, ...], None] = OrderedDict()

    def company(self, row: Row) -> UnknownRow | None:
        """The unknown row beside a real one, the same one in every poll."""
        rate = self.venue.faults.unknown_types_rate
        if not rate or isinstance(row, ActivityRow):
            return None
        draw = int(ids.hash32("unknown", row.tx.hash, row.wallet)[2:10], 16) / 2**32
        return UnknownRow(row) if draw < rate else None

    def write_unknown(self, row: dict[str, Any]) -> dict[str, Any]:
        """Turn the row it stands beside into one of the unknown type."""
        self.venue.acted("unknown_types_rate")
        tx_hash = ids.hash32("unknown", row["transaction_hash"])
        return row | {"type": UNKNOWN_TYPE, "transaction_hash": tx_hash, "side": ""}

    def spoil(self, source: Row, row: dict[str, Any]) -> dict[str, Any]:
        """The row as this one answer shows it."""
        faults, rng = self.venue.faults, self.venue.wire_rng
        if faults.missing_fields_rate and rng.random() < faults.missing_fields_rate:
            self.venue.acted("missing_fields_rate")
            name = rng.choice([name for name in OPTIONAL if name in row])
            row = {key: value for key, value in row.items() if key != name}
        if faults.broken_rows_rate and isinstance(source, Fill):
            key = (source.tx.hash, source.wallet, source.token.id, source.side, source.shares)
            if key not in self._broken and rng.random() < faults.broken_rows_rate:
                self._remember(key)
                self.venue.acted("broken_rows_rate")
                name, value = rng.choice(BREAKS)
                row = {**row, name: value}
                if value is None:
                    del row[name]
        return row

    def _remember(self, key: tuple[Any, ...]) -> None:
        self._broken[key] = None
        if len(self._broken) > BROKEN_KEPT:
            self._broken.popitem(last=False)
