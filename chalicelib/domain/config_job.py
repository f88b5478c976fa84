"""A test of a configuration that was asked for, and what became of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

JobState = Literal["queued", "running", "done", "failed"]


@dataclass(frozen=True, slots=True)
class ConfigJob:
    """One test; times in milliseconds, 0 when not yet.

    `layers` are the settings to be tried by scope, as JSON; `result` is JSON, too, and empty until
    it is done. `error` says in a sentence why there is none.
    """

    job_id: str
    account_id: str
    actor: str
    ts_asked: int
    hours: int
    layers: str
    state: JobState = "queued"
    ts_started: int = 0
    ts_done: int = 0
    result: str = ""
    error: str = ""
    version: int = 0
