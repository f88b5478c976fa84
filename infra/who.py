"""Who runs a command, for the audit log."""

from __future__ import annotations

import getpass

from chalicelib.services.audit import OPERATOR


def operator() -> str:
    """`operator` with the name this machine knows him by, where it knows one."""
    try:
        return f"{OPERATOR} {getpass.getuser()}"
    except (OSError, KeyError):
        return OPERATOR
