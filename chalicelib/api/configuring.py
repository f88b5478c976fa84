"""Settings: what is in force, what overrides it, changes and tests of changes; the trigger mode."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from chalice.app import Response

from chalicelib.adapters.stored_rules import (
    GLOBAL,
    SYSTEM,
    change_settings,
    changed_layer,
    copy_layers,
    judged,
    stored_version,
)
from chalicelib.api.asked import answered, body_of, changed, query_of, who_of
from chalicelib.api.bodies import ConfigChange, ConfigTestAsk, ModeAsk
from chalicelib.api.desk import Desk
from chalicelib.api.routes import Routes
from chalicelib.domain.config_job import ConfigJob
from chalicelib.domain.errors import InvalidInput, PapercopyError
from chalicelib.domain.identifiers import address
from chalicelib.domain.registry import Leader
from chalicelib.keyspace import leader_key
from chalicelib.services.config_tests import ref_of_job
from chalicelib.settings import CopySettings, SystemSettings, evaluate, evaluate_system
from chalicelib.settings_schema import copy_schema, shown_values, system_schema

configuring = Routes(__name__)


@configuring.route("/config/global", methods=["GET"])
def global_config() -> Response:
    """Settings for all users, with what overrides the defaults; one read."""
    return _shown(GLOBAL)


@configuring.route("/config/global", methods=["POST"])
def change_global_config() -> Response:
    """Change settings for all users; costs one query of all settings and a commit."""
    return _changed(GLOBAL)


@configuring.route("/config/system", methods=["GET"])
def system_config() -> Response:
    """Settings of detection: mode, polling, start, books; one read."""
    return _shown(SYSTEM)


@configuring.route("/config/system", methods=["POST"])
def change_system_config() -> Response:
    """Change settings of detection; two reads and a commit."""
    return _changed(SYSTEM)


@configuring.route("/config/user/{leader}", methods=["GET"])
def user_config(leader: str) -> Response:
    """Settings for one user, and which layer each comes from; three reads."""
    return _shown(leader)


@configuring.route("/config/user/{leader}", methods=["POST"])
def change_user_config(leader: str) -> Response:
    """Change settings for one user; four reads and a commit."""
    return _changed(leader)


def _shown(scope: str) -> Response:
    def view() -> Mapping[str, Any] | None:
        query_of(configuring.current_request)
        known = _scope(scope)
        return _config(known) if known else None

    return answered(configuring.current_request, view)


def _changed(scope: str) -> Response:
    def view() -> Mapping[str, Any] | None:
        request = configuring.current_request
        query_of(request)
        known, office = _scope(scope), Desk.office()
        if known is None:
            return None
        ask = body_of(request, ConfigChange)
        change_settings(
            office.store,
            office.clock,
            known,
            ask.changes,
            who=who_of(request),
            expected=ask.version,
        )
        return _config(known)

    return changed(view)


def _scope(scope: str) -> str | None:
    """The scope where settings of it can be stored. Raises InvalidInput for no address."""
    if scope in (GLOBAL, SYSTEM):
        return scope
    leader = address(scope, "leader")
    return leader if Desk.office().store.get(Leader, leader_key(leader)) else None


def _config(scope: str) -> dict[str, Any]:
    """Version, overrides, what they come to, and what a page needs to show and check them."""
    office = Desk.office()
    version, layer = stored_version(office.store, scope)
    below = stored_version(office.store, GLOBAL)[1] if scope not in (GLOBAL, SYSTEM) else {}
    refused = None
    settings: CopySettings | SystemSettings
    try:
        settings = evaluate_system(layer) if scope == SYSTEM else evaluate(below, layer)
    except InvalidInput as error:
        refused = str(error)
        settings = evaluate_system({}) if scope == SYSTEM else evaluate({})
    values = shown_values(settings)
    own = "system" if scope == SYSTEM else "global" if scope == GLOBAL else "user"
    return {
        "now": office.clock.now_ms(),
        "scope": scope,
        "version": version,
        "overrides": {name: _plain(value) for name, value in layer.items()},
        "values": values,
        "origins": {
            name: own if name in layer else "global" if name in below else "default"
            for name in values
        },
        "refused": refused,
        "fields": system_schema() if scope == SYSTEM else copy_schema(),
    }


def _plain(value: object) -> object:
    return value if isinstance(value, (bool, int, str)) else str(value)


@configuring.route("/config/test", methods=["POST"])
def test_config() -> Response:
    """Replay the last hours under changed settings: answers 202 with a job to be read.

    Costs one query of all settings, one of 20 jobs, and a commit; the replay, of at most 5,000
    groups, runs elsewhere.
    """

    def view() -> Mapping[str, Any] | None:
        request = configuring.current_request
        query_of(request)
        ask, office = body_of(request, ConfigTestAsk), Desk.office()
        if ask.scope == SYSTEM:
            raise InvalidInput("scope", "global or a followed user's address was expected")
        scope = _scope(ask.scope)
        if scope is None:
            raise InvalidInput("scope", "nobody of this address was followed")
        layers = copy_layers(office.store)
        layers[scope] = changed_layer(layers.get(scope, {}), ask.changes)
        judged(office.store, scope, layers[scope])
        job = office.config_tests.ask(layers, ask.hours, who_of(request))
        try:
            office.start_test(ref_of_job(job))
        except PapercopyError as error:
            office.config_tests.fail(job, f"could not be started: {error}")
            raise
        return _job(job)

    return changed(view, 202)


@configuring.route("/config/test/{job}", methods=["GET"])
def config_test(job: str) -> Response:
    """What became of a test; one read."""

    def view() -> Mapping[str, Any] | None:
        query_of(configuring.current_request)
        found = Desk.office().config_tests.read(job)
        return _job(found) if found else None

    return answered(configuring.current_request, view)


def _job(job: ConfigJob) -> dict[str, Any]:
    return {
        "job": ref_of_job(job),
        "state": job.state,
        "asked_by": job.actor,
        "ts_asked": job.ts_asked,
        "ts_started": job.ts_started or None,
        "ts_done": job.ts_done or None,
        "hours": job.hours,
        "error": job.error or None,
        "result": json.loads(job.result) if job.result else None,
    }


@configuring.route("/trigger-mode", methods=["GET"])
def trigger_mode() -> Response:
    """The effective mode and where it comes from; two reads."""

    def view() -> Mapping[str, Any]:
        query_of(configuring.current_request)
        return _mode()

    return answered(configuring.current_request, view)


@configuring.route("/trigger-mode", methods=["POST"])
def change_trigger_mode() -> Response:
    """Store a mode; the environment, where it names one, stays in force. Two reads, a commit."""

    def view() -> Mapping[str, Any]:
        request = configuring.current_request
        query_of(request)
        ask, office = body_of(request, ModeAsk), Desk.office()
        change_settings(
            office.store,
            office.clock,
            SYSTEM,
            {"trigger_mode": ask.mode},
            who=who_of(request),
            expected=ask.version,
        )
        return _mode()

    return changed(view)


def _mode() -> dict[str, Any]:
    """What is stored now, and what comes of it; processes follow within seconds."""
    office = Desk.office()
    version, layer = stored_version(office.store, SYSTEM)
    try:
        system = evaluate_system(layer).rules(office.env)
    except InvalidInput:
        system = evaluate_system({}).rules(office.env)
    return {
        "version": version,
        "effective": system.trigger_mode,
        "source": system.mode_origin,
        "stored": layer.get("trigger_mode"),
        "overridden": bool(system.mode_stored),
        "poll_interval_s": system.poll_interval_s,
    }
