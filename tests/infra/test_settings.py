"""Settings of a deployed stage are changed from the command line, and its functions follow."""

from __future__ import annotations

import pytest

from chalicelib.adapters.dynamo.store import DynamoStore
from chalicelib.adapters.stored_rules import SYSTEM, stored_layer
from infra import settings
from infra.local.engine import AwsEngine


def test_a_stage_is_changed_and_shown(capsys: pytest.CaptureFixture[str]) -> None:
    with AwsEngine(schedules=False) as engine:
        where = ["--stage", engine.stage, "--endpoint-url", engine.endpoint_url]
        assert settings.main([*where, "set", "system", "trigger_mode=polygon"]) == 0
        assert settings.main([*where, "set", "system", "trigger_mode=psychic"]) == 2
        said = capsys.readouterr()
        assert said.out == "system: trigger_mode = polygon\n"
        assert "trigger_mode" in said.err
        assert settings.main([*where, "show"]) == 0
        assert capsys.readouterr().out == "system: trigger_mode = polygon\n"
        store = DynamoStore(engine.stage, endpoint_url=engine.endpoint_url, region="us-east-1")
        assert stored_layer(store, SYSTEM) == {"trigger_mode": "polygon"}


def test_a_stage_that_cannot_be_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    code = settings.main(["--stage", "Nope!", "show"])
    said = capsys.readouterr()
    assert (code, said.out) == (2, "")
    assert said.err.startswith("settings: PAPERCOPY_STAGE")
    assert said.err.count("\n") == 1
