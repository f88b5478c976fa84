"""Bodies of the requests that change something; what is not named here is refused."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from chalicelib.services.config_tests import HOURS, HOURS_MAX
from chalicelib.services.manage_leaders import NAME_LENGTH_MAX, WALLETS_MAX
from chalicelib.services.preview_leader import QUERY_CHARS_MAX
from chalicelib.services.redrive import LIMIT, LIMIT_MAX

CHANGES_MAX = 100
Text = Annotated[str, Field(max_length=200)]
Value = bool | int | Decimal | Text | None
"""A setting; None removes the override. Fractions may come as numbers or as text."""
Changes = Annotated[dict[Text, Value], Field(max_length=CHANGES_MAX)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ConfigChange(_Body):
    """Settings to change; `version` is the one that was read, 0 before the first change."""

    version: int = Field(ge=0)
    changes: Changes = Field(min_length=1)


class ConfigTestAsk(_Body):
    """Settings to try on the last hours; `scope` is `global` or a followed user's address."""

    scope: Text = "global"
    changes: Changes
    hours: int = Field(HOURS, ge=1, le=HOURS_MAX)


class FollowAsk(_Body):
    """Whom to follow: an address or an exact profile name, and further wallets of his."""

    who: Annotated[str, Field(min_length=1, max_length=QUERY_CHARS_MAX)]
    wallets: Annotated[list[Text], Field(max_length=WALLETS_MAX - 1)] = []
    name: Annotated[str, Field(max_length=NAME_LENGTH_MAX)] = ""


class StateAsk(_Body):
    """Copy somebody (`on`), or stop: he is `sell_only` until nothing of him is held."""

    state: Literal["on", "off"]


class RedriveAsk(_Body):
    """Which dead letters to hand in again, at most how many; a dry run only counts them."""

    queue: Literal["fills", "polls", "failures"] = "fills"
    limit: int = Field(LIMIT, ge=1, le=LIMIT_MAX)
    dry_run: bool = False


class ControlAsk(_Body):
    """What to do with one executable portfolio, or with all of the account."""

    action: Literal["pause", "resume", "reset-breaker"]
    portfolio: Text = ""


class ModeAsk(_Body):
    """The trigger mode to store, None for the default; `version` is that of the settings."""

    mode: Literal["api", "polygon", "both"] | None
    version: int = Field(ge=0)


class ListAsk(_Body):
    """Put a market (by condition id) or a category on a list, or take it off."""

    action: Literal["add", "remove"]
    listing: Literal["blacklist", "whitelist"]
    kind: Literal["market", "category"]
    value: Text
    note: Text = ""
