"""Rank a group among its leader's own trades when it is closed, once for all portfolios."""

from __future__ import annotations

from chalicelib.domain.group import Group
from chalicelib.domain.leader_notionals import LeaderNotionals, rank_of, with_notional
from chalicelib.domain.records import replace
from chalicelib.keyspace import leader_notionals_key
from chalicelib.ports import Put, Store, Write


def ranked(store: Store, group: Group) -> tuple[Group, list[Write]]:
    """The group with its rank, and what goes into the commit that closes it.

    Only BUYs are ranked: the filter looks at nothing else, and how much a sell brings depends on
    what he held. What the chain took back completely leaves no trace.
    """
    if group.side == "SELL" or group.retracted:
        return group, []
    key = leader_notionals_key(group.leader)
    known = store.get(LeaderNotionals, key) or LeaderNotionals(group.leader)
    ts, cash = group.ts_decided, group.net_cash
    rank = rank_of(known, ts, cash)
    return replace(group, rank=rank), [Put(with_notional(known, ts, cash))]
