// Where the money is: exposure by market, event, category and leader, and how near the limits are.
import { amount, count, exactAmount, isCondition, NONE, percent } from "../format.js";
import { html } from "../html.js";
import { hashOf } from "../route.js";
import { Bar } from "./bars.js";
import { Table } from "./table.js";
import { Gain, Money, Tag } from "./values.js";

const LIMITS = {
  exposure: ["All positions", "Everything at risk, of equity"],
  market: ["Largest market", "The most in one market"],
  event: ["Largest event", "The most in one event"],
  category: ["Largest category", "The most in one category"],
  leader: ["Largest leader", "The most through one leader"],
  open_positions: ["Tokens held", "A token held through two leaders counts once"],
  daily_cash: ["Bought today", "Cash spent since 00:00 UTC"],
  hourly_fills: ["Fills this hour", "Paper fills since the full hour"],
  daily_loss: ["Loss today", "Opens the breaker; resets at 00:00 UTC"],
  weekly_loss: ["Loss this week", "Opens the breaker; resets on Monday"],
  drawdown: ["Drawdown", "Opens the breaker; reset by hand"],
};
/** From here on a limit is near. */
const NEAR = 0.8;

const inCash = (row) => row.used_micros !== undefined;
const usedOf = (row) => (inCash(row) ? row.used_micros : row.used);
const capOf = (row) => (inCash(row) ? row.max_micros : row.max);
const share = (row) => (capOf(row) > 0 ? usedOf(row) / capOf(row) : 0);

const LIMIT_COLUMNS = [
  { id: "limit", label: "Limit", cell: (row) => html`<span title=${LIMITS[row.limit]?.[1]}>${LIMITS[row.limit]?.[0] ?? row.limit}</span>` },
  { id: "used", label: "Used", numeric: true, cell: (row) => (inCash(row) ? html`<${Money} micros=${row.used_micros} />` : count(row.used)) },
  { id: "cap", label: "Cap", numeric: true, cell: (row) => (capOf(row) == null ? html`<span class="dim">none</span>` : inCash(row) ? html`<${Money} micros=${row.max_micros} />` : count(row.max)) },
  { id: "bar", label: "Use", cell: (row) => html`<${Use} row=${row} />` },
  { id: "share", label: "Of cap", numeric: true, cell: (row) => html`<${Share} row=${row} />` },
];

function Use({ row }) {
  const full = share(row) >= NEAR;
  return html`<${Bar} part=${usedOf(row)} whole=${capOf(row) ?? 0} tone=${full ? "warn" : "accent"} />`;
}

/** Words beside the colour: "near", "reached". */
function Share({ row }) {
  if (capOf(row) == null) return html`<span class="dim">${NONE}</span>`;
  const text = capOf(row) > 0 ? percent(usedOf(row), capOf(row), 0) : NONE;
  if (share(row) >= 1) return html`<${Tag} tone="alert" title="The limit is reached">${text} reached<//>`;
  return share(row) >= NEAR ? html`<${Tag} tone="warn" title="Close to the limit">${text} near<//>` : text;
}

/** Every risk limit: what is used of it. */
export function RiskTable({ limits }) {
  return html`<${Table} name="limits" caption="Risk limits" columns=${LIMIT_COLUMNS} rows=${limits} idOf=${(row) => row.limit} />`;
}

const KINDS = { markets: "Market", events: "Event", categories: "Category", leaders: "Leader" };

/** One kind of parts, largest first; `gains` are by name where they are known. */
export function ExposureTable({ kind, parts, total, gains = null, limit = 0 }) {
  const rows = limit ? parts.slice(0, limit) : parts;
  const columns = [
    { id: "part", label: KINDS[kind], cell: (row) => html`<${PartName} kind=${kind} part=${row} />` },
    { id: "cash", label: "At risk", numeric: true, cell: (row) => html`<${Money} micros=${row.cash_micros} />` },
    { id: "bar", label: "Of all", hint: "Part of everything at risk", cell: (row) => html`<${Bar} part=${row.cash_micros} whole=${total} />` },
    { id: "share", label: "%", numeric: true, cell: (row) => percent(row.cash_micros, total, 0) },
    ...(gains ? [{ id: "gain", label: "Gain", numeric: true, hint: "Unrealized, at the latest marks", cell: (row) => (gains.has(row.name) ? html`<${Gain} micros=${gains.get(row.name)} />` : NONE) }] : []),
  ];
  return html`<${Table}
    name=${`exposure table-exposure-${kind}`}
    caption=${`Exposure by ${KINDS[kind].toLowerCase()}`}
    columns=${columns}
    rows=${rows}
    idOf=${(row) => row.name}
    footnote=${parts.length > rows.length ? html`<footer class="panel-foot"><span class="dim">${count(parts.length - rows.length)} more, ${amount(parts.slice(rows.length).reduce((sum, row) => sum + row.cash_micros, 0))} at risk</span></footer>` : null}
  />`;
}

function PartName({ kind, part }) {
  const title = part.title || part.name || "not known";
  const text = html`<bdi class="clip part-name" title=${`${title}, ${exactAmount(part.cash_micros)}`}>${title}</bdi>`;
  if (kind === "leaders") return html`<a class="clip" href=${hashOf(["users", part.name])}>${text}</a>`;
  return kind === "markets" && isCondition(part.name) ? html`<a class="clip quiet-link" href=${hashOf(["markets", part.name])}>${text}</a>` : text;
}

/** Sums of a figure of positions by market or leader. */
export function sumsOf(positions, key, figure) {
  const sums = new Map();
  for (const position of positions) sums.set(position[key] ?? position.token_id, (sums.get(position[key] ?? position.token_id) ?? 0) + position[figure]);
  return sums;
}
