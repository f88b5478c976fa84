"""The watcher's surroundings on a store and, where there is one, a node over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chalicelib.adapters.polygon.rpc import PolygonRpc
from chalicelib.adapters.polymarket.throttle import TokenBucket
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.exchange_log import TOPIC_V2
from chalicelib.domain.registry import Check, Heartbeat
from chalicelib.keyspace import heartbeat_key
from chalicelib.ports import Clock, FillQueue, Metrics, Quarantine, Rules, Store
from chalicelib.services.catch_up import request_catch_up
from chalicelib.services.chain_cursors import chain_cursors, move_chain_cursors
from chalicelib.services.exchanges import exchanges, record_upgrade
from chalicelib.services.manage_leaders import leaders
from chalicelib.services.recent_legs import recent_legs
from chalicelib.watcher.gaps import BACK_MS_MAX, Proof
from chalicelib.watcher.outputs import GapClosed
from chalicelib.watcher.subscriptions import maker_topics
from chalicelib.watcher.surroundings import ChainReads, Surroundings

RECENT_MS = 10 * 60_000
CHECKS_MAX = 200
GAP_FILL_CALLS_PER_S = 2.0
GAP_FILL_CALLS_BURST = 5
"""Well below the node's whole budget, so that look-ups and head checks never wait for a sweep."""
SOURCE = "watcher"


def last_proof(store: Store) -> Proof:
    """The last head any watcher reported. Raises Retryable."""
    beat = store.get(Heartbeat, heartbeat_key(SOURCE))
    return Proof(beat.last_block, beat.ts_last_block) if beat else Proof()


def followed_wallets(store: Store, rules: Rules) -> dict[str, str]:
    """Wallet → leader of everybody to listen for; nobody while the API alone triggers."""
    if rules.system().trigger_mode == "api":
        return {}
    return {
        wallet: leader.leader
        for leader in leaders(store)
        if leader.state != "off"
        for wallet in leader.wallets
    }


def ask_for_catch_up(store: Store, gap: GapClosed) -> int:
    """Have the API read over a gap for each leader it concerns; how many requests were new.

    At most a day back: what is older is history that start modes decide about.
    """
    new = 0
    for leader in leaders(store):
        if leader.state == "off" or (gap.leaders is not None and leader.leader not in gap.leaders):
            continue
        since = leader.followed_from if gap.ts_from is None else gap.ts_from
        since = max(0, since, gap.ts_until - BACK_MS_MAX)
        until = max(since, gap.ts_until)
        new += request_catch_up(store, leader.leader, since, until, gap.reason)
    return new


def chain_reads(rpc: PolygonRpc) -> ChainReads:
    """A node's calls, range queries with a budget of their own."""
    bucket = TokenBucket(GAP_FILL_CALLS_PER_S, GAP_FILL_CALLS_BURST)

    def logs(
        first: int, last: int, addresses: Sequence[str], makers: Sequence[str]
    ) -> Sequence[Mapping[str, object]]:
        bucket.take()
        return rpc.logs(first, last, addresses, [[TOPIC_V2], None, maker_topics(makers)])

    return ChainReads(rpc.block_number, rpc.block_time, rpc.canonical, logs)


def stored_surroundings(
    store: Store,
    queue: FillQueue,
    clock: Clock,
    metrics: Metrics,
    quarantine: Quarantine,
    rules: Rules,
    heartbeat: Callable[[Heartbeat], None],
    rpc: PolygonRpc | None,
) -> Surroundings:
    """Everything the watcher needs, read from and written to `store`."""

    def recent() -> Sequence[FillMessage]:
        now = clock.now_ms()
        heard = last_proof(store).ts_block or now
        since = max(min(now, heard) - RECENT_MS, now - BACK_MS_MAX)
        return recent_legs(store, since, now)

    def api_first() -> Sequence[Check]:
        rows = store.query(Check, "activity", "checks", limit=CHECKS_MAX)
        return [check for check in rows if check.reason == "api_only"]

    return Surroundings(
        queue=queue,
        clock=clock,
        metrics=metrics,
        wallets=lambda: followed_wallets(store, rules),
        heartbeat=heartbeat,
        refused=lambda payload, error: quarantine.keep("polygon", payload, error),
        chain=chain_reads(rpc) if rpc else None,
        rules=rules.system,
        recent_legs=recent,
        request_catch_up=lambda gap: ask_for_catch_up(store, gap),
        api_first=api_first,
        exchanges=lambda: exchanges(store),
        upgraded=lambda exchange, to: _ignored(record_upgrade(store, exchange, to)),
        cursors=lambda: chain_cursors(store),
        keep_cursors=lambda blocks: move_chain_cursors(store, blocks),
    )


def _ignored(_: object) -> None:
    return None
