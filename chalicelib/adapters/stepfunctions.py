"""Copy workflows on Step Functions."""

from __future__ import annotations

from threading import Lock
from typing import Any

from botocore.exceptions import ClientError

from chalicelib.adapters import codec
from chalicelib.adapters.aws import code_of, translating
from chalicelib.domain.errors import InvalidInput
from chalicelib.ports import CopyRun

NAME_CHARACTERS_MAX = 80
PORTFOLIOS_MAX = 100
WAIT_SECONDS_MAX = 240
"""All waits of one execution together; an Express execution lives five minutes."""


def parse_copy_run(payload: object) -> CopyRun:
    """The run in a state's input. Raises InvalidInput naming the first wrong field."""
    if not isinstance(payload, dict):
        raise InvalidInput("body", f"an object was expected, got {type(payload).__name__}")
    run = codec.from_plain(CopyRun, payload)
    if not run.group_id:
        raise InvalidInput("group_id", "must not be empty")
    if not 0 <= run.wait_seconds <= WAIT_SECONDS_MAX:
        raise InvalidInput("wait_seconds", f"must be 0 to {WAIT_SECONDS_MAX}")
    if run.rounds < 0:
        raise InvalidInput("rounds", "must not be negative")
    if len(run.portfolios) > PORTFOLIOS_MAX:
        raise InvalidInput("portfolios", f"at most {PORTFOLIOS_MAX} were expected")
    return run


class StepFunctionsWorkflows:
    """Port CopyWorkflows on the state machine `papercopy-{stage}-copy-trade`.

    Without `state_machine_arn` the ARN is built from the client's region and, asked for once, the
    account of the credentials; `sts` is needed only then.
    """

    def __init__(
        self, stage: str, client: Any, *, sts: Any = None, state_machine_arn: str = ""
    ) -> None:
        if not state_machine_arn and sts is None:
            raise ValueError("either the state machine's ARN or an STS client is needed")
        self._stage = stage
        self._client = client
        self._sts = sts
        self._arn = state_machine_arn
        self._lock = Lock()

    def start(self, run: CopyRun) -> None:
        """Start one execution, named after its group; one that runs already is a success.

        Raises Retryable when it may not have started, Permanent when it never will.
        """
        with translating(f"start the copy workflow of {run.group_id}"):
            try:
                self._client.start_execution(
                    stateMachineArn=self._find(),
                    name=run.group_id[:NAME_CHARACTERS_MAX],
                    input=codec.to_text(run),
                )
            except ClientError as error:
                if code_of(error) != "ExecutionAlreadyExists":
                    raise

    def _find(self) -> str:
        with self._lock:
            if not self._arn:
                caller = self._sts.get_caller_identity()
                partition = str(caller["Arn"]).split(":")[1]
                region = self._client.meta.region_name
                self._arn = (
                    f"arn:{partition}:states:{region}:{caller['Account']}"
                    f":stateMachine:papercopy-{self._stage}-copy-trade"
                )
            return self._arn
