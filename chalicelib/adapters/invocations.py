"""Have another function of the stage do something later."""

from __future__ import annotations

import json
from typing import Any

from chalicelib.adapters.aws import translating


class ConfigTestFunction:
    """Asks the function `config_test` to run a test; Lambda keeps the request and repeats it."""

    def __init__(self, stage: str, client: Any) -> None:
        self._name = f"papercopy-{stage}-config_test"
        self._client = client

    def __call__(self, ref: str) -> None:
        """Returns when the request is kept. Raises Retryable or Permanent."""
        payload = json.dumps({"job": ref}).encode()
        with translating("start a test of a configuration"):
            self._client.invoke(FunctionName=self._name, InvocationType="Event", Payload=payload)
