"""Parameters of a stage in SSM Parameter Store, under `/papercopy/<stage>/<folder>/`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chalicelib.adapters.aws import translating
from chalicelib.domain.errors import InvalidInput

NAMES_MAX = 10
"""Names that one request to Parameter Store may have."""


def parameters(
    ssm: Any, stage: str, folder: str, plain: Sequence[str], secret: Sequence[str]
) -> dict[str, str]:
    """Values by name; what does not exist is left out.

    Raises InvalidInput for a secret that is not a SecureString, Retryable or Permanent when
    Parameter Store does not answer. No failure quotes a value.
    """
    names = [*plain, *secret]
    if len(names) > NAMES_MAX:
        raise ValueError(f"at most {NAMES_MAX} parameters are read at once")
    path = f"/papercopy/{stage}/{folder}/"
    with translating("reading parameters"):
        answer = ssm.get_parameters(Names=[path + name for name in names], WithDecryption=True)
    found: dict[str, str] = {}
    for row in answer["Parameters"]:
        name = str(row["Name"]).removeprefix(path)
        if name in secret and row["Type"] != "SecureString":
            raise InvalidInput(name, "must be stored as SecureString")
        found[name] = str(row["Value"])
    return found
