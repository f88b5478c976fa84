"""Long bodies, deflated: DynamoDB charges by the kilobyte, and JSON repeats its names.

Deflate starts from a dictionary of what bodies of the frequent records have in common, so that an
attempt of 2.6 kB or a trade of 1.1 kB fits into the first kilobyte, keys included. A dictionary is
needed for ever to read what was packed with it: it is frozen by a test, and another one gets
another number.
"""

from __future__ import annotations

import zlib

PLAIN_BYTES_MAX = 600
"""Shorter bodies cost a kilobyte anyway, and stay text that a person can read."""
BODY_BYTES_MAX = 400_000
"""Longer ones stay as they are and are refused: what fits must not depend on what repeats."""

_DICTIONARY_1 = (
    b'{"leader":"0x","ts":17,"number":,"trade_id":"","message":{"leader":"0x","wallet":"0x","ts_'
    b'seen":17,"backfill":false,"chain":[],"api":[{"tx_hash":"0x","token_id":"","side":"SELL","r'
    b'ows":[{"shares":,"price":,"cash":,"fee":null,"role":null,"ts_block":17,"count":1}],"raw":"'
    b'"}],"events":[]},"reading":null,"leader_fact":"","rules_digest":"","version":1}{"digest":"'
    b'","market":{"condition_id":"0x","question":"Will the ","slug":"will-the-","event_id":"","c'
    b'ategory":"sports","protocol":"v1","tokens":["",""],"outcomes":["Yes","No"],"tick":10000,"o'
    b'rder_shares_min":5000000,"fee":{"rate":50000,"exponent":1},"neg_risk":false,"delay_ms":0,"'
    b'closes_at":null,"closed":false,"accepting_orders":true,"tags":[],"game_starts_at":null,"re'
    b'solution":{"state":"open","payouts":[],"final":false,"ts":0},"game_ended":false,"version":'
    b'0},"lists":null,"leader":null,"version":1}{"trade_id":"","leader":"0x","wallet":"0x","tx_h'
    b'ash":"0x","token_id":"","side":"BUY","backfill":false,"first_source":"chain","ts_listed":1'
    b'7,"ts_seen_chain":17,"ts_seen_api":null,"legs":[{"block_hash":"0x","block_number":9,"log_i'
    b'ndex":,"ts_block":17,"shares":000000,"cash":,"fee":0,"fee_asset":"collateral","role":"make'
    b'r","order_hash":"0x","removed":false}],"rows":[{"shares":000000,"price":,"cash":000,"fee":'
    b'null,"role":null,"ts_block":17000,"count":1}],"receipt":null,"contradicted":false,"ts_remo'
    b'ved":0,"asked":[],"emitted":{"shares":000000,"cash":000,"fee":0},"posted":{"shares":000000'
    b',"cash":000,"fee":0},"next_seq":1,"pending":[{"seq":0,"kind":"TRADE_FILL","shares":000000,'
    b'"cash":000,"fee":0,"fill_shares":000000,"fill_cash":000,"ts_block":17000,"order":,"ts_seen'
    b'":17,"role":"maker"}],"version":1}{"attempt_id":"","group_id":"","portfolio_id":"main/lead'
    b'er/0x","portfolio_id":"main/global","epoch":1,"leader":"0x","token_id":"","side":"BUY","ts'
    b'_opened":17,"decision":{"verdict":"SKIP","reasons":["WORSE_THAN_LEADER","PRICE_MOVED","SPR'
    b'EAD_TOO_WIDE","DEPTH_TOO_THIN","BEYOND_MID","BOOK_STALE"],"verdict":"EXECUTE","reasons":[]'
    b',"ts_decided":17,"age_ms":,"rules_digest":"","leader_price":0000,"leader_shares":000000,"l'
    b'eader_cash":000000,"leader_reduction":0,"equity":,"free_cash":,"held":0,"exit_debt":0,"bes'
    b't":0000,"mid":5000,"spread":10000,"depth_shares":000000,"book_hash":"","ts_book":17,"limit'
    b'":0000,"target_shares":0000,"confirmed":false,"health":{"chain":"up","api":"up","degraded"'
    b':false,"detail":"","chain_detail":"","api_detail":"","blocking":[]},"segment":"17","leader'
    b'_role":"maker","leader_rank":null,"leader_equity":null,"size":{"asked":000,"largest":75000'
    b'000,"cash":000},"exposure":{"total":0,"market":0,"event":0,"category":0,"leader":0,"open_p'
    b'ositions":0,"holds_token":false,"one_leader":true},"spending":{"day":20,"cash":0,"hour":49'
    b',"fills":0},"ts_marks":17},"status":"SKIPPED","status":"FILLED","reasons":[],"order":null,'
    b'"order":{"token_id":"","side":"BUY","shares":0000,"limit":0000,"ts_placed":17,"ts_book_max'
    b'":17,"ttl_ms":30000,"resting_fill":"trade_through","caps":{"order_cash":250000000,"daily_c'
    b'ash":5000000000,"hourly_fills":200},"spent":{"day":20,"cash":0,"hour":49,"fills":0}},"fee_'
    b'schedule":null,"fee_schedule":{"rate":50000,"exponent":1},"reserved":0,"outcome":null,"out'
    b'come":{"status":"FILLED","reasons":["REMAINDER_CANCELLED"],"slices":[{"ts":17,"shares":000'
    b'0,"cash":,"fee":,"levels":[{"price":0000,"shares":0000}]}],"book_source":"tape","book_hash'
    b'":"","ts_book":17,"ts_done":17,"segments":["17"],"best":0000,"mid":5000,"ahead":0,"taken":'
    b'[{"side":"BUY","price":0000,"shares":0000,"offered":000000,"ts":17}]},"ran_at":17,"late_by'
    b'_ms":,"retracted_shares":0,"applied":1,"vwap":null,"vwap":0000,"slippage":null,"slippage":'
    b'{"leader":10000,"mid":5000,"arrival":0},"stress":[],"seen":{"market":"","lists":"","backfi'
    b'll":false,"sell_only":false,"paused":false,"tripped":[],"refused":""},"version":1}'
)
DICTIONARIES = {1: _DICTIONARY_1}
_NUMBER = 1


def packed(body: str) -> bytes | None:
    """The body in short form, None where it is short already or would not become shorter."""
    plain = body.encode()
    if not PLAIN_BYTES_MAX < len(plain) <= BODY_BYTES_MAX:
        return None
    deflate = zlib.compressobj(
        6, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARIES[_NUMBER]
    )
    short = bytes([_NUMBER]) + deflate.compress(plain) + deflate.flush()
    return short if len(short) < len(plain) else None


def unpacked(short: bytes) -> str:
    """The body of a short form. Raises ValueError for anything else."""
    if not short or short[0] not in DICTIONARIES:
        raise ValueError("no dictionary is known for this body")
    inflate = zlib.decompressobj(-15, DICTIONARIES[short[0]])
    try:
        plain = inflate.decompress(short[1:], BODY_BYTES_MAX)
    except zlib.error as error:
        raise ValueError(f"a body that does not inflate: {error}") from error
    if not inflate.eof or inflate.unused_data:
        raise ValueError("a body that was cut or is too long")
    return plain.decode()
