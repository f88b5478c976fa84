"""Scenes as a recording that was never live: what came in from outside, and no outcome."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace

from chalicelib.domain.exit_debt import exit_work
from chalicelib.domain.lane import LaneInput, Work
from chalicelib.domain.market import Market, Resolution, resolved
from chalicelib.domain.portfolio import Head, Position
from chalicelib.domain.registry import Leader
from chalicelib.domain.tape_text import packed
from chalicelib.domain.witness import Arrival, witness_of
from chalicelib.replay.simulated import open_portfolios
from chalicelib.services.portfolios import opening_head
from chalicelib.services.recordings import Header, Recording
from tests.e2e.acceptance.ended import GLOBAL
from tests.e2e.acceptance.scene import DAY_MS, FOLLOWED, Resolved, Scene, Tell, micros
from tests.e2e.engines import PATIENT

INGESTED_MS = 30
NOTICED_MS = 60_000


def recording_of(scenes: Sequence[Scene]) -> Recording:
    """What the format can say of these scenes before anybody played them."""
    settings = (("global", PATIENT), *((s.leader, json.dumps(s.settings)) for s in scenes))
    header = Header(FOLLOWED, FOLLOWED + 4 * DAY_MS, source="scenes", settings=settings)
    recording = Recording(header)
    for scene in scenes:
        leader = Leader(scene.leader, scene.name[:20], (scene.leader,), "on", FOLLOWED)
        known = witness_of(leader)
        recording.facts.append(known)
        open_portfolios(recording, scene.leader, FOLLOWED)
        # As they are in the end; decisions knew them open.
        ended = {each.market.condition_id: _ended(each) for each in scene.resolved}
        recording.markets += [ended.get(m.condition_id, m) for m in scene.markets]
        recording.facts += [witness_of(each.market) for each in scene.resolved]
        recording.inputs += [*_settlements(scene), *_exits(scene)]
        recording.segments += [packed(part) for part in scene.tapes]
        told = [step for step in scene.steps if isinstance(step, Tell)]
        recording.arrivals += [
            Arrival(
                scene.leader,
                step.at + INGESTED_MS,
                number,
                f"{scene.number}-{number}",
                step.message(step.at),
                None,
                known.digest,
            )
            for number, step in enumerate(told)
        ]
        recording.opening = [
            replace(r, pauses=scene.pauses)
            if isinstance(r, Head) and r.portfolio_id == scene.portfolio
            else r
            for r in recording.opening
        ]
    return recording


def _ended(each: Resolved) -> Market:
    return resolved(each.market, Resolution("resolved", each.payouts, final=True, ts=each.ts))


def _settlements(scene: Scene) -> Iterator[LaneInput]:
    """A work row per portfolio and market, noticed a minute after it was decided."""
    for each in scene.resolved:
        for portfolio in (GLOBAL, scene.portfolio):
            work = Work(
                portfolio_id=portfolio,
                epoch=1,
                ts_due=each.ts,
                kind="settlement",
                ref=each.market.condition_id,
                leader="",
                token_id="",
                side="SELL",
                group_number=0,
                ts_decided=each.ts,
                ts_block=each.ts,
                order=0,
            )
            yield LaneInput(work, each.ts + NOTICED_MS)


def _exits(scene: Scene) -> Iterator[LaneInput]:
    for token, ts in scene.exits:
        for portfolio, kind in ((GLOBAL, "global"), (scene.portfolio, "leader")):
            head = opening_head(portfolio, kind, scene.leader, 0)  # type: ignore[arg-type]
            owed = Position(portfolio, 1, token, scene.leader)
            yield LaneInput(exit_work(head, owed, micros("0.5"), ts), ts)
