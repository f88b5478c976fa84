"""Keep every configuration that a decision was made under, so that its digest tells it all."""

from __future__ import annotations

from contextlib import suppress

from chalicelib.domain.errors import Conflict
from chalicelib.domain.rules import Config, CopyRules, digest_of, rules_text
from chalicelib.keyspace import config_key
from chalicelib.ports import Put, Store

KNOWN_MAX = 1_000
"""Digests remembered per process; the rest is looked up again."""


class ConfigArchive:
    """Configurations by digest: written once, never changed."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._known: set[str] = set()

    def keep(self, rules: CopyRules) -> None:
        """Store the configuration unless it is stored already.

        Refused settings have none, nor have rules whose digest is not that of their text.

        Raises Retryable.
        """
        if not rules.digest or rules.digest in self._known:
            return
        if self._store.get(Config, config_key(rules.digest)) is None:
            text = rules_text(rules)
            if digest_of(text) != rules.digest:
                return
            # Whoever was faster stored the same, by its name.
            with suppress(Conflict):
                self._store.commit([Put(Config(rules.digest, text))])
        if len(self._known) >= KNOWN_MAX:
            self._known.clear()
        self._known.add(rules.digest)
