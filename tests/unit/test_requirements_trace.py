"""Every requirement that is said to be met names a test file that exists."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ROW = re.compile(r"^\| ([A-Z]\d+) \| .+ \| `(tests/[\w/.]+)` \|$")


def test_every_line_names_an_existing_test() -> None:
    lines = (ROOT / "docs" / "requirements.md").read_text().splitlines()
    rows = [line for line in lines if re.match(r"\| [A-Z]\d", line)]
    found = [ROW.match(line) for line in rows]
    assert all(found), [line for line, match in zip(rows, found, strict=True) if not match]
    ids = [match[1] for match in found if match]
    assert len(set(ids)) == len(ids) >= 30
    missing = [match[2] for match in found if match and not (ROOT / match[2]).is_file()]
    assert missing == []
