"""`replay`: a recorded or simulated period once more, through the services of production.

Exits with 3 when what was recorded is not what was recomputed.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from chalicelib.cli.terminal import LineParser, Unusable, print_lines, read_text
from chalicelib.domain.errors import InvalidInput
from chalicelib.replay.fast import played_of
from chalicelib.replay.files import read_recording, write_recording
from chalicelib.replay.player import Layers, parse_layers
from chalicelib.replay.report import compare, summary, write_out
from chalicelib.replay.simulated import PREFIX, simulated
from chalicelib.services.recordings import Recording

EXIT_DIFFERENT = 3


def recording_at(source: str) -> Recording:
    """The recording in a file, or of a simulated period. Raises PapercopyError."""
    return simulated(source) if source.startswith(PREFIX) else read_recording(source)


def replayed(
    recording: Recording, layers: Layers | None, out: Path | None
) -> tuple[Mapping[str, object], int]:
    """The summary and how many differences there are. Raises PapercopyError."""
    try:
        played = played_of(recording, layers)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        # Each record is well, but together they make no sense to the services.
        said = f"{type(error).__name__}: {error}"
        raise Unusable(f"the recording does not play ({said:.200})") from error
    told: dict[str, object] = summary(recording, played)
    total = 0
    if layers is None:
        total, found = compare(recording, played)
        told |= {
            "compared": len(recording.attempts),
            "differences": total,
            "mismatches": [asdict(mismatch) for mismatch in found],
        }
    if out:
        try:
            write_out(played, out)
        except OSError as error:
            raise Unusable(f"cannot write to {str(out)!r}: {error.strerror}") from error
    return told, total


def run(argv: Sequence[str]) -> int:
    """Read the arguments and the input, then print one line."""
    parser = LineParser(prog="replay")
    parser.add_argument("input", metavar="INPUT", help="a recording, or simulator:SEED:FILLS")
    parser.add_argument("--config", metavar="FILE", help="settings by scope, as JSON")
    parser.add_argument("--out", metavar="DIR", help="where ledger, attempts and decisions go")
    parser.add_argument("--save", metavar="FILE", help="keep what was read as a recording")
    arguments = parser.parse_args(argv)
    layers = None
    if arguments.config:
        try:
            layers = parse_layers(read_text(arguments.config))
        except InvalidInput as error:
            raise Unusable(f"the settings: {error}") from error
    collecting = gc.isenabled()
    # Almost everything that is made here stays: looking for garbage in it is in vain.
    gc.disable()
    try:
        recording = recording_at(arguments.input)
        if arguments.save:
            _save(recording, arguments.save)
        told, total = replayed(recording, layers, Path(arguments.out) if arguments.out else None)
    finally:
        if collecting:
            gc.enable()
    print_lines([told])
    return EXIT_DIFFERENT if total else 0


def _save(recording: Recording, path: str) -> None:
    try:
        write_recording(recording, path)
    except OSError as error:
        raise Unusable(f"cannot write {path!r}: {error.strerror}") from error
