"""Each scene on the embedded engine, on the production topology, and in replay."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.adapters import stored_rules
from chalicelib.cli.replay import recording_at, replayed
from chalicelib.ports import Store
from chalicelib.replay.files import write_recording
from chalicelib.replay.player import Player
from chalicelib.services import portfolio_view
from chalicelib.services.record_period import record_period
from infra.local import embedded
from infra.local import engine as local_engine
from infra.local.ground_truth import ledgers_hold
from tests.e2e.acceptance.ended import ending, parts
from tests.e2e.acceptance.playing import EngineStage
from tests.e2e.acceptance.scene import DAY_MS, FOLLOWED, Ending, Scene
from tests.e2e.acceptance.scenes import SCENES
from tests.e2e.acceptance.scripted import recording_of
from tests.e2e.acceptance.staged_venue import StagedVenue
from tests.e2e.engines import Engine, open_engine
from tests.e2e.ledgers import digests
from tests.e2e.venue import FeedNode

ROOT = Path(__file__).resolve().parents[3]
ENGINES = ("embedded", "aws")
SCRIPTED = {name: scene for name, scene in SCENES.items() if scene.scripted}


@dataclass
class Played:
    """What one player of all scenes came to."""

    endings: dict[str, Ending]
    parts: dict[str, dict[str, str]]
    digests: dict[str, str]
    broken: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)
    file: Path | None = None


def _seen(store: Store, scenes: dict[str, Scene]) -> Played:
    return Played(
        {name: ending(store, scene) for name, scene in scenes.items()},
        {name: parts(store, scene) for name, scene in scenes.items()},
        digests(store),
    )


def _at_once(patch: pytest.MonkeyPatch) -> None:
    """No schedule of an engine's own between the steps, and nothing old remembered for long."""
    patch.setattr(stored_rules, "REFRESH_MS", 500)
    patch.setattr(portfolio_view, "MARKS_REFRESH_MS", 0)
    for name in ("MARK_S", "TEND_S", "MEASURE_S", "LOOK_BACK_S"):
        patch.setattr(embedded, name, 3_600)
    patch.setattr(bootstrap, "VENUE_CALLS_PER_S", 2_000)
    patch.setattr(local_engine, "IDLE_STEP_S", 0.08)


def _on_stage(engine: Engine, venue: StagedVenue, file: Path) -> Played:
    stage = EngineStage(engine, venue)
    broken = {}
    for name, scene in SCENES.items():
        try:
            stage.play(scene)
        except (AssertionError, TimeoutError) as error:
            # The other scenes stand for themselves.
            broken[name] = str(error) or repr(error)
    played = _seen(engine.store, SCENES)
    played.broken = broken
    played.errors = ledgers_hold(engine.store) + [str(r) for r in engine.refused()]
    recording = record_period(engine.store, FOLLOWED - 1, FOLLOWED + 5 * DAY_MS)
    write_recording(recording, file)
    played.file = file
    return played


def _played(name: str, folder: Path, patch: pytest.MonkeyPatch) -> Played:
    """Every scene on one engine, from an empty store."""
    _at_once(patch)
    with StagedVenue(list(SCENES.values())) as venue, FeedNode() as node:
        variables = {**venue.environment(), **node.environment(), "TRIGGER_MODE": ""}
        engine = open_engine(name, variables, folder / "data", patch)
        try:
            return _on_stage(engine, venue, folder / f"{name}.jsonl.gz")
        finally:
            engine.stop()


@pytest.fixture(scope="module")
def embedded_played(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Played:
    return _played("embedded", tmp_path_factory.mktemp("embedded"), patch)


@pytest.fixture(scope="module")
def aws_played(tmp_path_factory: pytest.TempPathFactory, patch: pytest.MonkeyPatch) -> Played:
    return _played("aws", tmp_path_factory.mktemp("aws"), patch)


@pytest.fixture
def played(request: pytest.FixtureRequest, engine: str) -> Played:
    """What the engine of a test's own parameter came to."""
    found: Played = request.getfixturevalue(f"{engine}_played")
    return found


@pytest.fixture(scope="module")
def scripted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Played]:
    """The scenes that a recording can state, replayed without ever having been live."""
    file = tmp_path_factory.mktemp("scripted") / "scenes.jsonl"
    write_recording(recording_of(list(SCRIPTED.values())), file)
    player = Player(recording_at(str(file)))
    player.play()
    return file, _seen(player.store, SCRIPTED)


@pytest.mark.parametrize("scene", SCENES)
@pytest.mark.parametrize("engine", ENGINES)
def test_an_engine_ends_with_the_figures(played: Played, engine: str, scene: str) -> None:
    assert played.broken.get(scene, "") == ""
    assert played.endings[scene] == SCENES[scene].ending


@pytest.mark.parametrize("scene", SCRIPTED)
def test_a_replay_of_the_script_ends_with_the_figures(
    scripted: tuple[Path, Played], scene: str
) -> None:
    assert scripted[1].endings[scene] == SCENES[scene].ending


@pytest.mark.parametrize("scene", SCENES)
def test_both_engines_have_the_same_ledgers(
    embedded_played: Played, aws_played: Played, scene: str
) -> None:
    assert embedded_played.parts[scene] == aws_played.parts[scene]


@pytest.mark.parametrize("scene", SCRIPTED)
def test_a_replay_of_the_script_has_the_same_ledgers(
    embedded_played: Played, scripted: tuple[Path, Played], scene: str
) -> None:
    assert scripted[1].parts[scene] == embedded_played.parts[scene]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_recording_of_an_engine_replays_to_its_ledgers(played: Played, engine: str) -> None:
    told, differences = replayed(recording_at(str(played.file)), None, None)
    assert (differences, told["mismatches"]) == (0, [])
    assert told["digests"] == played.digests


def test_the_engines_and_the_command_come_to_the_same_digests(
    embedded_played: Played, aws_played: Played
) -> None:
    told = _command(embedded_played.file)
    assert told["digests"] == embedded_played.digests == aws_played.digests
    assert told["compared"] == told["attempts"] > 60


def test_the_command_replays_a_script(scripted: tuple[Path, Played]) -> None:
    assert _command(scripted[0])["digests"] == scripted[1].digests


@pytest.mark.parametrize("engine", ENGINES)
def test_ledgers_hold_and_nothing_was_refused(played: Played, engine: str) -> None:
    assert played.errors == []


def test_every_scene_has_ledgers_of_its_own(embedded_played: Played) -> None:
    own = {parts["shadow"] for parts in embedded_played.parts.values()}
    assert len(own) == len(SCENES)


def _command(file: Path | None) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "chalicelib", "replay", str(file)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    found: dict[str, Any] = json.loads(done.stdout)
    return found
