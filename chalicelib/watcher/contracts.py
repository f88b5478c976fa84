"""The exchange contracts a session decodes and listens to, and their changes of code. No I/O."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.domain.exchange_log import EXCHANGES, LIVE_EXCHANGES, Generation
from chalicelib.domain.identifiers import address, hash32
from chalicelib.domain.registry import ExchangeContract
from chalicelib.watcher.outputs import Upgraded
from chalicelib.watcher.subscriptions import TOPIC_UPGRADED


class Contracts:
    """The built-in exchanges until rows say otherwise."""

    def __init__(self) -> None:
        self.generations: Mapping[str, Generation] = dict(EXCHANGES)
        self.live: tuple[str, ...] = LIVE_EXCHANGES
        self.note = ""
        self._implementations: dict[str, str] = {}

    def set(self, contracts: Sequence[ExchangeContract]) -> bool:
        """Take these rows; whether others are live now. Rows without a live one are not taken."""
        live = tuple(contract.address for contract in contracts if contract.live)
        if not live:
            return False
        self.generations = {contract.address: contract.generation for contract in contracts}
        self._implementations.update((c.address, c.implementation) for c in contracts)
        if set(live) == set(self.live):
            return False
        self.live = live
        return True

    def upgrade(self, log: Mapping[str, object]) -> Upgraded | None:
        """A proxy's own notice that it runs other code, if the log is one and news.

        Raises InvalidInput naming the field of a malformed notice.
        """
        topics = log.get("topics")
        if not isinstance(topics, list) or len(topics) != 2 or log.get("removed") is True:
            return None
        if str(topics[0]).lower() != TOPIC_UPGRADED:
            return None
        exchange = address(log.get("address"))
        if exchange not in self.generations:
            return None
        implementation = address("0x" + hash32(topics[1], "topics[1]")[26:], "topics[1]")
        if self._implementations.get(exchange) == implementation:
            return None
        self._implementations[exchange] = implementation
        self.note = f"exchange {exchange} was upgraded to {implementation}"
        return Upgraded(exchange, implementation)
