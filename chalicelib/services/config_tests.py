"""Tests of configurations: asked for by the API, run by somebody with more time, read by the API.

A job is run at most once at a time; who was cut off leaves it `running`, and after RUN_MS_MAX it
counts as failed. Running twice is harmless: nothing but the job itself is written.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from hashlib import sha256

from chalicelib.domain.config_job import ConfigJob
from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError
from chalicelib.keyspace import Key, config_job_key, config_jobs_pk
from chalicelib.ports import Clock, Put, Store, stored
from chalicelib.services.audit import audited
from chalicelib.services.portfolios import ACCOUNT

HOURS = 24
HOURS_MAX = 24 * 7
GROUPS_MAX = 5_000
"""Groups that one test replays; the period begins later where there were more."""
OPEN_MAX = 2
"""Tests of an account that may wait or run at a time."""
JOBS_READ = 20
RUN_MS_MAX = 600_000
RESULT_CHARS_MAX = 200_000
LAYERS_CHARS_MAX = 100_000
_REF = re.compile(r"([0-9]{13})-([0-9a-f]{32})")

Layers = Mapping[str, Mapping[str, object]]
"""Settings by scope: `global`, or a leader."""
Result = Mapping[str, object]
Replay = Callable[[Layers, int], Result]
"""The last hours under the settings in force and under these, as JSON-ready figures."""


class ConfigTests:
    """Jobs of one account. All methods raise Retryable when the store cannot answer."""

    def __init__(self, store: Store, clock: Clock, account: str = ACCOUNT) -> None:
        self._store = store
        self._clock = clock
        self._account = account

    def ask(self, layers: Layers, hours: int, who: str) -> ConfigJob:
        """A new job, audited. Raises Conflict while OPEN_MAX others wait or run, InvalidInput.

        Costs one query of JOBS_READ rows and one commit.
        """
        if not 1 <= hours <= HOURS_MAX:
            raise InvalidInput("hours", f"1 to {HOURS_MAX} was expected")
        now = self._clock.now_ms()
        if len([job for job in self._latest() if not _over(job, now)]) >= OPEN_MAX:
            raise Conflict("other tests of configurations are still running")
        text = json.dumps(layers, default=_number, sort_keys=True)
        if len(text) > LAYERS_CHARS_MAX:
            raise InvalidInput("settings", f"at most {LAYERS_CHARS_MAX} characters can be tested")
        minted = sha256(f"job1|{self._account}|{who}|{now}|{hours}|{text}".encode()).hexdigest()
        job = ConfigJob(minted[:32], self._account, who[:200], now, hours, text)
        told = audited(who, "settings.test", job.job_id, "", text, ts=now, account_id=self._account)
        self._store.commit([Put(job), told])
        return stored(job)

    def read(self, ref: str) -> ConfigJob | None:
        """The job of that name; one that ran out of time is failed. Raises InvalidInput."""
        job = self._store.get(ConfigJob, self._key(ref))
        if job is None or job.state in ("done", "failed"):
            return job
        if _over(job, self._clock.now_ms()):
            return replace(job, state="failed", error="it did not finish in time")
        return job

    def run(self, ref: str, replay: Replay) -> bool:
        """Run a job that waits; False when it is not there, over, or being run already."""
        job = self._store.get(ConfigJob, self._key(ref))
        now = self._clock.now_ms()
        if job is None or job.state != "queued" or _over(job, now):
            return False
        running = replace(job, state="running", ts_started=now)
        try:
            self._store.commit([Put(running)])
        except Conflict:
            return False
        self._store.commit([Put(self._ended(stored(running), replay))])
        return True

    def fail(self, job: ConfigJob, error: str) -> None:
        """Nobody could be asked to run it."""
        ended = replace(job, state="failed", ts_done=self._clock.now_ms(), error=error[:500])
        self._store.commit([Put(ended)])

    def _ended(self, job: ConfigJob, replay: Replay) -> ConfigJob:
        try:
            text = json.dumps(replay(json.loads(job.layers, parse_float=Decimal), job.hours))
            if len(text) > RESULT_CHARS_MAX:
                raise InvalidInput("result", "is too large to be kept")
        except PapercopyError as error:
            ended = replace(job, state="failed", error=str(error)[:500])
        except Exception as error:  # noqa: BLE001
            # Whatever a replay stumbles over, whoever asked is told that nothing comes.
            ended = replace(job, state="failed", error=f"failed: {type(error).__name__}")
        else:
            ended = replace(job, state="done", result=text)
        return replace(ended, ts_done=self._clock.now_ms())

    def _latest(self) -> list[ConfigJob]:
        pk = config_jobs_pk(self._account)
        return self._store.query(ConfigJob, "activity", pk, limit=JOBS_READ, newest_first=True)

    def _key(self, ref: str) -> Key:
        found = _REF.fullmatch(ref)
        if found is None:
            raise InvalidInput("job", "is not the name of a test")
        return config_job_key(self._account, int(found[1]), found[2])


def ref_of_job(job: ConfigJob) -> str:
    """The name under which a job is read and run."""
    return f"{job.ts_asked:013d}-{job.job_id}"


def _over(job: ConfigJob, now: int) -> bool:
    since = job.ts_started or job.ts_asked
    return job.state in ("done", "failed") or now - since > RUN_MS_MAX


def _number(value: object) -> object:
    """Decimals are kept as numbers where JSON has them exactly, else as their text."""
    if isinstance(value, Decimal):
        return format(value, "f")
    raise InvalidInput("settings", f"{type(value).__name__} is no setting")
