"""`python -m chalicelib COMMAND …`: JSON lines on stdout; one line on stderr and exit code 2.

Only the chosen command's module is imported, so a command costs what it needs.
"""

from __future__ import annotations

import os
import sys
from argparse import REMAINDER
from collections.abc import Sequence
from importlib import import_module

from chalicelib.cli.terminal import LineParser
from chalicelib.domain.errors import PapercopyError

COMMANDS = {
    "decode": "the fills that a node's logs state for given wallets",
    "activity": "the events of a Data API answer",
    "walk": "what an order would take from an order book",
    "replay": "a recorded or simulated period once more",
    "record": "a period of a running stack as a file for replay",
    "redrive": "what could not be processed, handed in again",
}
EXIT_UNUSABLE = 2
EXIT_INTERRUPTED = 130
EXIT_NO_READER = 141


def main(argv: Sequence[str]) -> int:
    """Run one command and return its exit code."""
    listing = "; ".join(f"{name}: {purpose}" for name, purpose in COMMANDS.items())
    parser = LineParser(prog="python -m chalicelib", epilog=listing)
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("arguments", nargs=REMAINDER, metavar="ARGUMENTS")
    chosen = parser.parse_args(argv)
    try:
        code = import_module(f"chalicelib.cli.{chosen.command}").run(chosen.arguments)
        sys.stdout.flush()
    except PapercopyError as error:
        print(f"{chosen.command}: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_UNUSABLE
    except BrokenPipeError:
        # The reader left. What is still buffered must not be flushed into the closed pipe at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_NO_READER
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code or 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
