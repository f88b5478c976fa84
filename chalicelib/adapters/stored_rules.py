"""Copy rules and system settings from the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.registry import Heartbeat, SettingsRow
from chalicelib.domain.rules import CopyRules, SystemRules
from chalicelib.keyspace import settings_key
from chalicelib.ports import Clock, Metrics, Put, Quarantine, Store
from chalicelib.services.heartbeats import beat
from chalicelib.settings import (
    CopySettings,
    Environment,
    SystemSettings,
    evaluate,
    evaluate_system,
)

GLOBAL = "global"
SYSTEM = "system"
REFRESH_MS = 5_000
SOURCE = "settings"


class StoredRules:
    """Port Rules: defaults, then the global row, then the leader's; read again every REFRESH_MS.

    A row that does not validate (a setting renamed by a release, say) is quarantined once with its
    text; until it is mended, rules say `refused` and nothing is copied under them. Detection goes
    on, and so do leaders whose rows are well. An unusable system row is reported the same way, and
    the defaults and the environment take its place.
    """

    def __init__(
        self,
        store: Store,
        quarantine: Quarantine,
        clock: Clock,
        metrics: Metrics,
        env: Environment | None = None,
    ) -> None:
        self._store = store
        self._quarantine = quarantine
        self._clock = clock
        self._metrics = metrics
        self._env = env or Environment()
        self._known: dict[str, tuple[int, CopyRules]] = {}
        self._system: tuple[int, SystemRules] | None = None
        self._reported: set[str] = set()

    def rules_for(self, leader: str) -> CopyRules:
        """The evaluated rules, without a leader the global ones. Raises Retryable."""
        now = self._clock.now_ms()
        known = self._known.get(leader)
        if known and now - known[0] < REFRESH_MS:
            return known[1]
        rules = self._evaluate(leader)
        self._known[leader] = (now, rules)
        return rules

    def system(self) -> SystemRules:
        """The evaluated system settings; what was last known while the store cannot answer.

        Raises Retryable when nothing was ever read.
        """
        now, known = self._clock.now_ms(), self._system
        if known and now - known[0] < REFRESH_MS:
            return known[1]
        try:
            system = self._evaluate_system().rules(self._env)
        except PapercopyError:
            if known is None:
                raise
            self._metrics.count("settings_unread")
            return known[1]
        self._system = (now, system)
        return system

    def _evaluate_system(self) -> SystemSettings:
        row = self._store.get(SettingsRow, settings_key(SYSTEM))
        if row is None:
            return SystemSettings()
        try:
            return evaluate_system(parse_layer(row.text))
        except InvalidInput as error:
            self._report_softly(row, f"settings {row.scope}: {error}")
            return SystemSettings()

    def _evaluate(self, leader: str) -> CopyRules:
        layers: list[Mapping[str, object]] = []
        for scope in filter(None, (GLOBAL, leader)):
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
        self._report(row, reason)
        return replace(CopyRules(), refused=reason)

    def _report_softly(self, row: SettingsRow, reason: str) -> None:
        """Detection goes on whether or not somebody can be told."""
        try:
            self._report(row, reason)
        except PapercopyError:
            self._metrics.count("settings_reports_failed")

    def _report(self, row: SettingsRow, reason: str) -> None:
        """Quarantine the text, once."""
        if row.text not in self._reported:
            self._quarantine.keep("settings", row.text, reason)
            beat(self._store, Heartbeat(SOURCE, self._clock.now_ms(), False, reason[:300]))
            self._reported.add(row.text)
            self._metrics.count("settings_refused")


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
) -> CopySettings | SystemSettings:
    """Validate and keep one scope's overrides. Raises InvalidInput or Conflict."""
    evaluated = evaluate_system(layer) if scope == SYSTEM else evaluate(layer)
    known = store.get(SettingsRow, settings_key(scope))
    text = json.dumps({k: str(v) if isinstance(v, Decimal) else v for k, v in layer.items()})
    store.commit([Put(SettingsRow(scope, text, known.version if known else 0))])
    beat(store, Heartbeat(SOURCE, clock.now_ms(), True, f"{scope} stored"))
    return evaluated


def change_settings(
    store: Store, clock: Clock, scope: str, changes: Mapping[str, object]
) -> dict[str, object]:
    """Change some of a scope's overrides, None removes one; what the scope now overrides.

    A stored text that is no JSON object is replaced. Raises InvalidInput or Conflict.
    """
    layer = {**stored_layer(store, scope), **changes}
    kept = {name: value for name, value in layer.items() if value is not None}
    store_settings(store, clock, scope, kept)
    return kept


def stored_layer(store: Store, scope: str) -> dict[str, object]:
    """A scope's overrides as stored, none where the text is no JSON object."""
    row = store.get(SettingsRow, settings_key(scope))
    if row is None:
        return {}
    try:
        return parse_layer(row.text)
    except InvalidInput:
        return {}
