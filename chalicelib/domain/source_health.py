"""How the two sources of evidence are, as far as it concerns what we may do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.reasons import Reason

SourceState = Literal["up", "down", "off", "starting"]


@dataclass(frozen=True, slots=True)
class SourceHealth:
    """Both sources' states, `off` where the trigger mode does not use one.

    `degraded` says that a used source is down while copying goes on or is stopped; `detail` is one
    sentence about it for people, empty when all is well. `blocking` are the reasons for which no
    position may be opened now.
    """

    chain: SourceState
    api: SourceState
    degraded: bool = False
    detail: str = ""
    chain_detail: str = ""
    api_detail: str = ""
    blocking: tuple[Reason, ...] = ()

    @property
    def blocks(self) -> bool:
        """Whether new BUYs wait for a better time; SELLs never do."""
        return bool(self.blocking)
