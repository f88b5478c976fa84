"""What the services need from the world, named by role. Adapters implement these."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.market import Market
from chalicelib.domain.orderbook import Book
from chalicelib.domain.paper_order import Order, Outcome
from chalicelib.domain.rules import CopyRules
from chalicelib.keyspace import Key, Record, Table, place_of

R = TypeVar("R", bound=Record)

WRITES_MAX = 50
"""Writes of one commit; DynamoDB allows 100 items in a transaction."""
QUERY_LIMIT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Put:
    """Write `record` if the stored version equals `record.version` (0: nothing is stored).

    The stored record's version becomes one higher.
    """

    record: Record


@dataclass(frozen=True, slots=True)
class Delete:
    """Remove the record at `key` if its stored version equals `version`."""

    key: Key
    version: int


@dataclass(frozen=True, slots=True)
class Require:
    """Write nothing, but fail the commit unless the stored version equals `version`."""

    key: Key
    version: int


Write = Put | Delete | Require


PK_BYTES_MAX = 2_048
SK_BYTES_MAX = 1_024


def check_writes(writes: Sequence[Write]) -> list[Key]:
    """The keys a commit touches. Raises ValueError when it breaks the store's bounds."""
    keys = [place_of(w.record).key if isinstance(w, Put) else w.key for w in writes]
    if not 1 <= len(writes) <= WRITES_MAX:
        raise ValueError(f"a commit has 1 to {WRITES_MAX} writes, not {len(writes)}")
    if len(set(keys)) != len(keys):
        raise ValueError("a commit may touch each key only once")
    for key in keys:
        if not 1 <= len(key.pk) <= PK_BYTES_MAX or not 1 <= len(key.sk) <= SK_BYTES_MAX:
            raise ValueError(f"a key is empty or too long: {key.pk[:40]} {key.sk[:40]}")
    return keys


def check_limit(limit: int) -> None:
    """Raises ValueError for a page size outside the store's bounds."""
    if not 1 <= limit <= QUERY_LIMIT_MAX:
        raise ValueError(f"a limit is 1 to {QUERY_LIMIT_MAX}, not {limit}")


class Store(Protocol):
    """The system's state. Reads are strongly consistent, except `feed`, which may lag."""

    def get(self, kind: type[R], key: Key) -> R | None:
        """The record at `key`, or None. Raises Retryable when the store cannot answer."""

    def query(
        self,
        kind: type[R],
        table: Table,
        pk: str,
        *,
        start: str = "",
        end: str = "\U0010ffff",
        limit: int = 100,
        newest_first: bool = False,
    ) -> list[R]:
        """Records of one partition with start ≤ sort key < end, in key order, at most `limit`.

        All records in that key range must be of `kind`.
        """

    def feed(
        self, kind: type[R], table: Table, feed_pk: str, *, before: str | None, limit: int
    ) -> list[tuple[str, R]]:
        """(feed sort key, record) newest first, strictly below `before` if given."""

    def commit(self, writes: Sequence[Write]) -> None:
        """All of `writes` (1..WRITES_MAX, distinct keys) or none.

        Raises Conflict when a condition fails, Retryable when the outcome is unknown or the store
        is overloaded; after either the caller reads again and decides anew.
        """


class FillQueue(Protocol):
    """The way from producers to ingestion."""

    def send(self, messages: Sequence[FillMessage]) -> None:
        """Hand over every message, in order, or raise Retryable; duplicates are harmless."""


@dataclass(frozen=True, slots=True)
class CopyRun:
    """Input of a copy workflow: ids only, because executions are hints.

    `wait_seconds` is how long to wait before the next step (0: finished), `rounds` how many steps
    ran.
    """

    group_id: str
    portfolios: tuple[str, ...]
    wait_seconds: int
    rounds: int = 0


STEPS_MAX = 8
"""Steps of one copy workflow before it gives up and leaves the rest to the sweeper."""


class CopyWorkflows(Protocol):
    """Starts the waiting for a group; starting twice, late or never is harmless."""

    def start(self, run: CopyRun) -> None:
        """Start one execution. Raises Retryable when it may not have started."""


class Quarantine(Protocol):
    """Keeps what can never be processed, with its payload, for a person to look at."""

    def keep(self, source: str, payload: str, error: str) -> None:
        """Store one refused payload (cut to 100 KB) with the sentence that says why."""


class Books(Protocol):
    """Order books of the venue."""

    def book(self, token_id: str, not_before: int) -> Book | None:
        """The full-depth book as of a moment at or after `not_before` (milliseconds).

        None when the venue has no book for the token. Raises Retryable or Permanent.
        """


class ExecutionAdapter(Protocol):
    """Where orders go. Attempt rows are written before `submit`, outcomes right after it."""

    def submit(self, order: Order, schedule: FeeSchedule) -> Outcome:
        """Place an order and return what became of it: its fills and its terminal state.

        Raises Retryable when nothing is known yet; the same order may then be submitted again.
        """


class Midpoints(Protocol):
    """Prices for valuation."""

    def midpoints(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        """Midpoint in micros per token; tokens without a book are missing."""


class MarketCatalogue(Protocol):
    """The venue's list of markets."""

    def markets(self) -> Iterator[Market]:
        """Every open order-book market, page by page, at most 100,000."""

    def market_of_token(self, token_id: str) -> Market | None:
        """The market of one token, open or closed, or None when the venue does not know it."""


@dataclass(frozen=True, slots=True)
class ActivityPoll:
    """One complete poll of a wallet; `refused` are (payload, error) of rows that did not parse."""

    events: tuple[ActivityEvent, ...]
    refused: tuple[tuple[str, str], ...]


class ActivityFeed(Protocol):
    """A wallet's history at the venue's Data API."""

    def poll(self, wallet: str, since_seconds: int) -> ActivityPoll:
        """All activity with block time ≥ `since_seconds`, all pages, oldest first.

        Raises Retryable when any page failed: a part of a poll is no evidence.
        """


class Rules(Protocol):
    """The evaluated copy rules."""

    def rules_for(self, leader: str) -> CopyRules:
        """Defaults, then the global settings, then the leader's own."""


class Metrics(Protocol):
    """Counts and durations."""

    def count(self, name: str, value: int = 1) -> None:
        """Add to a counter."""


class Clock(Protocol):
    """The time."""

    def now_ms(self) -> int:
        """Milliseconds UTC, on the venue's clock."""

    def pause_ms(self, milliseconds: int) -> None:
        """Let others go first: about this long, drawn at random; nothing on a virtual clock."""


def stored(record: R) -> R:
    """The record as it stands in the store after it was committed by Put."""
    return replace(record, version=record.version + 1)
