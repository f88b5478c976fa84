"""The watcher's Dockerfile as a list of instructions, and the checks that a linter would make."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from pathlib import Path

KNOWN = {
    "FROM", "ARG", "COPY", "RUN", "ENV", "WORKDIR", "USER", "STOPSIGNAL", "HEALTHCHECK", "CMD",
}  # fmt: skip


@dataclass(frozen=True)
class Instruction:
    """One instruction with its continuation lines joined."""

    word: str
    rest: str


def instructions(path: Path) -> list[Instruction]:
    """Instructions in order, comments and continuation lines resolved."""
    lines = [line for line in path.read_text().splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    found = []
    for line in filter(None, map(str.strip, joined.splitlines())):
        word, _, rest = line.partition(" ")
        found.append(Instruction(word, rest.strip()))
    return found


def last_stage(all_of_them: list[Instruction]) -> list[Instruction]:
    """What makes the image itself."""
    starts = [index for index, one in enumerate(all_of_them) if one.word == "FROM"]
    return all_of_them[starts[-1] :]


def environment(stage: list[Instruction]) -> dict[str, str]:
    """Variables that the image sets."""
    pairs = [pair for one in stage if one.word == "ENV" for pair in shlex.split(one.rest)]
    return dict(pair.split("=", 1) for pair in pairs)


def command(stage: list[Instruction], word: str = "CMD") -> list[str]:
    """The words of the exec form of CMD or HEALTHCHECK."""
    (rest,) = (one.rest for one in stage if one.word == word)
    words: list[str] = json.loads(rest[rest.index("[") :])
    return words


def complaints(all_of_them: list[Instruction]) -> list[str]:
    """What is wrong by the rules that hadolint calls DL and Docker's own build checks."""
    found = []
    stages = [one.rest for one in all_of_them if one.word == "FROM"]
    found += [f"FROM {rest}: no fixed tag" for rest in stages if not re.search(r":[\w.-]*\d", rest)]
    found += [f"FROM {rest}: latest" for rest in stages if ":latest" in rest]
    found += [f"unknown instruction {one.word}" for one in all_of_them if one.word not in KNOWN]
    for one in all_of_them:
        if one.word == "RUN":
            found += _about_run(one.rest)
        if one.word == "WORKDIR" and not one.rest.startswith("/"):
            found.append("WORKDIR is not absolute")
        if one.word in {"CMD", "HEALTHCHECK"} and "[" not in one.rest:
            found.append(f"{one.word} goes through a shell, which swallows signals")
        if one.word == "COPY" and re.search(r"(^|\s)\.(\s|$)", one.rest):
            found.append("COPY takes everything there is")
        if one.word in {"ENV", "ARG"} and re.search(r"(?i)secret|token|passw|_key|_url", one.rest):
            found.append(f"{one.word} may hold a secret")
    image = last_stage(all_of_them)
    users = [one.rest for one in image if one.word == "USER"]
    if not users or re.match(r"(root|0)(:|$)", users[-1]):
        found.append("runs as root")
    words = [one.word for one in image]
    if users and "COPY" in words[words.index("USER") :]:
        found.append("files are copied after USER")
    found += [f"no {word}" for word in ("HEALTHCHECK", "CMD", "STOPSIGNAL") if word not in words]
    return found


def _about_run(rest: str) -> list[str]:
    found = []
    if "pip install" in rest:
        wanted = ("--no-cache-dir", "--require-hashes", "--only-binary=:all:")
        found += [f"pip install without {word}" for word in wanted if word not in rest]
    if "apt-get" in rest or re.search(r"\b(sudo|curl|wget|chmod 777)\b", rest):
        found.append(f"RUN fetches or loosens something: {rest[:40]}")
    return found
