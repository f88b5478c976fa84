"""The watcher's own health check: what it answers, and that a hung loop answers nothing."""

from __future__ import annotations

import asyncio
import socket

import pytest

from chalicelib.watcher import pulse as module
from chalicelib.watcher.pulse import SILENT_S_MAX, Pulse, PulsePort, ask, main


class Seconds:
    """A clock that only moves when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        found: int = probe.getsockname()[1]
    return found


def test_it_is_well_once_the_chain_was_heard_and_while_heartbeats_are_stored() -> None:
    seconds = Seconds()
    pulse = Pulse(seconds)
    assert pulse.answer() == "starting"
    pulse.beat(False)
    assert pulse.answer() == "starting"
    pulse.beat(True)
    assert pulse.answer() == "well"
    # A node that goes down later is no reason to start again.
    pulse.beat(False)
    assert pulse.answer() == "well"
    seconds.now += SILENT_S_MAX
    assert pulse.answer() == "well"
    seconds.now += 1
    assert pulse.answer() == f"silent for {SILENT_S_MAX + 1:.0f} s"
    pulse.beat(False)
    assert pulse.answer() == "well"


def test_who_never_stored_anything_is_silent_and_not_starting_for_ever() -> None:
    seconds = Seconds()
    pulse = Pulse(seconds)
    seconds.now += SILENT_S_MAX + 1
    assert pulse.answer().startswith("silent")


def test_the_check_asks_the_port_and_ends_with_what_it_heard(
    port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(module.PORT_VARIABLE, str(port))
    pulse = Pulse()

    async def scene() -> list[int]:
        stop = asyncio.Event()
        served = asyncio.create_task(PulsePort(pulse, port).run(stop))
        await asyncio.sleep(0)
        ended = [await asyncio.to_thread(main)]
        pulse.beat(True)
        ended.append(await asyncio.to_thread(main))
        stop.set()
        await served
        ended.append(await asyncio.to_thread(main))
        return ended

    assert asyncio.run(scene()) == [1, 0, 1]


def test_a_loop_that_hangs_is_not_well(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ASK_SECONDS_MAX", 0.2)

    async def scene() -> str:
        pulse, stop = Pulse(), asyncio.Event()
        pulse.beat(True)
        served = asyncio.create_task(PulsePort(pulse, port).run(stop))
        await asyncio.sleep(0)
        # Asked on the loop's own thread, so nobody can answer.
        heard = ask(port)
        stop.set()
        await served
        return heard

    assert asyncio.run(scene()).startswith("no answer")
