"""`decode`: the fills that a node's logs state for given wallets.

Takes what a node hands out: a list of logs, a JSON-RPC response around one, single logs or
`eth_subscription` notifications, as one JSON value or one value per line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.cli.terminal import (
    LineParser,
    Unusable,
    mapping,
    parse_json_or_lines,
    print_lines,
    read_text,
)
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import LeaderFill, decode_order_filled
from chalicelib.domain.identifiers import address


def _elements(value: object) -> list[object]:
    """One value of the input as its logs and notifications, unchecked and in order.

    A node's receipt for a subscription ("result" is a text) holds none.
    """
    if isinstance(value, list):
        return [
            e for item in value for e in (_elements(item) if isinstance(item, dict) else [item])
        ]
    if isinstance(value, dict) and "method" not in value:
        result = value.get("result")
        if isinstance(result, list):
            return result
        if isinstance(result, str):
            return []
    return [value]


def _log(element: object) -> Mapping[str, object]:
    """The log in an element, without a notification's wrapping. Raises InvalidInput."""
    log = mapping(element, "log")
    if log.get("method") == "eth_subscription":
        return mapping(mapping(log.get("params"), "params").get("result"), "params.result")
    if "error" in log:
        raise InvalidInput("error", f"the node refused: {str(log['error'])[:80]!r}")
    return log


def decode(values: Sequence[object], wallets: frozenset[str]) -> list[LeaderFill]:
    """Every fill of `wallets`, in input order. Raises Unusable naming element and field."""
    fills = []
    elements = [element for value in values for element in _elements(value)]
    for number, element in enumerate(elements, start=1):
        try:
            fill = decode_order_filled(_log(element), wallets)
        except InvalidInput as error:
            raise Unusable(f"element {number}: {error}") from error
        except RecursionError as error:
            raise Unusable(f"element {number}: nested too deeply") from error
        if fill is not None:
            fills.append(fill)
    return fills


def line_of(fill: LeaderFill) -> Mapping[str, object]:
    """The printed form of a fill; `removed` appears only where the log says so."""
    line: dict[str, object] = {
        "wallet": fill.wallet,
        "tx_hash": fill.tx_hash,
        "block_number": fill.block_number,
        "block_hash": fill.block_hash,
        "log_index": fill.log_index,
        "exchange": fill.exchange,
        "generation": fill.generation,
        "role": fill.role,
        "side": fill.side,
        "token_id": fill.token_id,
        "shares_micros": fill.shares,
        "cash_micros": fill.cash,
        "fee_micros": fill.fee,
        "fee_asset": fill.fee_asset,
        "price_micros": fill.price,
        "order_hash": fill.order_hash,
    }
    return line | {"removed": True} if fill.removed else line


def run(argv: Sequence[str]) -> None:
    """Read the arguments and the input, then print."""
    parser = LineParser(prog="decode")
    parser.add_argument("--wallet", action="append", required=True, help="repeat for more wallets")
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    arguments = parser.parse_args(argv)
    wallets = frozenset(address(wallet, "--wallet") for wallet in arguments.wallet)
    fills = decode(parse_json_or_lines(read_text(arguments.file)), wallets)
    print_lines(line_of(fill) for fill in fills)
