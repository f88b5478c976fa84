"""The scripted scenes: their books obey to the millisecond, and everything else stays as it was."""

from __future__ import annotations

from simulator.book import Change
from simulator.exchange import Hush
from simulator.matching import Match
from simulator.scenes import FEW_LEFT, MOVED_MS, NONE_LEFT, OPEN, SCENES
from simulator.venue import TOLD_MS
from simulator.world import World, WorldConfig

GENESIS_MS = 1_795_132_800_000
STEPS = 40


def world(seed=7, *, scenes=SCENES, fills=0, holdings=False):
    config = WorldConfig(
        scenes=scenes, fills_max=fills, leaders_wait_ms=2_000, holdings=holdings,
        other_activity_per_minute=30 if holdings else 0,
    )  # fmt: skip
    return World(seed, GENESIS_MS, config)


def played(made):
    """Every event of the play, and when the block of each fill was published."""
    events, published = [], {}
    for _ in range(STEPS):
        step = made.step()
        events += step.events
        published |= {tx.hash: step.block.ts for tx in step.block.transactions}
    return events, published


def index_of(made, name):
    return made.stage.markets[[scene.name for scene in made.config.scenes].index(name)].index


def book_after(made, events, name, ts):
    """Both sides of a scene's book, folded from its events up to `ts`."""
    sides, place = {True: {}, False: {}}, index_of(made, name)
    opening = next(scene.opens for scene in made.config.scenes if scene.name == name)
    sides[True].update(opening.bids)
    sides[False].update(opening.asks)
    for event in events:
        if isinstance(event, Change) and event.market_index == place and event.ts <= ts:
            sides[event.is_bid][event.price] = event.size
    return [{p: s for p, s in sides[is_bid].items() if s} for is_bid in (True, False)]


def first_match(made, events, name):
    found = [e for e in events if isinstance(e, Match) and e.market.index == index_of(made, name)]
    return found[0]


def test_every_scene_is_played_to_its_end_by_the_stage_leader_alone():
    made = world()
    events, published = played(made)
    assert made.stage.over and made.quiet
    wallet = made.stage.leaders[0].wallet
    scripted = {market.index for market in made.stage.markets}
    matches = [e for e in events if isinstance(e, Match) and e.market.index in scripted]
    assert {match.taker.wallet for match in matches} == {wallet}
    assert len(matches) == sum(len(scene.entrances) for scene in SCENES) == len(made.truth)
    assert all(match.tx_hash in published for match in matches)


def test_a_book_moves_by_the_publication_of_its_fill():
    for seed in range(5):
        made = world(seed)
        events, published = played(made)
        for name, after in (("gone", NONE_LEFT), ("few-left", FEW_LEFT)):
            moved = published[first_match(made, events, name).tx_hash] + MOVED_MS
            before = book_after(made, events, name, moved - 1)
            assert min(before[1]) == min(dict(OPEN.asks)), "still as it was at the decision"
            assert book_after(made, events, name, moved) == [dict(after.bids), dict(after.asks)]


def test_a_silent_scene_is_silent_before_its_second_fill_is_published():
    for seed in range(5):
        made = world(seed)
        events, published = played(made)
        silent = index_of(made, "silent")
        hushed, spoken = (e.ts for e in events if isinstance(e, Hush))
        fills = [e for e in events if isinstance(e, Match) and e.market.index == silent]
        first, second = (published[match.tx_hash] for match in fills)
        assert hushed > first + 5_000, "the copy of the first fill is placed on a book that speaks"
        assert second + 2_000 - hushed > 5_000, "its last word is stale at the second decision"
        assert spoken > second + 2_000 + 10_000, "later answers come too late for it"


def test_the_play_is_the_same_every_time():
    assert repr(played(world())) == repr(played(world()))


def test_scripted_markets_are_nobody_elses():
    made = world(fills=60, holdings=True)
    events, _ = played(made)
    scripted = {market.index: market for market in made.stage.markets}
    tokens = {token.id for market in scripted.values() for token in market.tokens}
    mine = made.stage.leaders[0]
    others = [leader for leader in made.leaders if leader is not mine]
    assert others and not any(tokens & leader.holdings.keys() for leader in others)
    assert not any(tokens & given.keys() for given in made.openings.values())
    assert set(mine.holdings) <= tokens
    conditions = {market.condition_id for market in scripted.values()}
    assert not conditions & {row.event.condition_id for row in made.activity}
    for event in events:
        if isinstance(event, Match) and event.market.index in scripted:
            assert event.taker.wallet == mine.wallet


def test_without_scenes_the_world_is_what_it_was():
    assert world(scenes=()).stage.over
    assert not any(market.is_scripted for market in world(scenes=()).listed.all)


def test_while_a_book_is_silent_nobody_is_told_anything(serve):
    async def scenario(session):
        venue = session.venue
        token = venue.world.stage.markets[-1].tokens[0].id
        socket = await session.client.ws_connect("/clob-ws/ws/market")
        await socket.send_json({"assets_ids": [token], "type": "market"})
        while venue.told_since(token) is None:
            await session.get("/control/health")
        heard = venue.counters
        session.move(12_000)
        assert token not in [row["asset_id"] for row in await posted(session, token)]
        await session.get("/clob/book", status=404, token_id=token)
        session.move(20_000)
        assert [row["asset_id"] for row in await posted(session, token)] == [token]
        assert heard["clob books asked for needlessly"] == 0
        await session.get("/clob/book", token_id=token)
        assert heard["clob books asked for needlessly"] == 1
        await socket.close()

    async def posted(session, token):
        return await session.post("/clob/books", [{"token_id": token}])

    serve(scenario, blocks=0, scenes=SCENES, fills_max=0)


def test_only_who_is_told_everything_asks_needlessly(serve):
    async def scenario(session):
        counters, venue = session.venue.counters, session.venue
        token = venue.world.listed.all[0].tokens[0].id
        await session.get("/clob/book", token_id=token)
        socket = await session.client.ws_connect("/clob-ws/ws/market")
        await socket.send_json({"assets_ids": [token], "type": "market"})
        while venue.told_since(token) is None:
            await session.get("/control/health")
        await session.get("/clob/book", token_id=token)
        assert counters["clob books asked for needlessly"] == 0, "not yet for long"
        session.move(TOLD_MS)
        await session.post("/control/faults", {"http_error_rate": 0.01, "http_scope": "clob"})
        await session.post("/control/faults", {"http_error_rate": 0.0})
        await session.get("/clob/book", token_id=token)
        assert counters["clob books asked for needlessly"] == 0, "a fault is hardly over"
        session.move(20_000)
        await session.get("/clob/book", token_id=token)
        assert counters["clob books asked for needlessly"] == 1
        await socket.close()

    serve(scenario)
