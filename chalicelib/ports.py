"""What the services need from the world, named by role. Adapters implement these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from chalicelib.domain.activity import ActivityEvent
from chalicelib.domain.consumption import Taken
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.market import Market, Resolution
from chalicelib.domain.orderbook import Book
from chalicelib.domain.paper_order import Order, Outcome
from chalicelib.domain.records import replace
from chalicelib.domain.rules import CopyRules, SystemRules
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
    check_keys(keys, writes)
    return keys


def check_keys(keys: Sequence[Key], writes: Sequence[Write]) -> None:
    """Raises ValueError where a commit of these writes to these keys breaks the store's bounds.

    The audit table takes new rows and nothing else.
    """
    if not 1 <= len(keys) <= WRITES_MAX:
        raise ValueError(f"a commit has 1 to {WRITES_MAX} writes, not {len(keys)}")
    if len(set(keys)) != len(keys):
        raise ValueError("a commit may touch each key only once")
    for key, write in zip(keys, writes, strict=True):
        if not 1 <= len(key.pk) <= PK_BYTES_MAX or not 1 <= len(key.sk) <= SK_BYTES_MAX:
            raise ValueError(f"a key is empty or too long: {key.pk[:40]} {key.sk[:40]}")
        if key.table == "audit" and not (isinstance(write, Put) and write.record.version == 0):
            raise ValueError("the audit table is appended to, never changed")


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


Prepared = Any
"""A message in the form in which its own queue sends it; opaque to everyone else."""


class FillQueue(Protocol):
    """The way from producers to ingestion; duplicates are harmless.

    A producer in a hurry prepares each message when it comes and sends many of them later.
    """

    def send(self, messages: Sequence[FillMessage]) -> None:
        """Hand over every message, in order, or raise what the other two raise."""

    def prepare(self, message: FillMessage) -> Prepared:
        """What `send_prepared` takes, without I/O. Raises InvalidInput for what cannot be sent."""

    def send_prepared(self, prepared: Sequence[Prepared]) -> None:
        """Hand over everything, in order, or raise Retryable or Permanent."""


@dataclass(frozen=True, slots=True)
class CopyRun:
    """Input of a copy workflow: ids only, because executions are hints.

    `wait_seconds` is how long to wait before the next step (0: finished), `rounds` how many steps
    ran, without those that only waited for confirmation.
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


DEAD_QUEUES = ("fills", "polls", "failures")


@dataclass(frozen=True, slots=True)
class Redriven:
    """Messages handed in again, those of no use that stay, and how many lie there now."""

    moved: int
    kept: int
    left: int


class DeadLetters(Protocol):
    """What failed too often, by queue (one of DEAD_QUEUES)."""

    def count(self, queue: str) -> int:
        """About how many messages lie there. Raises Retryable or Permanent."""

    def redrive(self, queue: str, limit: int) -> Redriven:
        """Hand in at most `limit` messages again. Raises Retryable or Permanent."""


class Books(Protocol):
    """Order books of the venue."""

    def book(self, token_id: str, not_before: int) -> Book | None:
        """The full-depth book as of a moment at or after `not_before` (milliseconds).

        None when the venue has no book for the token. Raises Retryable or Permanent.
        """

    def books(self, token_ids: Sequence[str]) -> Mapping[str, Book]:
        """Present books by token, missing where the venue has none. Raises Retryable, Permanent."""


class ExecutionAdapter(Protocol):
    """Where orders go. Attempt rows are written before `submit`, outcomes right after each call.

    `taken` is what earlier orders of the portfolio took from the book, for executors on paper.
    Every call raises Retryable when nothing is known yet, and may then be repeated.
    """

    def submit(self, order: Order, schedule: FeeSchedule, taken: Sequence[Taken]) -> Outcome:
        """Place an order and return what became of it: it is over, or a remainder rests.

        A BUY beyond its own caps or the hard ones (`safety_caps`) is not placed: it ends FAILED.
        """

    def follow(self, order: Order, outcome: Outcome, until: int, taken: Sequence[Taken]) -> Outcome:
        """What became of a resting order up to `until` (milliseconds); at its expiry it is over."""

    def cancel(self, order: Order, outcome: Outcome, ts: int, taken: Sequence[Taken]) -> Outcome:
        """Cancel a resting order at `ts` and return how it ended."""


class LastTrades(Protocol):
    """What tokens without a midpoint were last traded at."""

    def last_trades(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        """Price of the last trade in micros as the venue states it; untraded ones are missing."""


class ResolutionFeed(Protocol):
    """How markets were decided."""

    def resolutions(self, markets: Sequence[Market]) -> Mapping[str, Resolution]:
        """Resolution by condition id; markets the venue says nothing of are missing.

        Raises Retryable when the venue could not be asked.
        """


class Midpoints(Protocol):
    """Prices for valuation."""

    def midpoints(self, token_ids: Sequence[str]) -> Mapping[str, int]:
        """Midpoint in micros per token; tokens without a book are missing."""


@dataclass(frozen=True, slots=True)
class ListedMarket:
    """A market of the venue's list by its number there; `market` is None when it was refused.

    `digest` stands for everything that is stored of it.
    """

    number: int
    digest: bytes
    market: Market | None


@dataclass(frozen=True, slots=True)
class MarketPage:
    """One page of the open list: the numbers of all its markets, and those that were not known.

    `after` asks for the next page and is empty on the last one.
    """

    seen: tuple[int, ...]
    changed: tuple[ListedMarket, ...]
    after: str


class MarketCatalogue(Protocol):
    """The venue's list of markets."""

    def markets(self) -> Iterator[Market]:
        """Every open order-book market, page by page, at most 100,000."""

    def market_page(self, after: str, is_known: Callable[[int, bytes], bool]) -> MarketPage:
        """The page of open markets behind `after` (empty: the first one).

        A market whose number and digest are known is not read. Raises Retryable, or Permanent
        when the venue refuses the cursor.
        """

    def markets_numbered(self, numbers: Sequence[int]) -> Mapping[int, Market]:
        """At most 100 markets, open or closed, by the numbers of the venue's list."""

    def most_liquid(self, count: int) -> Sequence[Sequence[str]]:
        """The tokens of each of the `count` most liquid open markets, most liquid first."""

    def market_of_token(self, token_id: str) -> Market | None:
        """The market of one token, open or closed, or None when the venue does not know it."""

    def market_of_condition(self, condition_id: str) -> Market | None:
        """The market of one condition, open or closed, or None when the venue knows none."""


@dataclass(frozen=True, slots=True)
class ActivityPoll:
    """One poll of a wallet; `refused` are (payload, error) of rows that did not parse.

    `complete` is False when there was more than one poll may read: everything up to the last
    event's second was shown, later activity was not.
    """

    events: tuple[ActivityEvent, ...]
    refused: tuple[tuple[str, str], ...]
    complete: bool = True


class ActivityFeed(Protocol):
    """A wallet's history at the venue's Data API."""

    def poll(
        self, wallet: str, since_seconds: int, until_seconds: int | None = None
    ) -> ActivityPoll:
        """All activity with since ≤ block time ≤ until (None: now), all pages, oldest first.

        Raises Retryable when any page failed: a part of a poll is no evidence.
        """

    def lag_seconds(self) -> int | None:
        """How far the feed says it is behind, or None when it does not say."""


@dataclass(frozen=True, slots=True)
class Holding:
    """Shares of one token a wallet holds; `price` is what one share is worth, all in micros."""

    token_id: str
    shares: int
    price: int


@dataclass(frozen=True, slots=True)
class Holdings:
    """Everything a wallet holds as of a block time in milliseconds.

    `ts_newest` is the block time of the newest event they are known to contain, 0 when unknown;
    `refused` counts rows that could not be read.
    """

    as_of: int
    held: tuple[Holding, ...]
    ts_newest: int = 0
    refused: int = 0


class HoldingsFeed(Protocol):
    """What wallets hold, as the venue's Data API says."""

    def holdings(self, wallet: str) -> Holdings:
        """All sizes, all pages. Raises Retryable when any page failed."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A user of the venue; names are empty where he shows none."""

    wallet: str
    name: str = ""
    pseudonym: str = ""


@dataclass(frozen=True, slots=True)
class WalletHoldings:
    """The largest holdings of a wallet, how many were read and whether there are more.

    `value` in micros is that of what was read.
    """

    count: int
    more: bool
    value: int
    largest: tuple[Holding, ...]


class Profiles(Protocol):
    """Who users of the venue are and what they lately did; every call is one request.

    All raise Retryable or Permanent.
    """

    def profile(self, wallet: str) -> Profile | None:
        """The user of a wallet, None where the venue knows none."""

    def search(self, text: str, limit: int) -> list[Profile]:
        """Users whose names contain a text, at most `limit`."""

    def recent(self, wallet: str) -> tuple[ActivityEvent, ...]:
        """The latest page of activity, newest first."""

    def taker_trades(self, wallet: str, since_seconds: int) -> int:
        """How many trades he took since a second; in the others he was the maker."""

    def holdings(self, wallet: str) -> WalletHoldings:
        """One page of what a wallet holds, largest first."""


class Receipts(Protocol):
    """What a Polygon node says about one transaction."""

    def receipt_logs(self, tx_hash: str) -> tuple[Mapping[str, object], ...] | None:
        """Raw logs of a mined transaction, None when the node has none. Raises Retryable."""

    def block_number(self) -> int:
        """The node's head. Raises Retryable."""


class PollTicks(Protocol):
    """Asks for polls of leaders soon."""

    def send(self, leaders: Sequence[str], delays_seconds: Sequence[int]) -> None:
        """One poll of all `leaders` after each delay (0..900 s). Raises Retryable."""


class Rules(Protocol):
    """The evaluated copy rules."""

    def rules_for(self, leader: str) -> CopyRules:
        """Defaults, then the global settings, then the leader's own."""

    def system(self) -> SystemRules:
        """Defaults, then the stored system settings, then the environment."""


class Metrics(Protocol):
    """Counts and durations."""

    def count(self, name: str, value: int = 1) -> None:
        """Add to a counter."""

    def observe(self, name: str, value: int) -> None:
        """Note one value of a distribution."""


class Clock(Protocol):
    """The time."""

    def now_ms(self) -> int:
        """Milliseconds UTC, on the venue's clock."""

    def pause_ms(self, milliseconds: int) -> None:
        """Let others go first: about this long, drawn at random; nothing on a virtual clock."""


def stored(record: R) -> R:
    """The record as it stands in the store after it was committed by Put."""
    return replace(record, version=record.version + 1)
