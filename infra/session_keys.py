"""Make or replace the key that signs a stage's sessions: `python -m infra.session_keys --stage S`.

What was signed with the key before stays valid until it expires; run it twice, with more than five
minutes in between, to sign everybody out. The key goes into Parameter Store and is shown to nobody.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from infra.functions import APP_NAME
from infra.local.sign_in import new_key


def rotate(ssm: Any, stage: str) -> bool:
    """Put a new key in force and keep the one before; True when there was one."""
    current = f"/{APP_NAME}/{stage}/auth/session_key"
    before = ssm.get_parameters(Names=[current], WithDecryption=True)["Parameters"]
    if before:
        # First, so that at no moment a valid cookie is refused.
        _put(ssm, f"{current}_previous", before[0]["Value"])
    _put(ssm, current, new_key())
    return bool(before)


def _put(ssm: Any, name: str, value: str) -> None:
    ssm.put_parameter(Name=name, Value=value, Type="SecureString", Overwrite=True)


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="session_keys", description=__doc__)
    parser.add_argument("--stage", required=True)
    parser.add_argument("--endpoint-url", default=os.environ.get("AWS_ENDPOINT_URL"))
    arguments = parser.parse_args(words)
    try:
        ssm = boto3.client("ssm", endpoint_url=arguments.endpoint_url)
        replaced = rotate(ssm, arguments.stage)
    except (BotoCoreError, ClientError) as error:
        print(f"session_keys: {error}", file=sys.stderr)
        return 2
    print("the key was replaced" if replaced else "a key was made")
    return 0


if __name__ == "__main__":
    sys.exit(main())
