"""Logs of everything that is no match: token and collateral transfers, resolutions, upgrades."""

from __future__ import annotations

from simulator import ids
from simulator.activity import CONVERSION, PAYMENTS, RawLog, WalletEvent
from simulator.markets import Market

CTF = "0x4d97dcd97ec945f40cf65f87097ace5ea0476045"
POSITION_MANAGER = "0x006f54f7f9a22e0000cc2ab60031000000ae9fef"
BINARY_MODULE = "0x1000008dd9001b968442c1000017eae6e0da00ba"
NEG_RISK_ADAPTER = "0xd91e80cf2e7be2e162c6513ced06f1dd0da35296"
COLLATERAL = "0xc011a7e12a19f7b1f670d46f03b03f3342e82dfb"
RESERVE_VAULT = "0xc417fd8e9661c0d2120b64a04bb3278c17e99db1"
ORACLE = "0x0a0a0a0a8b00c51b7d810501b03f230028c04a87"

UPGRADED = "0xbc7cd75a20ee27fd9adebab32041f755214dbc6bffa90cc0225b39da2e5c2d3b"
TRANSFER_BATCH = "0x4a39dc06d4c0dbc64b70af90fd698a233a518aa5d07e595d983b8c0526c8f7fb"
TRANSFER = "0xddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef"
POSITIONS_CONVERTED = "0xb03d19dddbc72a87e735ff0ea3b57bef133ebe44e1894284916a84044deb367e"
CONDITION_RESOLUTION = "0xb44d84d3289691f71497564b85d4233648d9dbae8cbdbb4329f301c3a0185894"
CONDITION_RESOLVED = "0xe560c1a2847d4cf2e66de11fe592605556989449f38cc3ab96e2e287daa68caa"


def _topic(address: str) -> str:
    return "0x" + "00" * 12 + address[2:]


def _words(*values: int) -> str:
    return "".join(f"{value:064x}" for value in values)


def upgraded(proxy: str, implementation: str) -> RawLog:
    """`Upgraded(address indexed implementation)` of a proxy."""
    return RawLog(proxy, (UPGRADED, _topic(implementation)), "")


def resolution_log(market: Market, payouts: tuple[int, int]) -> RawLog:
    """The ledger's own resolution event: Conditional Tokens, or the module of Protocol V2."""
    if market.version == "v2":
        body = _words(0x20, 2, *payouts)
        return RawLog(BINARY_MODULE, (CONDITION_RESOLVED, market.condition_id), body)
    numerators = [1, 1] if payouts[0] == payouts[1] else [int(paid > 0) for paid in payouts]
    topics = (CONDITION_RESOLUTION, market.condition_id, _topic(ORACLE), market.question_id)
    return RawLog(CTF, topics, _words(2, 0x40, 2, *numerators))


def event_logs(event: WalletEvent) -> tuple[RawLog, ...]:
    """What a wallet event leaves on the chain: one batch per direction, or a payment."""
    if event.type in PAYMENTS:
        topics: tuple[str, ...] = (TRANSFER, _topic(RESERVE_VAULT), _topic(event.wallet))
        return (RawLog(COLLATERAL, topics, _words(event.cash)),)
    assert event.market is not None
    ledger = POSITION_MANAGER if event.market.version == "v2" else CTF
    arrived = [(int(d.token_id), d.shares) for d in event.deltas if d.shares > 0]
    left = [(int(d.token_id), -d.shares) for d in event.deltas if d.shares < 0]
    logs = []
    if left:
        logs.append(_batch(ledger, event.wallet, ids.ZERO20, left))
    if arrived:
        logs.append(_batch(ledger, ids.ZERO20, event.wallet, arrived))
    if event.type == CONVERSION:
        index_set = f"0x{1 << event.market.index:064x}"
        topics = (POSITIONS_CONVERTED, _topic(event.wallet), event.market.neg_risk_market_id,
                  index_set)  # fmt: skip
        logs.append(RawLog(NEG_RISK_ADAPTER, topics, _words(event.size)))
    return tuple(logs)


def _batch(ledger: str, sender: str, receiver: str, moved: list[tuple[int, int]]) -> RawLog:
    count = len(moved)
    topics = (TRANSFER_BATCH, _topic(NEG_RISK_ADAPTER), _topic(sender), _topic(receiver))
    body = _words(0x40, 0x60 + 0x20 * count, count, *(token for token, _ in moved))
    return RawLog(ledger, topics, body + _words(count, *(shares for _, shares in moved)))
