"""Bring the registry up to date with the venue's list of markets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

from chalicelib.domain.errors import Conflict, InvalidInput, PapercopyError, Permanent, Retryable
from chalicelib.domain.market import Market
from chalicelib.domain.market_sync import (
    GONE,
    PENDING,
    DigestPage,
    SyncState,
    fold,
    pack_numbers,
    pages_of,
    unpack_numbers,
)
from chalicelib.domain.registry import Heartbeat
from chalicelib.keyspace import DIGESTS_PK, MARKET_SYNC_KEY, digest_page_key
from chalicelib.ports import Clock, Delete, ListedMarket, MarketCatalogue, Metrics, Put, Store
from chalicelib.services.heartbeats import beat
from chalicelib.services.market_directory import store_market, store_new_markets

TURN_MS_MAX = 200_000
"""How long one turn walks: a Lambda of 300 s ends it with a page and its retries to spare."""
WALK_MS_MAX = 3_600_000
"""A walk that was interrupted longer ago begins again."""
WALK_PAGES_MAX = 2_000
CHECKPOINT_MARKETS = 1_000
"""Changed markets after which a walk writes down how far it is."""
LEFT_MAX = 1_000
"""Markets that left the list and are looked up in one turn; the rest waits for the next one."""
LOOKUP_MARKETS = 100
DIGEST_PAGES_MAX = 400
"""Pages of a generation, most of them a few hundred bytes."""
SPARE_ENTRIES = 10_000
"""Digests that later ones replaced before all pages are written again."""


@dataclass(slots=True)
class _Walk:
    """One turn's view: digests of the open list, numbers met so far, digests not yet saved."""

    state: SyncState
    known: dict[int, bytes]
    seen: set[int]
    cursor: str
    unsaved: dict[int, bytes] = field(default_factory=dict)
    changed: int = 0

    def is_known(self, number: int, digest: bytes) -> bool:
        return self.known.get(number) == digest

    def took(self, number: int, digest: bytes) -> None:
        self.unsaved[number] = digest
        if digest == GONE:
            self.known.pop(number, None)
        else:
            self.known[number] = digest


class SyncMarkets:
    """Every open market of the venue into the registry; only what changed is read or written.

    The numbers of new markets are saved before them and the digests of what was stored after it,
    so a crash costs repetition only, and no market is stored whose end nobody would notice. A walk
    that does not end within a turn goes on in the next one, also in another process. Two walkers
    harm nothing: the state's version lets one of them save.
    """

    def __init__(
        self,
        store: Store,
        catalogue: MarketCatalogue,
        clock: Clock,
        metrics: Metrics,
        *,
        turn_ms_max: int = TURN_MS_MAX,
    ) -> None:
        self._store = store
        self._catalogue = catalogue
        self._clock = clock
        self._metrics = metrics
        self._turn_ms_max = turn_ms_max
        self._cached: tuple[int, dict[int, bytes]] | None = None
        self.finished = False
        """Whether the last turn reached the end of the list."""

    def __call__(self) -> int:
        """The number of markets met by the walk so far. Raises Retryable when a page failed."""
        self.finished = False
        walk = self._resumed()
        try:
            self.finished = self._walk(walk)
        except Conflict:
            # Another walker saved first; what this one stored is right all the same.
            self._cached = None
            self._metrics.count("market_sync_overtaken")
            return len(walk.seen)
        except PapercopyError as error:
            if isinstance(error, Permanent):
                # A cursor the venue does not take any more must not be tried again.
                walk.cursor, walk.seen = "", set()
            # What failed is what is told; progress that cannot be saved is made again.
            with suppress(PapercopyError):
                self._save(walk)
            raise
        self._metrics.count("markets_changed", walk.changed)
        detail = f"{len(walk.seen)} markets" + ("" if self.finished else " so far")
        beat(
            self._store,
            Heartbeat("registry", self._clock.now_ms(), True, detail, last_block=len(walk.seen)),
        )
        return len(walk.seen)

    def _resumed(self) -> _Walk:
        """The state as stored, with the digests it names. What cannot be read begins anew."""
        state = self._store.get(SyncState, MARKET_SYNC_KEY) or SyncState()
        try:
            known = self._digests(state)
            seen = unpack_numbers(state.seen)
        except InvalidInput:
            self._metrics.count("market_digests_unread")
            known, seen = {}, set()
            state = replace(state, pages=0, entries=0, cursor="")
        now = self._clock.now_ms()
        if not state.cursor or now - state.ts_started > WALK_MS_MAX:
            return _Walk(replace(state, ts_started=now), known, set(), "")
        return _Walk(state, known, seen, state.cursor)

    def _digests(self, state: SyncState) -> dict[int, bytes]:
        if self._cached and self._cached[0] == state.version:
            return self._cached[1]
        if not state.pages:
            return {}
        pages = self._store.query(
            DigestPage,
            "registry",
            DIGESTS_PK,
            start=digest_page_key(state.generation, 0).sk,
            end=digest_page_key(state.generation, state.pages).sk,
            limit=state.pages,
        )
        return fold(pages)

    def _walk(self, walk: _Walk) -> bool:
        """Page by page to the end of the list or of the turn; True when the list ended."""
        self._cached = None
        until = self._clock.now_ms() + self._turn_ms_max
        cursors: set[str] = set()
        for _ in range(WALK_PAGES_MAX):
            if walk.cursor in cursors:
                walk.cursor, walk.seen = "", set()
                raise Retryable("the pages of the list of markets go in a circle")
            cursors.add(walk.cursor)
            page = self._catalogue.market_page(walk.cursor, walk.is_known)
            self._keep(walk, page.changed)
            walk.seen.update(page.seen)
            walk.cursor = page.after
            if not page.after:
                self._close_left(walk)
                self._finish(walk)
                return True
            if self._clock.now_ms() >= until:
                break
            if len(walk.unsaved) >= CHECKPOINT_MARKETS:
                self._save(walk)
        self._save(walk)
        return False

    def _keep(self, walk: _Walk, listed: Sequence[ListedMarket]) -> None:
        """Store changed markets, then remember their digests."""
        fresh = [one for one in listed if one.market and one.number not in walk.known]
        markets = {one.market.condition_id: one.market for one in fresh if one.market}
        olds = [one for one in listed if one.market and one.number in walk.known]
        if fresh:
            for one in fresh:
                walk.took(one.number, PENDING)
            self._save(walk)
        if walk.state.walks:
            walk.changed += sum(
                store_market(self._store, market, is_new=True) for market in markets.values()
            )
        else:
            # The first walk ever: a quick start is worth its one-off price.
            walk.changed += store_new_markets(self._store, list(markets.values()))
        for one in olds:
            if one.market:
                walk.changed += store_market(self._store, one.market)
        for one in listed:
            walk.took(one.number, one.digest)

    def _close_left(self, walk: _Walk) -> None:
        """Look up, once, what is no longer on the open list, and store how it ended.

        One that is open after all (lists shift while they are read) is met as a new one by the
        next walk. One the venue denies altogether is forgotten; whoever needs it looks it up.
        """
        left = sorted(number for number in walk.known if number not in walk.seen)[:LEFT_MAX]
        for start in range(0, len(left), LOOKUP_MARKETS):
            some = left[start : start + LOOKUP_MARKETS]
            found = self._catalogue.markets_numbered(some)
            for number in some:
                self._close_one(walk, number, found.get(number))

    def _close_one(self, walk: _Walk, number: int, market: Market | None) -> None:
        if market is None:
            self._metrics.count("markets_vanished")
        elif store_market(self._store, market):
            walk.changed += 1
        walk.took(number, GONE)

    def _finish(self, walk: _Walk) -> None:
        """Save the end of a walk; one that found nothing new since a complete one saves nothing."""
        state = walk.state
        if walk.unsaved or state.cursor or not state.walks:
            walk.state = replace(state, walks=state.walks + 1)
            self._save(walk)
        self._cached = (walk.state.version, walk.known)

    def _save(self, walk: _Walk) -> None:
        """Write down how far the walk is, with the digests that are new. Raises Conflict."""
        state = walk.state
        writes: list[DigestPage] = []
        for text in pages_of(walk.unsaved):
            writes.append(DigestPage(state.generation, state.pages + len(writes), text))
        going_on = bool(walk.cursor)
        state = replace(
            state,
            pages=state.pages + len(writes),
            entries=state.entries + len(walk.unsaved),
            cursor=walk.cursor,
            seen=pack_numbers(walk.seen) if going_on else "",
        )
        if state == walk.state:
            return
        pages = [Put(self._over(page)) for page in writes]
        self._store.commit([*pages, Put(state)])
        walk.state = replace(state, version=state.version + 1)
        walk.unsaved = {}
        spare = state.entries - len(walk.known)
        if state.pages > DIGEST_PAGES_MAX or spare > len(walk.known) + SPARE_ENTRIES:
            self._rewrite(walk)

    def _over(self, page: DigestPage) -> DigestPage:
        """The page with the version of what an interrupted rewrite may have left in its place."""
        left = self._store.get(DigestPage, digest_page_key(page.generation, page.number))
        return replace(page, version=left.version) if left else page

    def _rewrite(self, walk: _Walk) -> None:
        """All digests as a new generation of pages, then the switch, then the old ones away."""
        old = walk.state
        generation = old.generation + 1
        texts = pages_of(walk.known)
        for number, text in enumerate(texts):
            self._store.commit([Put(self._over(DigestPage(generation, number, text)))])
        state = replace(old, generation=generation, pages=len(texts), entries=len(walk.known))
        self._store.commit([Put(state)])
        walk.state = replace(state, version=state.version + 1)
        past = self._store.query(
            DigestPage,
            "registry",
            DIGESTS_PK,
            end=digest_page_key(generation, 0).sk,
            limit=2 * DIGEST_PAGES_MAX,
        )
        for page in past:
            key = digest_page_key(page.generation, page.number)
            self._store.commit([Delete(key, page.version)])
