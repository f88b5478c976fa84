"""`walk`: what an order would take from an order book, level by level."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chalicelib.adapters.polymarket.book_shape import hash_matches, parse_book
from chalicelib.cli.terminal import (
    LineParser,
    Unusable,
    mapping,
    parse_json,
    print_lines,
    read_text,
)
from chalicelib.domain.errors import InvalidInput
from chalicelib.domain.exchange_log import Side
from chalicelib.domain.fee import FeeSchedule, taker_fee
from chalicelib.domain.money import MICROS, cash_floor, micros
from chalicelib.domain.orderbook import Book, Walk, walk_cash, walk_shares


def _positive(text: str, option: str) -> int:
    amount = micros(text, option, exact=True)
    if amount == 0:
        raise InvalidInput(option, "must be above 0")
    return amount


def _price(text: str, option: str) -> int:
    price = _positive(text, option)
    if price >= MICROS:
        raise InvalidInput(option, "must be below 1")
    return price


def _rate(text: str, option: str) -> int:
    rate = micros(text, option, exact=True)
    if rate > MICROS:
        raise InvalidInput(option, "must be at most 1")
    return rate


def line_of(book: Book, side: Side, walk: Walk, fee_rate: int) -> dict[str, object]:
    """The printed form of a walk; `fee_rate` in micros, `best` is the price an order meets."""
    levels = book.takes(side)
    return {
        "side": side,
        "fills": [
            {
                "price_micros": fill.price,
                "shares_micros": fill.shares,
                "cash_micros": cash_floor(fill.shares, fill.price),
            }
            for fill in walk.fills
        ],
        "shares_micros": walk.shares,
        "vwap_micros": walk.vwap,
        "cash_micros": walk.cash,
        "fee_micros": taker_fee(FeeSchedule(rate=fee_rate), walk.shares, walk.cash),
        "unfilled_micros": walk.unfilled,
        "best": levels[0].price if levels else None,
        "mid": book.mid,
        "spread": book.spread,
    }


def _parse(raw: Mapping[str, object]) -> tuple[Book, bool | None]:
    try:
        return parse_book(raw, 0), hash_matches(raw)
    except InvalidInput as error:
        raise Unusable(f"the book: {error}") from error
    except UnicodeEncodeError as error:
        raise Unusable("the book: a text is not Unicode") from error
    except RecursionError as error:
        raise Unusable("the book: nested too deeply") from error


def run(argv: Sequence[str]) -> None:
    """Read the arguments and the input, then print one line."""
    parser = LineParser(prog="walk")
    parser.add_argument("--side", choices=("BUY", "SELL"), required=True)
    size = parser.add_mutually_exclusive_group(required=True)
    size.add_argument("--shares", metavar="N", help="how many shares")
    size.add_argument("--cash", metavar="N", help="how much cash before the fee")
    parser.add_argument("--limit", metavar="P", help="the worst price to accept")
    parser.add_argument("--fee-rate", metavar="R", default="0", help="the market's fee rate")
    parser.add_argument("file", metavar="FILE", help="a file, or - for standard input")
    arguments = parser.parse_args(argv)
    limit = None if arguments.limit is None else _price(arguments.limit, "--limit")
    fee_rate = _rate(arguments.fee_rate, "--fee-rate")
    take, amount = (
        (walk_cash, _positive(arguments.cash, "--cash"))
        if arguments.shares is None
        else (walk_shares, _positive(arguments.shares, "--shares"))
    )
    book, matches = _parse(mapping(parse_json(read_text(arguments.file)), "the input"))
    walk = take(book, arguments.side, amount, limit)
    print_lines([line_of(book, arguments.side, walk, fee_rate) | {"hash_matches": matches}])
