"""Rank a group among its leader's own trades when it is closed, once for all portfolios."""

from __future__ import annotations

from chalicelib.domain.group import Group
from chalicelib.domain.leader_notionals import LeaderNotionals, is_ranked, ranked_among
from chalicelib.keyspace import leader_notionals_key
from chalicelib.ports import Put, Store, Write


def ranked(store: Store, group: Group) -> tuple[Group, list[Write]]:
    """The group with its rank, and what goes into the commit that closes it.

    What the chain took back completely leaves no trace.
    """
    if not is_ranked(group):
        return group, []
    key = leader_notionals_key(group.leader)
    known = store.get(LeaderNotionals, key) or LeaderNotionals(group.leader)
    closed, after = ranked_among(known, group)
    return closed, [Put(after)]
