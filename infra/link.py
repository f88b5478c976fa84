"""Print a fresh link that signs in once to the papercopy that runs here: `python -m infra.link`.

`--data FOLDER` names the folder given to `make run` (default `.data`), `--venue` one of its venues
where both run.
"""

from __future__ import annotations

import argparse
import fcntl
import sys
from collections.abc import Sequence
from pathlib import Path

from chalicelib.adapters.clock import SystemClock
from chalicelib.domain.errors import PapercopyError
from infra.chalice_files import PROJECT_ROOT
from infra.local.sign_in import ADDRESS_FILE, folder_key, link

VENUES = ("simulated", "live")


def running(folder: Path) -> bool:
    """Whether a papercopy works in a data folder now."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return (folder / ADDRESS_FILE).exists()
    return False


def links(data: Path, venues: Sequence[str]) -> list[str]:
    """A fresh link for each venue's papercopy that runs."""
    folders = [data / venue for venue in venues]
    return [
        link(
            (folder / ADDRESS_FILE).read_text().strip(), folder_key(folder), SystemClock().now_ms()
        )
        for folder in folders
        if running(folder)
    ]


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="link", description=__doc__)
    parser.add_argument("--data", type=Path, default=PROJECT_ROOT / ".data")
    parser.add_argument("--venue", choices=VENUES)
    arguments = parser.parse_args(words)
    try:
        found = links(arguments.data, [arguments.venue] if arguments.venue else VENUES)
    except (PapercopyError, OSError) as error:
        print(f"link: {error}", file=sys.stderr)
        return 2
    if not found:
        print(
            f"link: no papercopy runs in {arguments.data}; `make run` starts one", file=sys.stderr
        )
        return 2
    print("\n".join(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
