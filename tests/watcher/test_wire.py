"""Frames parse the same with and without the fast parser."""

from __future__ import annotations

import importlib.util
import json
import sys
from types import ModuleType

import pytest
from feed_fakes import fill_log, notification

from chalicelib.watcher import wire


def plain(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "orjson", None)
    spec = importlib.util.find_spec("chalicelib.watcher.wire")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("fast", [True, False])
def test_frames_and_logs(fast: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    module = wire if fast else plain(monkeypatch)
    frame = notification(fill_log())
    assert module.parse(frame) == module.parse(frame.encode()) == json.loads(frame)
    text = module.compact({"a": ["é", 1, None]})
    assert text == '{"a":["é",1,null]}'


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("frame", ["", "{", "nonsense", b"\xff", "[" * 200_000])
def test_nonsense_is_a_value_error(
    frame: str | bytes, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = wire if fast else plain(monkeypatch)
    with pytest.raises(ValueError):
        module.parse(frame)
