// The tables of one attempt: figures, checks, fills, what-if, and where it all comes from.
import { serverNow } from "../clock.js";
import { amount, cents, clockTime, count, duration, exactAmount, exactTime, latency, NONE, signedLatency } from "../format.js";
import { html } from "../html.js";
import { price } from "./attempt-words.js";
import { Table } from "./table.js";
import { Hash, Money, Price, Tag } from "./values.js";

const within = (decided, ts) => signedLatency(ts - decided);

/** Worse is what cost us, whatever the side. */
export function Worse({ micros }) {
  if (micros == null) return html`<span class="dim">${NONE}</span>`;
  if (Math.round(micros / 100) === 0) return html`<span class="dim">same</span>`;
  return html`<span class=${micros > 0 ? "loss" : "gain"} title=${exactAmount(micros)}>${micros > 0 ? "\u2212" : "+"}${cents(micros)} <span class="note">${micros > 0 ? "worse" : "better"}</span></span>`;
}

export function Figures({ attempt }) {
  const { slippage, execution } = attempt;
  if (attempt.target_shares_micros == null) return null;
  const executed = attempt.decision === "EXECUTE";
  const figures = [
    ["Filled", html`${amount(attempt.filled_shares_micros)}<span class="note"> of ${amount(attempt.target_shares_micros)}</span>`],
    ["Limit", price(attempt.limit_micros)],
    ["Average price", attempt.vwap_micros == null ? NONE : price(attempt.vwap_micros)],
    ["Against leader", html`<${Worse} micros=${slippage?.leader_micros} />`],
    ["Against midpoint", html`<${Worse} micros=${slippage?.mid_micros} />`],
    ["Against arrival", html`<${Worse} micros=${slippage?.arrival_micros} />`],
    ["Fee", execution?.slices.length ? html`<${Money} micros=${attempt.fee_micros} />` : NONE],
    ["Cash", execution?.slices.length ? html`<${Money} micros=${attempt.cash_micros} />` : NONE],
  ];
  return html`<dl class="figures">
    ${(executed ? figures : figures.slice(1, 2).concat([["Wanted", amount(attempt.target_shares_micros)]])).map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}
  </dl>`;
}

const CHECKS = {
  eligible: ["May be copied at all", "Not history, not retracted, settings usable, leader not being unfollowed"],
  running: ["Portfolio running", "Neither paused nor stopped by a circuit breaker"],
  health: ["Sources healthy", "State of the chain watch and the Data API"],
  leader_notional: ["His trade's size", "Cash of his group of fills"],
  leader_rank: ["Among his larger trades", "The part of his last 200 buys that were not larger"],
  leader_role: ["Not a maker's trade", "Resting orders of his are not copied where the settings say so"],
  position: ["We hold of him", "Shares of this token that came from this leader"],
  market: ["Market open to us", "Life cycle, blacklist and whitelist"],
  book_age: ["Age of our book", "Since our copy was last proven equal to the venue's"],
  size: ["Our size allowed", "Largest allowed order for a buy, shares owed for a sell"],
  age: ["Age of his trade", "From his block to the decision"],
  catch_up_price: ["Best ask, detected late", "A late buy must not be worse than his price"],
  price_band: ["Best ask in the band", "Prices at which positions are opened"],
  leader_price: ["Best against his price", "His price and the guard around it"],
  mid_price: ["Best against midpoint", "The midpoint and the guard around it"],
  price_move: ["Move since his price", "Relative move against us"],
  spread: ["Spread", "Best ask less best bid"],
  depth: ["Shares inside the limit", "A multiple of our size is wanted"],
  venue_minimum: ["Order value", "The venue's minimum for taking"],
  free_cash: ["Free cash", "Cash less reservations, against order and fee"],
  order_cap: ["Cost of this order", "What a single order may cost"],
  daily_cap: ["Bought today", "With this order, per UTC day"],
  hourly_cap: ["Fills this hour", "With one more"],
  risk: ["Risk limits", "Exposure in total, by market, event, category and leader, and open positions"],
};
const FORMS = {
  cash: amount,
  shares: amount,
  price,
  time_ms: latency,
  count: String,
  fraction: (micros) => `${micros / 10_000} %`,
  none: () => "",
};
const STATES = {
  passed: { label: "held", tone: "plain" },
  failed: { label: "failed", tone: "alert" },
  not_reached: { label: "not reached", tone: "quiet" },
};

function boundOf({ unit, at_least: least, at_most: most, check }) {
  const form = FORMS[unit] ?? String;
  if (check === "position") return "more than 0";
  if (least != null && most != null) return `${form(least)} to ${form(most)}`;
  if (least != null) return `at least ${form(least)}`;
  return most != null ? `at most ${form(most)}` : NONE;
}

const CHECK_COLUMNS = [
  { id: "check", label: "Check", cell: (row) => html`<span title=${CHECKS[row.check]?.[1]}>${CHECKS[row.check]?.[0] ?? row.check}</span>` },
  { id: "found", label: "Found", numeric: true, cell: (row) => (row.found == null ? html`<span class="dim">${NONE}</span>` : FORMS[row.unit](row.found)) },
  { id: "bound", label: "Allowed", numeric: true, cell: (row) => html`<span class="dim">${boundOf(row)}</span>` },
  { id: "result", label: "Result", cell: (row) => html`<${Tag} tone=${STATES[row.state].tone}>${STATES[row.state].label}<//>` },
];

export function Checks({ attempt }) {
  return html`<section aria-labelledby="checks-title">
    <h3 id="checks-title">What the decision looked at</h3>
    ${attempt.bounds_known ? null : html`<p class="sub">The settings have changed since; what was allowed then is not shown.</p>`}
    <${Table} name="checks" caption="Checks of the decision" columns=${CHECK_COLUMNS} rows=${attempt.checks} idOf=${(row) => row.check} rowClass=${(row) => `check-${row.state}`} />
  </section>`;
}

export function Slices({ attempt }) {
  const { execution, order, ts_decided: decided } = attempt;
  if (!order) return null;
  const slices = execution?.slices ?? [];
  const columns = [
    { id: "when", label: "Fill", cell: (row) => html`<span title=${exactTime(row.ts)}>${within(decided, row.ts)}</span><div class="sub">${row.ts === order.ts_placed ? "at placement" : "while resting"}</div>` },
    { id: "levels", label: "Levels", numeric: true, cell: (row) => row.levels.map((level, index) => html`<div key=${index}>${amount(level.shares_micros)} at ${price(level.price_micros)}</div>`) },
    { id: "price", label: "Average", numeric: true, cell: (row) => html`<${Price} micros=${row.price_micros} />` },
    { id: "cash", label: "Cash", numeric: true, cell: (row) => html`<${Money} micros=${row.cash_micros} />` },
    { id: "fee", label: "Fee", numeric: true, cell: (row) => (row.fee_micros ? html`<${Money} micros=${row.fee_micros} />` : html`<span class="dim">none</span>`) },
  ];
  return html`<section aria-labelledby="slices-title">
    <h3 id="slices-title">Fills</h3>
    ${
      slices.length
        ? html`<${Table} name="slices" caption="Fills of the order" columns=${columns} rows=${slices} idOf=${(row) => row.number} />`
        : html`<p class="sub">${execution ? "Nothing was filled" : "The order has not met a book yet"}${execution?.rests ? " so far" : ""}.</p>`
    }
    ${execution?.ahead_shares_micros ? html`<p class="sub">${amount(execution.ahead_shares_micros)} shares were in the queue at our price before us.</p>` : null}
  </section>`;
}

export function Stress({ attempt }) {
  const { latencies_ms: latencies, depths_percent: depths, points } = attempt.stress;
  if (!points.length) return null;
  const byLatency = new Map(points.map((point) => [point.latency_ms, point]));
  const columns = [
    { id: "latency", label: "Placed after", cell: (row) => latency(row.latency_ms) },
    ...depths.map((percent, index) => ({
      id: `depth-${percent}`,
      label: percent === 100 ? "Full depth" : `${percent}\u00a0% of it`,
      numeric: true,
      cell: (row) => html`<${Outcome} point=${row.point} index=${index} target=${attempt.target_shares_micros} />`,
    })),
  ];
  return html`<section aria-labelledby="stress-title">
    <h3 id="stress-title">What it would have got</h3>
    <p class="sub">The same order swept at other delays after the decision, on the full book and on a thinner one. Resting fills are not counted.</p>
    <${Table} name="stress" caption="Fills at other delays and depths" columns=${columns} rows=${latencies.map((ms) => ({ latency_ms: ms, point: byLatency.get(ms) }))} idOf=${(row) => row.latency_ms} />
  </section>`;
}

function Outcome({ point, index, target }) {
  if (!point) return html`<span class="dim">not recorded</span>`;
  const shares = point.shares_micros[index];
  if (!shares) return html`<span class="dim">nothing</span>`;
  return html`${price(point.vwap_micros[index])}<div class="sub">${shares === target ? "all" : amount(shares)}</div>`;
}

const BOOKS = {
  tape: "recorded order book",
  rest: "one snapshot of the order book",
};

export function Facts({ attempt }) {
  const { decided, execution, order, market } = attempt;
  const now = serverNow();
  const facts = [
    ["Decision's book", decided.ts_book == null ? "none" : `${decided.segment ? BOOKS.tape : BOOKS.rest}, ${clockTime(decided.ts_book, now)}`],
    execution && ["Order's book", execution.ts_book == null ? "none" : `${BOOKS[execution.book_source]}, ${clockTime(execution.ts_book, now)}`],
    (execution?.segments.length || decided.segment) && ["Tape segments", html`<code>${[...new Set([decided.segment, ...(execution?.segments ?? [])])].filter(Boolean).join(" ")}</code>`],
    order && ["Good for", order.ttl_ms ? `${duration(order.ttl_ms)}, until ${clockTime(order.ts_expiry, now)}` : "its placement only"],
    decided.health && ["Sources then", `chain ${decided.health.chain}, Data API ${decided.health.api}`],
    ["Equity, free cash", `${amount(decided.equity_micros)}, ${amount(decided.free_cash_micros)}`],
    ["Held of him, owed", `${amount(decided.held_micros)}, ${amount(decided.exit_debt_micros)}`],
    market && ["Market", `${market.life_cycle.replace("_", " ")}${market.closes_at ? `, closes ${exactTime(market.closes_at).slice(0, 16)}` : ""}`],
    market && ["Tick, smallest order", `${price(market.tick_micros)}, ${count(market.order_shares_min_micros / 1e6)} shares`],
    ["Settings", html`<code>${decided.rules_digest || NONE}</code>`],
    ["Attempt", html`<${Hash} value=${attempt.attempt_id} what="attempt id" />`],
  ].filter(Boolean);
  return html`<section aria-labelledby="facts-title">
    <h3 id="facts-title">Where it comes from</h3>
    <dl class="facts">${facts.map(([name, value]) => html`<div key=${name}><dt>${name}</dt><dd>${value}</dd></div>`)}</dl>
  </section>`;
}
