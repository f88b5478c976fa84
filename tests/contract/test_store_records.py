"""Every class of record comes back from every store as it went in."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from chalicelib.keyspace import Record, key_of, place_of
from chalicelib.ports import Put, Store

from .records import records_of

KINDS = get_args(Record)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(draws=st.data())
def test_a_record_comes_back_as_it_went_in(store: Store, kind: type[Any], draws: Any) -> None:
    record = draws.draw(records_of(kind))
    place = place_of(record)
    stored = store.get(kind, place.key)
    known = stored.version if stored else 0
    if place.key.table == "audit" and stored:
        # What is there stays; random ids may repeat, minted ones never do.
        with pytest.raises(ValueError, match="appended"):
            store.commit([Put(replace(record, version=known))])
        return
    store.commit([Put(replace(record, version=known))])
    assert store.get(kind, key_of(record)) == replace(record, version=known + 1)
    found = store.query(kind, place.key.table, place.key.pk, start=place.key.sk, limit=1)
    assert found == [replace(record, version=known + 1)]
    if place.feed and not stored:
        feed_pk, feed_sk = place.feed
        page = store.feed(kind, place.key.table, feed_pk, before=feed_sk + "\x00", limit=9)
        # Random ids may repeat in other epochs, minted ones never do: others may be on the page.
        assert (feed_sk, replace(record, version=1)) in page
