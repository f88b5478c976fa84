"""Records for tests: hand-written ones, and random ones of any class from its type hints."""

from __future__ import annotations

import types
from dataclasses import is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

from chalicelib.domain.decision import Decision
from chalicelib.domain.fee import FeeSchedule
from chalicelib.domain.lane import Attempt
from chalicelib.domain.ledger import Entry
from chalicelib.domain.trade import Trade, new_trade

TOKEN = str(2**256 - 1)
WALLET = "0x" + "ab" * 20
DAY_MS = 1_795_132_800_000 // 86_400_000 * 86_400_000

T = TypeVar("T")
_LAST = "\U0010ffff"
"""The default end of a query: no key begins with it."""
_TIMES = st.integers(0, 4_000_000_000_000)
_NATURALS = st.integers(0, 10**18)
_AMOUNTS = st.integers(-(10**18), 10**18)
_TEXTS = st.text(
    st.characters(codec="utf-8", exclude_characters=_LAST)
    | st.sampled_from('é漢🂡\x00\x7f"\\\u2028'),
    min_size=1,
    max_size=40,
)
_TOKENS = st.integers(1, 2**256 - 1).map(str)
_SIGNED = {"shares", "cash", "cost", "realized", "exit_debt", "late_by_ms", "age_ms"}
_MOMENTS = {"opened", "followed_from", "ran_at", "closes_at", "ts"}


def records_of(kind: type[T]) -> st.SearchStrategy[T]:
    """Instances that were never stored: version 0, everything else drawn by name and type."""
    hints = get_type_hints(kind)
    return st.builds(kind, **{name: _values(name, hint) for name, hint in hints.items()})


def _values(name: str, hint: Any) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if name == "version":
        return st.just(0)
    if origin is Literal:
        return st.sampled_from(args)
    if origin in (Union, types.UnionType):
        return st.one_of(*(_values(name, arg) for arg in args))
    if origin is tuple:
        return st.lists(_values(name, args[0]), max_size=3).map(tuple)
    if hint is type(None):
        return st.none()
    if hint is int:
        if name.startswith("ts_") or name in _MOMENTS:
            return _TIMES
        return _AMOUNTS if name in _SIGNED else _NATURALS
    if hint is str:
        return _TOKENS if name in ("token_id", "tokens") else _TEXTS
    if isinstance(hint, type) and is_dataclass(hint):
        return records_of(hint)
    return st.from_type(hint)


def entry(seq: int, *, portfolio_id: str = "acc/global") -> Entry:
    return Entry(portfolio_id, 1, seq, "OPENING", f"ref{seq}", TOKEN, WALLET, 0, seq, 1_000 + seq)


def trade(number: int, *, ts_listed: int = DAY_MS) -> Trade:
    tx_hash = f"0x{number:064x}"
    return new_trade(
        WALLET, WALLET, tx_hash, TOKEN, "BUY", source="api", backfill=False, ts_listed=ts_listed
    )


def attempt(number: int, *, account: str = "acc", ts_decided: int = DAY_MS) -> Attempt:
    decision = Decision("SKIP", (), ts_decided, 0, "d", 1, 1, 1, 0, 1, 1, 0, 0)
    return Attempt(
        attempt_id=f"attempt{number:04d}",
        group_id="g",
        portfolio_id=f"{account}/global",
        epoch=1,
        leader=WALLET,
        token_id=TOKEN,
        side="BUY",
        ts_opened=ts_decided,
        decision=decision,
        status="SKIPPED",
        reasons=(),
        order=None,
        fee_schedule=FeeSchedule(),
        reserved=0,
        outcome=None,
        ran_at=ts_decided,
        late_by_ms=0,
    )
