// The recorded book around an order: drawn, readable at any moment, and as a table.
import { useEffect, useState } from "preact/hooks";

import { amount, exactTime, NONE, signedLatency } from "../format.js";
import { html } from "../html.js";
import { price } from "./attempt-words.js";
import { sentenceOf } from "./panel.js";
import { Skeleton, Table } from "./table.js";
import { TapeChart } from "./tape-chart.js";
import { Price } from "./values.js";

const LADDER_ROWS = 7;
const SCRUB_STEP_MS = 50;

export function TapeView({ snapshot, attempt }) {
  const { value, error } = snapshot;
  return html`<section class="tape" aria-labelledby="tape-title">
    <h3 id="tape-title">The book around it</h3>
    ${value ? html`<${Drawn} tape=${value} attempt=${attempt} />` : error ? html`<p class="behind" role="alert">The recording did not load. ${sentenceOf(error)} It is tried again by itself.</p>` : html`<${Skeleton} rows=${5} label="Loading the recorded book" />`}
  </section>`;
}

/** What the reader may conclude from the drawing, said before it. */
function noteOf({ recorded, source, complete, rests, thinned, ts_placed: placed }, { decision }) {
  const notes = [];
  if (!recorded && source === "rest") {
    notes.push(`No tape: the book was not recorded then. ${decision === "SKIP" || placed == null ? "The decision rests" : "The order was filled or killed"} on one snapshot of it.`);
  } else if (!recorded && source === "tape") notes.push("The recording of this moment is no longer kept.");
  else if (!recorded) notes.push("No tape: nothing was recorded, and the decision needed no book.");
  else if (source === "rest") notes.push("The order used one snapshot of the book; the recording beside it did not serve.");
  else if (!complete) notes.push(rests ? "Recorded so far; more is being written." : "The recording has a gap: hatched stretches are not known.");
  if (thinned) notes.push("More happened than can be drawn; every point shown is a recorded one.");
  return notes.join(" ");
}

function Drawn({ tape, attempt }) {
  const note = noteOf(tape, attempt);
  const [at, setAt] = useState(tape.ts_placed ?? tape.ts_decided);
  const clamped = Math.min(Math.max(at, tape.ts_from), tape.ts_until);
  const drawable = tape.recorded || tape.snapshot || tape.limit_micros != null;
  return html`${note ? html`<p class="sub tape-note">${note}</p>` : null}
    ${
      drawable
        ? html`<div class=${tape.recorded ? "tape-body" : "tape-body alone"}>
            <div>
              <${TapeChart} tape=${tape} tick=${attempt.market?.tick_micros ?? 10_000} target=${attempt.target_shares_micros ?? 0} at=${tape.recorded ? clamped : null} setAt=${setAt} />
              ${tape.recorded ? html`<${Scrubber} tape=${tape} at=${clamped} setAt=${setAt} />` : null}
              <${Legend} tape=${tape} />
            </div>
            ${tape.recorded ? html`<${Ladder} tape=${tape} at=${clamped} />` : null}
          </div>
          <${Moments} tape=${tape} />`
        : null
    }`;
}

function Scrubber({ tape, at, setAt }) {
  const { bid, ask } = bestAt(tape, at);
  const words = bid == null && ask == null ? "not recorded" : `bid ${price(bid)}, ask ${price(ask)}`;
  return html`<label class="scrub">
    <span>Moment</span>
    <input type="range" min=${tape.ts_from} max=${tape.ts_until} step=${SCRUB_STEP_MS} value=${at} aria-valuetext=${`${signedLatency(at - tape.ts_decided)} from the decision: ${words}`} onInput=${(event) => setAt(Number(event.target.value))} />
    <output>${signedLatency(at - tape.ts_decided)}</output>
  </label>`;
}

export function bestAt({ best }, ts) {
  let found = null;
  for (const point of best) {
    if (point.ts > ts) break;
    found = point;
  }
  return { bid: found?.bid_micros ?? null, ask: found?.ask_micros ?? null };
}

const inGap = ({ gaps }, ts) => gaps.some(([from, until]) => from <= ts && ts < until);

/** Levels of both sides at a moment, our limit marked; bars are shares against the largest shown. */
function Ladder({ tape, at }) {
  const depth = inGap(tape, at) ? null : tape.depth.findLast(({ ts }) => ts <= at);
  const asks = depth?.asks.slice(0, LADDER_ROWS).reverse() ?? [];
  const bids = depth?.bids.slice(0, LADDER_ROWS) ?? [];
  const most = Math.max(1, ...asks.map(([, shares]) => shares), ...bids.map(([, shares]) => shares));
  const rows = [...asks.map((level) => ["ask", ...level]), ...bids.map((level) => ["bid", ...level])];
  return html`<div class="ladder">
    <h4>Book at ${signedLatency(at - tape.ts_decided)}</h4>
    ${
      rows.length
        ? html`<table role="table" class="table-ladder">
            <caption class="unseen">Levels of the book at the chosen moment</caption>
            <thead role="rowgroup"><tr role="row"><th role="columnheader" scope="col">Side</th><th role="columnheader" scope="col" class="numeric">Price</th><th role="columnheader" scope="col" class="numeric">Shares</th></tr></thead>
            <tbody role="rowgroup">
              ${rows.map(([side, level, shares]) => {
                const takeable = taken(tape, side, level);
                return html`<tr key=${`${side}${level}`} role="row" class=${`ladder-${side} ${takeable ? "in-reach" : ""}`}>
                  <th role="rowheader" scope="row">${side}${takeable ? html`<span class="unseen"> inside our limit</span>` : null}</th>
                  <td role="cell" class="numeric">${price(level)}</td>
                  <td role="cell" class="numeric"><svg class="ladder-bar" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect x=${100 - (100 * shares) / most} y="0" width=${(100 * shares) / most} height="10" /></svg>${amount(shares)}</td>
                </tr>`;
              })}
            </tbody>
          </table>`
        : html`<p class="sub">Not recorded at this moment.</p>`
    }
  </div>`;
}

function taken({ side: ours, limit_micros: limit }, side, level) {
  if (limit == null) return false;
  return ours === "BUY" ? side === "ask" && level <= limit : side === "bid" && level >= limit;
}

const SIGNS = [
  ["ask", "Asks, darker with more shares"],
  ["bid", "Bids"],
  ["order", "Our order at its limit"],
  ["fill", "Our fills"],
  ["leader", "His price"],
  ["print", "Trades at the venue"],
  ["gap", "Not recorded"],
];

function Legend({ tape }) {
  const there = { ask: tape.recorded, bid: tape.recorded, order: tape.ts_placed != null, fill: tape.fills.length, leader: true, print: tape.prints.length, gap: tape.gaps.length };
  return html`<ul class="tape-legend" aria-hidden="true">
    ${SIGNS.filter(([sign]) => there[sign]).map(([sign, label]) => html`<li key=${sign}><svg viewBox="0 0 14 14"><${Sign} sign=${sign} /></svg>${label}</li>`)}
  </ul>`;
}

function Sign({ sign }) {
  if (sign === "fill") return html`<circle class="mark-fill" cx="7" cy="7" r="4.5" />`;
  if (sign === "leader") return html`<path class="mark-leader" d="M7 2l5 5-5 5-5-5z" />`;
  if (sign === "print") return html`<path class="mark-print" d="M4 4l6 6m0-6l-6 6" />`;
  if (sign === "order") return html`<rect class="band" x="1" y="4" width="12" height="6" />`;
  if (sign === "gap") return html`<g><rect class="gap-ground" x="0" y="0" width="14" height="14" /><path class="gap-lines" d="M0 14L14 0M-4 8L8 -4M6 18L18 6" /></g>`;
  return html`<g><rect class=${`depth-${sign} depth-3`} x="0" y="2" width="14" height="10" /><path class=${`line-${sign}`} d=${sign === "ask" ? "M0 11h14" : "M0 3h14"} /></g>`;
}

/** The same story as the drawing, for who does not see it: every mark with the best prices of its moment. */
function Moments({ tape }) {
  const marks = [
    { ts: tape.leader.ts, what: "leader's trade", price_micros: tape.leader.price_micros },
    { ts: tape.ts_decided, what: "decided" },
    tape.ts_placed != null && { ts: tape.ts_placed, what: "placed", price_micros: tape.limit_micros },
    ...tape.fills.map((fill) => ({ ts: fill.ts, what: `filled ${amount(fill.shares_micros)}`, price_micros: fill.price_micros })),
    tape.ts_placed != null && tape.ts_end > tape.ts_placed && { ts: tape.ts_end, what: tape.rests ? "known up to" : "ended" },
  ].filter(Boolean);
  const rows = marks.map((mark, index) => ({ ...mark, id: index, ...(mark.what === "decided" && tape.snapshot ? { bid: tape.snapshot.bid_micros, ask: tape.snapshot.ask_micros } : bestAt(tape, mark.ts)) })).sort((a, b) => a.ts - b.ts);
  const columns = [
    { id: "when", label: "When", cell: (row) => html`<span title=${exactTime(row.ts)}>${signedLatency(row.ts - tape.ts_decided)}</span>` },
    { id: "what", label: "What", cell: (row) => row.what },
    { id: "price", label: "Price", numeric: true, cell: (row) => (row.price_micros == null ? NONE : html`<${Price} micros=${row.price_micros} />`) },
    { id: "bid", label: "Best bid", numeric: true, cell: (row) => html`<${Price} micros=${row.bid} />` },
    { id: "ask", label: "Best ask", numeric: true, cell: (row) => html`<${Price} micros=${row.ask} />` },
  ];
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(!tape.recorded), [tape.recorded]);
  return html`<details class="moments" open=${open} onToggle=${(event) => setOpen(event.target.open)}>
    <summary>The drawing as a table</summary>
    <${Table} name="moments" caption="Moments of the attempt and the best prices then" columns=${columns} rows=${rows} idOf=${(row) => row.id} />
  </details>`;
}
