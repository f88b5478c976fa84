"""Slowly changing facts: who is followed, where polling stands, what is alive, what things cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from chalicelib.domain.exchange_log import Generation, Side
from chalicelib.domain.trade import QuestionKind

LeaderState = Literal["on", "sell_only", "off"]


@dataclass(frozen=True, slots=True)
class Leader:
    """A followed user: one or more wallets folded into one. `leader` is his first wallet.

    Times in milliseconds. `followed_from` is when following began or his last wallet came; nothing
    before `history_from` is ingested (0: OVERLAP before `followed_from`). What he bought before
    `buys_from` is not copied.

    Three tuples go by wallet: since when it has been followed without interruption, the block time
    its holdings were read as of (None until then), and the number of that reading. Trades before
    either time are backfill, and those up to the second are part of the holdings and do not move
    his position. `holdings_as_of` is the latest of these block times, None while one is missing.
    `holdings_read` is the number of the last complete reading, `holdings_posted` of the last one
    that reached his shadow.
    """

    leader: str
    name: str
    wallets: tuple[str, ...]
    state: LeaderState
    followed_from: int
    history_from: int = 0
    holdings_as_of: int | None = None
    holdings_read: int = 0
    holdings_posted: int = 0
    buys_from: int = 0
    wallet_from: tuple[int, ...] = ()
    wallet_as_of: tuple[int | None, ...] = ()
    wallet_read: tuple[int, ...] = ()
    version: int = 0


def wallet_start(leader: Leader, wallet: str) -> int:
    """The start of the second since which a wallet has been followed, in milliseconds."""
    if wallet not in leader.wallets[: len(leader.wallet_from)]:
        return first_second(leader)
    return leader.wallet_from[leader.wallets.index(wallet)] // 1000 * 1000


def wallet_as_of(leader: Leader, wallet: str) -> int | None:
    """The block time a wallet's holdings were read as of, in milliseconds, None until then."""
    if wallet not in leader.wallets[: len(leader.wallet_as_of)]:
        return leader.holdings_as_of
    return leader.wallet_as_of[leader.wallets.index(wallet)]


def wallet_reading(leader: Leader, wallet: str) -> int:
    """The number of the reading that a wallet's holdings were read in, 0 until then."""
    if wallet not in leader.wallets[: len(leader.wallet_read)]:
        return leader.holdings_read
    return leader.wallet_read[leader.wallets.index(wallet)]


def is_in_holdings(leader: Leader, wallet: str, ts_block: int) -> bool:
    """Whether a wallet's doing in that block (milliseconds) is part of what was read of it."""
    as_of = wallet_as_of(leader, wallet)
    return as_of is not None and ts_block <= as_of


def is_history(leader: Leader, wallet: str, ts_block: int) -> bool:
    """Whether a wallet's trade of that block (milliseconds) may never trade."""
    return ts_block < wallet_start(leader, wallet) or is_in_holdings(leader, wallet, ts_block)


def first_second(leader: Leader) -> int:
    """The start of the second in which he was followed, in milliseconds.

    Block times have whole seconds; earlier ones are history and may never trade.
    """
    return leader.followed_from // 1000 * 1000


@dataclass(frozen=True, slots=True)
class PortfolioRef:
    """An existing portfolio and its current epoch; `leader` is empty for the global one."""

    portfolio_id: str
    account_id: str
    kind: Literal["global", "leader", "shadow"]
    leader: str
    epoch: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class TokenPointer:
    """Which market a token belongs to."""

    token_id: str
    condition_id: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far one wallet's activity was polled completely; seconds of the venue's clock.

    `sent` are digests of evidence inside the overlap window that was already handed over, so that
    a poll without news sends nothing. Losing them costs repetitions, never correctness.

    `read_from` to `read_until` is the earlier stretch that was read, late rows included; it is of
    use while catch-ups are open. With `live_from` the activity between `read_until` and it is still
    to be read. `refused_since` is when the venue began to refuse the wallet. 0: not so.
    """

    leader: str
    wallet: str
    ts_seconds: int
    sent: tuple[str, ...] = ()
    read_from: int = 0
    read_until: int = 0
    live_from: int = 0
    refused_since: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Last proof of life of a source or schedule; times in milliseconds, 0 when never.

    `up` is the source's own verdict, `detail` one sentence for people.
    """

    source: str
    ts: int
    up: bool
    detail: str = ""
    ts_connected: int = 0
    ts_last_event: int = 0
    last_block: int = 0
    ts_last_block: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class SettingsRow:
    """Stored settings of one scope (`global`, or a leader), as the text that was validated."""

    scope: str
    text: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Mark:
    """What one share of a token is worth, in micros, and when that was read (milliseconds)."""

    token_id: str
    price: int
    ts: int


MarkScope = Literal["latest", "shadows"]


@dataclass(frozen=True, slots=True)
class MarkSheet:
    """The latest marks of held tokens, packed into one item per scope (see `mark_sheet`).

    `latest` holds what executable portfolios hold, `shadows` what only shadows do. `ts` is when
    the sheet was made (milliseconds).
    """

    packed: str
    ts: int
    scope: MarkScope = "latest"
    version: int = 0


@dataclass(frozen=True, slots=True)
class KeptSheet:
    """The first sheet of a scope and minute, kept by time; `packed` and `ts` as on MarkSheet."""

    packed: str
    ts: int
    scope: MarkScope
    version: int = 0


@dataclass(frozen=True, slots=True)
class CatchUp:
    """A stretch of time in which a live source may have missed a leader's fills.

    `ts_from` is the last proof before the gap, `ts_until` the first proof after it (milliseconds).
    Unique per (leader, ts_from); removed by the poll that closed it.
    """

    leader: str
    ts_from: int
    ts_until: int
    reason: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """An open question about a trade that a receipt answers, due at `ts_due` (milliseconds).

    `ts_raised` is when the evidence that raised it was seen. `failures` counts calls that were not
    answered, `absences` answers that did not know the transaction; `head` is what the node knew at
    the first of those.
    """

    trade_id: str
    leader: str
    wallet: str
    tx_hash: str
    token_id: str
    side: Side
    reason: QuestionKind
    ts_block: int
    ts_raised: int
    ts_due: int
    failures: int = 0
    absences: int = 0
    head: int = 0
    version: int = 0


@dataclass(frozen=True, slots=True)
class ExchangeContract:
    """An exchange whose logs are decoded; `live` ones are listened to.

    `implementation` is what its proxy was last seen upgraded to, empty when never.
    """

    address: str
    generation: Generation
    live: bool
    implementation: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class ChainCursor:
    """How far one exchange's logs were read by range queries, as a block number."""

    exchange: str
    block: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class RawPayload:
    """Payloads that brought a new fact about a trade or event: JSON text, deflated, in base64.

    `number` is the record's version that the fact led to; `ts` is when it was seen.
    """

    subject: str
    number: int
    source: str
    ts: int
    data: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class WalletOwner:
    """Whose wallet this is: a wallet belongs to one leader for ever."""

    wallet: str
    leader: str
    version: int = 0


@dataclass(frozen=True, slots=True)
class HeldToken:
    """Shares of one token and what one share is worth, in micros."""

    token_id: str
    shares: int
    price: int


@dataclass(frozen=True, slots=True)
class TapeRequest:
    """Somebody needs a token's order book over a span of venue time (milliseconds)."""

    token_id: str
    ts_from: int
    ts_until: int
    version: int = 0


@dataclass(frozen=True, slots=True)
class SignOut:
    """A session that was ended before its time, remembered until then (`expires_s`, seconds)."""

    session_id: str
    expires_s: int
    version: int = 0


SHEET_TOKENS_MAX = 1_000
"""Tokens on one sheet: keeps the item under half of the store's 400 KB limit."""


@dataclass(frozen=True, slots=True)
class HoldingsSheet:
    """A part of what a wallet held in reading `number`, as of a block time in milliseconds.

    Number 0 is a comparison that goes on later. `refused` counts rows that could not be read: then
    a token that is missing may still be held.
    """

    leader: str
    number: int
    as_of: int
    part: int
    parts: int
    held: tuple[HeldToken, ...]
    refused: int = 0
    wallet: str = ""
    version: int = 0


@dataclass(frozen=True, slots=True)
class Drift:
    """Shares (micros) the venue says a leader holds beyond what his shadow holds.

    `ts_since` is the latest block time of the first reading that showed it (milliseconds).
    """

    token_id: str
    shares: int
    ts_since: int


DRIFTS_MAX = 1_000
"""Differing tokens remembered per leader; the rest is met again by the next check."""


@dataclass(frozen=True, slots=True)
class HoldingsCheck:
    """How a leader's shadow compares with what the venue says he holds; times in milliseconds.

    `ts_agreed` is the block time of the last reading in which every token that was compared was
    equal, 0 when never; what moved in the last minutes is not compared. `compared` and `moving`
    count the tokens of the last reading. `ts_conversion` is the block time of a conversion that
    readings have to account for, or 0. `ts_booked` is the block time of the last difference that
    was booked. `read` are the block times of the wallets that a reading under way has read so far.
    """

    leader: str
    ts_checked: int = 0
    ts_agreed: int = 0
    compared: int = 0
    moving: int = 0
    drifting: tuple[Drift, ...] = ()
    ts_conversion: int = 0
    ts_booked: int = 0
    read: tuple[int, ...] = ()
    version: int = 0


AUDIT_TEXT_MAX = 20_000
"""Characters of either side of a change that its audit row keeps; the rest is cut."""


@dataclass(frozen=True, slots=True)
class AuditRow:
    """Who changed what, and how it looked before and after; never edited, never removed.

    `ts` is when (milliseconds), `action` a verb such as `settings.change`, `subject` what it was
    done to. `id` tells apart what happened in one millisecond. `before` and `after` are text for
    people, JSON where the subject is a record, empty where there was nothing.
    """

    ts: int
    actor: str
    action: str
    subject: str
    before: str
    after: str
    id: str
    account_id: str = "main"
    version: int = 0
