"""The dashboard explains exactly the reason codes there are, in the server's own words."""

from __future__ import annotations

import json
import re
from pathlib import Path

from chalicelib.domain.reasons import EXPLANATIONS

SCRIPT = Path(__file__).parents[2] / "dashboard/js/reasons.js"
LINE = re.compile(r'^  ([A-Z_]+): (".*"),$', re.MULTILINE)


def test_the_dashboard_knows_every_reason() -> None:
    shown = {code: json.loads(text) for code, text in LINE.findall(SCRIPT.read_text())}
    assert shown == {reason.value: text for reason, text in EXPLANATIONS.items()}
