"""Copy rules and system settings from the store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError
from chalicelib.domain.registry import Heartbeat, SettingsRow
from chalicelib.domain.rules import CopyRules, SystemRules
from chalicelib.keyspace import settings_key
from chalicelib.ports import QUERY_LIMIT_MAX, Clock, Metrics, Put, Quarantine, Store
from chalicelib.services.audit import OPERATOR, audited
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

    All rows are read together: that is one read unit, and each by itself would be one too.

    The layers are judged together: what is well by itself may contradict what lies below it.

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
        self._rows: tuple[int, dict[str, SettingsRow]] | None = None
        self._reported: set[str] = set()

    def rules_for(self, leader: str) -> CopyRules:
        """The evaluated rules, without a leader the global ones. Raises Retryable."""
        now = self._clock.now_ms()
        known = self._known.get(leader)
        if known and now - known[0] < REFRESH_MS:
            return known[1]
        if known is None:
            # Who asks for the first time is not answered from what was read for somebody else.
            self._rows = None
        rules = self._evaluate(leader)
        self._known[leader] = (self._rows[0] if self._rows else now, rules)
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
        self._system = (self._rows[0] if self._rows else now, system)
        return system

    def _evaluate_system(self) -> SystemSettings:
        row = self._row(SYSTEM)
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
            row = self._row(scope)
            if row is None:
                continue
            try:
                layer = parse_layer(row.text)
                evaluate(*layers, layer)
            except InvalidInput as error:
                return self._refuse(row, str(error))
            layers.append(layer)
        return evaluate(*layers).rules()

    def _row(self, scope: str) -> SettingsRow | None:
        now = self._clock.now_ms()
        if self._rows is None or not 0 <= now - self._rows[0] < REFRESH_MS:
            found = self._store.query(
                SettingsRow, "registry", settings_key(GLOBAL).pk, limit=QUERY_LIMIT_MAX
            )
            self._rows = (now, {row.scope: row for row in found})
        rows = self._rows[1]
        if scope in rows or len(rows) < QUERY_LIMIT_MAX:
            return rows.get(scope)
        return self._store.get(SettingsRow, settings_key(scope))

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


def judged(store: Store, scope: str, layer: Mapping[str, object]) -> CopySettings | SystemSettings:
    """What a scope's overrides come to, as a whole. Raises InvalidInput.

    A leader's are judged on top of the global ones, and global ones below those of every leader,
    so that no change leaves anybody with settings that contradict each other. What is stored and
    unusable already is left out.
    """
    if scope == SYSTEM:
        return evaluate_system(layer)
    below = _usable(store, GLOBAL)
    if scope != GLOBAL:
        return evaluate(below, layer)
    whole = evaluate(layer)
    rows = store.query(SettingsRow, "registry", settings_key(GLOBAL).pk, limit=QUERY_LIMIT_MAX)
    for leader in (row.scope for row in rows if row.scope not in (SYSTEM, GLOBAL)):
        own = _usable(store, leader, below)
        try:
            evaluate(layer, own)
        except InvalidInput as error:
            raise InvalidInput(error.field, f"{error.reason}, with those of {leader}") from error
    return whole


def _usable(
    store: Store, scope: str, below: Mapping[str, object] | None = None
) -> Mapping[str, object]:
    """A scope's overrides, none where they are unusable on top of those `below`."""
    layer = stored_layer(store, scope)
    try:
        evaluate(below or {}, layer)
    except InvalidInput:
        return {}
    return layer


def store_settings(
    store: Store,
    clock: Clock,
    scope: str,
    layer: Mapping[str, object],
    *,
    who: str = OPERATOR,
    expected: int | None = None,
) -> CopySettings | SystemSettings:
    """Validate and keep one scope's overrides, audited. Raises InvalidInput or Conflict.

    With `expected`, the version of the row that `layer` was made from, a later one is a Conflict.
    """
    evaluated = judged(store, scope, layer)
    known = store.get(SettingsRow, settings_key(scope))
    if expected is not None and (known.version if known else 0) != expected:
        raise Conflict(f"the settings of {scope} were changed meanwhile")
    text = json.dumps({k: str(v) if isinstance(v, Decimal) else v for k, v in layer.items()})
    before, revision = (known.text, known.version) if known else ("", 0)
    if known is None or text != before:
        changed = Put(SettingsRow(scope, text, revision))
        now = clock.now_ms()
        told = audited(who, "settings.change", scope, before, text, ts=now, revision=revision)
        store.commit([changed, told])
    beat(store, Heartbeat(SOURCE, clock.now_ms(), True, f"{scope} stored"))
    return evaluated


def change_settings(
    store: Store,
    clock: Clock,
    scope: str,
    changes: Mapping[str, object],
    *,
    who: str = OPERATOR,
    expected: int | None = None,
) -> dict[str, object]:
    """Change some of a scope's overrides, None removes one; what the scope now overrides.

    A stored text that is no JSON object is replaced. `expected` is the version that the caller saw,
    by default the present one. Raises InvalidInput or Conflict.
    """
    seen, layer = stored_version(store, scope)
    if expected is not None and expected != seen:
        raise Conflict(f"the settings of {scope} were changed meanwhile")
    kept = changed_layer(layer, changes)
    store_settings(store, clock, scope, kept, who=who, expected=seen)
    return kept


def changed_layer(layer: Mapping[str, object], changes: Mapping[str, object]) -> dict[str, object]:
    """A scope's overrides after changes, of which None removes one."""
    return {name: value for name, value in {**layer, **changes}.items() if value is not None}


def stored_version(store: Store, scope: str) -> tuple[int, dict[str, object]]:
    """(version, overrides) of a scope: 0 before the first, none where the text is no object."""
    row = store.get(SettingsRow, settings_key(scope))
    if row is None:
        return 0, {}
    try:
        return row.version, parse_layer(row.text)
    except InvalidInput:
        return row.version, {}


def stored_layer(store: Store, scope: str) -> dict[str, object]:
    """A scope's overrides as stored, none where the text is no JSON object."""
    return stored_version(store, scope)[1]


def copy_layers(store: Store) -> dict[str, dict[str, object]]:
    """The overrides of every scope that says how leaders are copied, by scope."""
    rows = store.query(SettingsRow, "registry", settings_key(GLOBAL).pk, limit=QUERY_LIMIT_MAX)
    scopes = [row.scope for row in rows if row.scope != SYSTEM]
    return {scope: stored_layer(store, scope) for scope in scopes}
