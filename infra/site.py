"""The dashboard's files in the bucket behind the edge."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from infra.local.static_site import static_file

DELETE_MAX = 1000


def upload(s3: Any, bucket: str, folder: Path) -> list[str]:
    """Make the bucket hold exactly what the dashboard serves; the paths that changed."""
    kept = dict(_listing(s3, bucket))
    changed: list[str] = []
    wanted: set[str] = set()
    for path in sorted(folder.rglob("*")):
        key = path.relative_to(folder).as_posix()
        served = static_file(folder, "/" + key)
        if served is None or path.name == "README.md":
            continue
        wanted.add(key)
        if kept.get(key) == hashlib.md5(served.content, usedforsecurity=False).hexdigest():
            continue
        s3.put_object(
            Bucket=bucket,
            Key=key,
            Body=served.content,
            ContentType=served.kind,
            # Modules import each other by fixed names, so all of them are asked for again.
            CacheControl="no-cache",
        )
        changed.append("/" + key)
    gone = sorted(set(kept) - wanted)
    _delete(s3, bucket, gone)
    return changed + ["/" + key for key in gone]


def empty(s3: Any, bucket: str) -> None:
    """Delete everything in a bucket, which may not exist."""
    try:
        _delete(s3, bucket, [key for key, _ in _listing(s3, bucket)])
    except s3.exceptions.NoSuchBucket:
        return


def _listing(s3: Any, bucket: str) -> list[tuple[str, str]]:
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    return [
        (row["Key"], row["ETag"].strip('"')) for page in pages for row in page.get("Contents", [])
    ]


def _delete(s3: Any, bucket: str, keys: list[str]) -> None:
    for first in range(0, len(keys), DELETE_MAX):
        objects = [{"Key": key} for key in keys[first : first + DELETE_MAX]]
        s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
