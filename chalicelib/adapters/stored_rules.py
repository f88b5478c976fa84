"""Copy rules from the settings in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.registry import Heartbeat, SettingsRow
from chalicelib.domain.rules import CopyRules
from chalicelib.keyspace import settings_key
from chalicelib.ports import Clock, Metrics, Put, Quarantine, Store
from chalicelib.services.heartbeats import beat
from chalicelib.settings import CopySettings, evaluate

GLOBAL = "global"
REFRESH_MS = 5_000
SOURCE = "settings"


class StoredRules:
    """Port Rules: defaults, then the global row, then the leader's; read again every REFRESH_MS.

    A row that does not validate (a setting renamed by a release, say) is quarantined once with its
    text; until it is mended, rules say `refused` and nothing is copied under them. Detection goes
    on, and so do leaders whose rows are well.
    """

    def __init__(
        self, store: Store, quarantine: Quarantine, clock: Clock, metrics: Metrics
    ) -> None:
        self._store = store
        self._quarantine = quarantine
        self._clock = clock
        self._metrics = metrics
        self._known: dict[str, tuple[int, CopyRules]] = {}
        self._reported: set[str] = set()

    def rules_for(self, leader: str) -> CopyRules:
        """The evaluated rules. Raises Retryable when the store cannot answer."""
        now = self._clock.now_ms()
        known = self._known.get(leader)
        if known and now - known[0] < REFRESH_MS:
            return known[1]
        rules = self._evaluate(leader)
        self._known[leader] = (now, rules)
        return rules

    def _evaluate(self, leader: str) -> CopyRules:
        layers: list[Mapping[str, object]] = []
        for scope in (GLOBAL, leader):
            row = self._store.get(SettingsRow, settings_key(scope))
            if row is None:
                continue
            try:
                layer = parse_layer(row.text)
                evaluate(layer)
            except InvalidInput as error:
                return self._refuse(row, str(error))
            layers.append(layer)
        return evaluate(*layers).rules()

    def _refuse(self, row: SettingsRow, error: str) -> CopyRules:
        reason = f"settings {row.scope}: {error}"
        if row.text not in self._reported:
            self._reported.add(row.text)
            self._metrics.count("settings_refused")
            self._quarantine.keep("settings", row.text, reason)
            beat(self._store, Heartbeat(SOURCE, self._clock.now_ms(), False, reason[:300]))
        return replace(CopyRules(), refused=reason)


def parse_layer(text: str) -> dict[str, object]:
    """One row's overrides. Raises InvalidInput when it is not a JSON object."""
    try:
        layer = json.loads(text, parse_float=Decimal)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("text", "is not JSON") from error
    if not isinstance(layer, dict):
        raise InvalidInput("text", "is not a JSON object")
    return layer


def store_settings(
    store: Store, clock: Clock, scope: str, layer: Mapping[str, object]
) -> CopySettings:
    """Validate and keep one scope's overrides. Raises InvalidInput or Conflict."""
    evaluated = evaluate(layer)
    known = store.get(SettingsRow, settings_key(scope))
    text = json.dumps({k: str(v) if isinstance(v, Decimal) else v for k, v in layer.items()})
    store.commit([Put(SettingsRow(scope, text, known.version if known else 0))])
    beat(store, Heartbeat(SOURCE, clock.now_ms(), True, f"{scope} stored"))
    return evaluated
