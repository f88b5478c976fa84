"""Evidence into trades, shadows and groups, on plain objects."""

from __future__ import annotations

from collections.abc import Callable

from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.evidence import FillMessage
from chalicelib.domain.group import Group, placed_in
from chalicelib.domain.identifiers import fill_id
from chalicelib.domain.lane import group_work
from chalicelib.domain.registry import Leader, PortfolioRef, is_in_holdings
from chalicelib.domain.shadow import held_before, other_side, shadow_entries
from chalicelib.domain.trade import Increment, Trade, handed_on
from chalicelib.ports import Rules
from chalicelib.replay.fast_state import Declined, Shadow, World
from chalicelib.services.group_fill import not_copied
from chalicelib.services.ingest_fill import begun, by_trade, check_message, folded
from chalicelib.services.portfolios import shadow_id


class FastIngest:
    """What `IngestFill`, `post_shadow` and `GroupFill` do, for growing trades alone."""

    def __init__(
        self, world: World, rules: Rules, followers: Callable[[Leader], list[PortfolioRef]]
    ) -> None:
        self._world = world
        self._rules = rules
        self._followers = followers

    def __call__(self, leader: Leader, message: FillMessage) -> list[str]:
        """Names of the portfolios that were given work. Raises InvalidInput, Declined."""
        if message.wallet not in leader.wallets:
            raise InvalidInput("wallet", f"{message.wallet} is not a wallet of {leader.leader}")
        if message.leader != leader.leader or message.events:
            raise Declined("activity other than trades")
        check_message(message)
        trades, started = self._world.trades, list[str]()
        for item in by_trade(message):
            key = (message.wallet, item.tx_hash, item.token_id, item.side)
            before = trades.get(key)
            if before and before.pending:
                before = handed_on(before)
            trade = folded(before or begun(leader, message, item), message, item)
            if trade is before or trade == before:
                continue
            for increment in trade.pending:
                if increment.shares != increment.fill_shares:
                    raise Declined("a correction of a trade")
                pre_sell = self._posted(leader, trade, increment)
                started += self._copied(leader, trade, increment, pre_sell)
            # What is pending was handed on just now; few trades are ever looked at again.
            trades[key] = trade
        return started

    def _posted(self, leader: Leader, trade: Trade, increment: Increment) -> int | None:
        """What he held before a sell, once the increment is in his shadow."""
        shadow = self._world.shadows.get(shadow_id(leader.leader))
        if shadow is None:
            raise Declined("a leader without a shadow")
        if is_in_holdings(leader, trade.wallet, increment.ts_block):
            return None
        reference = fill_id(trade.trade_id, increment.seq)
        token = trade.token_id
        pre_sell = None
        if trade.side == "SELL":
            at = (increment.ts_block, increment.order, reference, increment.kind)
            pre_sell = _held_before(shadow, leader, trade, at)
        portfolio = (shadow.portfolio_id, shadow.epoch, shadow.seq)
        entries = shadow_entries(trade, increment, reference, portfolio, pre_sell)
        shadow.entries += entries
        shadow.seq += len(entries)
        shadow.by_token.setdefault(token, []).extend(entries)
        shadow.shares[token] = shadow.shares.get(token, 0) + entries[0].shares
        shadow.ts_last[token] = max(shadow.ts_last.get(token, 0), increment.ts_block)
        return pre_sell

    def _copied(
        self, leader: Leader, trade: Trade, increment: Increment, pre_sell: int | None
    ) -> list[str]:
        """The portfolios of the fill's group where it is a new one."""
        world = self._world
        refs = self._followers(leader)
        if not_copied(leader, trade, increment, followed=bool(refs)):
            return []
        opposite = "SELL" if trade.side == "BUY" else "BUY"
        for wallet in leader.wallets:
            if (wallet, trade.tx_hash, trade.token_id, opposite) in world.trades:
                raise Declined("both sides in one transaction")
        line = (leader.leader, trade.token_id, trade.side)
        rules = self._rules.rules_for(leader.leader)
        if rules.confirm_ms:
            raise Declined("groups that wait for confirmation")
        group = placed_in(
            self._latest(line), trade, increment, pre_sell, rules.aggregation_window_ms, 0
        )
        if group is None:
            return []
        world.groups[group.group_id] = group
        if group.fills > 1:
            return []
        world.latest[line] = group.group_id
        for ref in refs:
            world.lanes[ref.portfolio_id].put_row(group_work(group, ref.portfolio_id, ref.epoch))
        return [ref.portfolio_id for ref in refs]

    def _latest(self, line: tuple[str, str, str]) -> Group | None:
        known = self._world.latest.get(line)
        return self._world.groups[known] if known else None


def _held_before(
    shadow: Shadow, leader: Leader, trade: Trade, at: tuple[int, int, str, str]
) -> int:
    token = trade.token_id
    held = shadow.shares.get(token, 0)
    if shadow.ts_last.get(token, 0) < at[0]:
        return held_before(held, (), token, at, ())
    entries = [entry for entry in shadow.by_token.get(token, ()) if entry.ts_effective >= at[0]]
    return held_before(held, entries, token, at, other_side(leader, trade))
