"""One wallet event as the venue's Data API reports it, in the domain's units.

`usdc_size` is not the cash of a trade: on taker BUY rows it contains the fee, and on rows from
before the second exchange generation `size` is net of a fee taken in shares.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_EVEN, Decimal

from chalicelib.domain.activity_raw import raw_text
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import Role, Side
from chalicelib.domain.identifiers import address, condition_id, hash32, token_id
from chalicelib.domain.money import AMOUNT_MAX, MICROS, decimal_of, micros

SECOND_GENERATION_TS = 1_777_334_400
"""2026-04-28 00:00 UTC in seconds: rows from then on state size and price before the fee."""

TRADE = "TRADE"
KINDS = frozenset(
    {
        TRADE, "SPLIT", "MERGE", "REDEEM", "CONVERSION", "MIGRATION", "REWARD", "YIELD",
        "MAKER_REBATE", "TAKER_REBATE", "REFERRAL_REWARD", "DEPOSIT", "WITHDRAWAL", "TIP",
    }
)  # fmt: skip
"""Types the venue is known to have; others are kept under the venue's own name."""
KIND_CHARS_MAX = 64
OUTCOMES_MAX = 256
_PRICE_SCALE = 10**10
_TIMESTAMP_MAX = 10**10
_COMBO_PREFIX = "0x03"


@dataclass(frozen=True, slots=True)
class ActivityEvent:
    """A row of wallet activity; amounts in micros, `timestamp` in seconds (the block's).

    `price_e10` is the venue's price with its ten decimals as an integer; it tells rows of one
    trade apart and is never used as money. `fee` and `role` are None where the row proves neither,
    `outcome_index` where the row does not name it (yet). Empty ids are empty strings. `raw` is the
    row as it came, without presentation; it is no part of what the row says.
    """

    kind: str
    wallet: str
    tx_hash: str
    timestamp: int
    condition_id: str
    token_id: str
    side: Side | None
    shares: int
    cash: int
    price_e10: int
    fee: int | None
    role: Role | None
    outcome_index: int | None = None
    raw: str = field(default="", compare=False)


def _field(row: Mapping[str, object], name: str, legacy: str) -> tuple[object, str]:
    """A value under its current or its retired name, with the name that was found."""
    found = legacy if name not in row and legacy in row else name
    return row.get(found), found


def _id_or_empty(value: object, field: str, is_token: bool) -> str:
    if value is None or value == "":
        return ""
    return token_id(value, field) if is_token else condition_id(value, field)


def _kind(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= KIND_CHARS_MAX:
        raise InvalidInput("type", f"a text of at most {KIND_CHARS_MAX} characters was expected")
    if not value.isascii() or not value.isprintable():
        raise InvalidInput("type", "a name in printable ASCII was expected")
    return value


def _outcome_index(value: object) -> int | None:
    """The venue says 999 where it does not know the outcome, on fresh rows as well."""
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < OUTCOMES_MAX:
        return None
    return value


def _timestamp(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < _TIMESTAMP_MAX:
        raise InvalidInput("timestamp", "integer seconds were expected")
    return value


def _side(value: object, required: bool) -> Side | None:
    if value == "BUY":
        return "BUY"
    if value == "SELL":
        return "SELL"
    if required:
        raise InvalidInput("side", f"BUY or SELL was expected, got {str(value)[:20]!r}")
    return None


def _buy_fee(size: Decimal, cash: int, usdc: int) -> tuple[int | None, Role | None]:
    """What a BUY row proves of the fee: its stated total less the cash.

    The ten decimals of the price limit the cash to about size × 5e-11; a difference inside that
    is no fee, and a total below the cash proves nothing.
    """
    tolerance = int(size * MICROS * 5 / 10**11) + 1
    fee = usdc - cash
    if fee > tolerance:
        return fee, "taker"
    return (0, None) if fee >= -tolerance else (None, None)


def parse_activity(row: Mapping[str, object]) -> ActivityEvent:
    """The event in a Data API activity row (current, retired or combo shape).

    Numbers must have been parsed as Decimal or int. Raises InvalidInput naming the field. Unknown
    types are kept under the venue's own name, and like all that is no trade they may state neither
    size nor price.
    """
    if "combo_position_id" in row:
        return _parse_combo(row)
    kind = _kind(row.get("type", TRADE))
    is_trade = kind == TRADE
    wallet = address(*_field(row, "proxy_wallet", "proxyWallet"))
    tx_hash = hash32(*_field(row, "transaction_hash", "transactionHash"))
    token = _id_or_empty(*_field(row, "token_id", "asset"), is_token=True)
    condition = _id_or_empty(*_field(row, "condition_id", "conditionId"), is_token=False)
    timestamp = _timestamp(row.get("timestamp"))
    stated_size, stated_price = row.get("size"), row.get("price", 0)
    if not is_trade:
        stated_size, stated_price = stated_size or 0, stated_price or 0
    size, shares = decimal_of(stated_size, "size"), micros(stated_size, "size")
    price = decimal_of(stated_price, "price")
    if not 0 <= price <= AMOUNT_MAX:
        raise InvalidInput("price", "is out of range")
    usdc_value, usdc_name = _field(row, "usdc_size", "usdcSize")
    usdc = None if usdc_value is None else micros(usdc_value, usdc_name)
    side = _side(row.get("side"), required=is_trade)
    cash, fee, role = usdc or 0, None, None
    if is_trade:
        if token == "":
            raise InvalidInput("token_id", "a trade row must name its token")
        if not 0 < price <= 1:
            raise InvalidInput("price", "must be above 0 and at most 1")
        if shares == 0:
            raise InvalidInput("size", "a trade row must have shares")
        if timestamp < SECOND_GENERATION_TS and usdc is not None:
            cash = usdc
        else:
            product = size * price * MICROS
            cash = int(product.to_integral_value(rounding=ROUND_HALF_EVEN))
            if side == "BUY" and usdc is not None:
                fee, role = _buy_fee(size, cash, usdc)
    return ActivityEvent(
        kind=kind,
        wallet=wallet,
        tx_hash=tx_hash,
        timestamp=timestamp,
        condition_id=condition,
        token_id=token,
        side=side,
        shares=shares,
        cash=cash,
        price_e10=int((price * _PRICE_SCALE).to_integral_value(rounding=ROUND_HALF_EVEN)),
        fee=fee,
        role=role,
        outcome_index=_outcome_index(_field(row, "outcome_index", "outcomeIndex")[0]),
        raw=raw_text(row),
    )


def _parse_combo(row: Mapping[str, object]) -> ActivityEvent:
    """An event of the combo feed: no shares are stated, the cash is what was paid in or out."""
    kind = _kind(row.get("type"))
    condition = row.get("combo_condition_id")
    if not isinstance(condition, str) or not condition.startswith(_COMBO_PREFIX):
        raise InvalidInput("combo_condition_id", "a combo condition id was expected")
    paid_in, paid_out = row.get("amount_usdc"), row.get("payout_usdc")
    amount, field = (paid_out, "payout_usdc") if paid_in is None else (paid_in, "amount_usdc")
    return ActivityEvent(
        kind=kind,
        wallet=address(row.get("proxy_wallet"), "proxy_wallet"),
        tx_hash=hash32(row.get("transaction_hash"), "transaction_hash"),
        timestamp=_timestamp(row.get("timestamp")),
        condition_id=condition_id(condition, "combo_condition_id"),
        token_id=token_id(row.get("combo_position_id"), "combo_position_id"),
        side=None,
        shares=0,
        cash=0 if amount is None else micros(amount, field),
        price_e10=0,
        fee=None,
        role=None,
        raw=raw_text(row),
    )
