"""One running papercopy on either engine, behind the few calls the launcher and tests need."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Literal, Protocol

from chalicelib.bootstrap import Services
from chalicelib.ports import Store
from chalicelib.settings import environment
from infra.local.embedded import EmbeddedEngine

EngineName = Literal["embedded", "aws"]


class Stack(Protocol):
    """A running system."""

    @property
    def store(self) -> Store:
        """The system's state."""

    @property
    def services(self) -> Services:
        """The use cases on it."""

    @property
    def url(self) -> str:
        """Where the dashboard is."""

    def sign_in_link(self) -> str:
        """A link that opens the dashboard and signs in once."""

    def follow(self, wallets: Sequence[tuple[str, str]]) -> None:
        """Follow (address, name) pairs."""

    def start(self) -> None:
        """Start everything."""

    def stop(self) -> None:
        """Stop everything."""

    def idle(self) -> bool:
        """Whether nothing is queued or waiting for its time."""


def open_stack(
    engine: EngineName, variables: Mapping[str, str], folder: Path, *, port: int = 0
) -> Stack:
    """A stack that is not started yet. Raises InvalidInput, AlreadyRunning or OSError."""
    if engine == "aws":
        # moto takes a second to import and is of no use to the other engine.
        from infra.local.aws_stack import AwsStack

        environment(variables)
        return AwsStack(variables, port=port)
    return EmbeddedEngine(environment(variables), folder, port=port)


def wait_until(condition: Callable[[], object], seconds_max: float, step_s: float = 0.5) -> bool:
    """Poll until `condition()` is true; False when it never was."""
    deadline = time.monotonic() + seconds_max
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(step_s)
    return bool(condition())
