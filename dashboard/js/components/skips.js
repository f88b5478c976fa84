// Reasons by how often they kept a signal from being copied, and what that gave up.
import { count, counted, NONE, percent } from "../format.js";
import { html } from "../html.js";
import { Bar } from "./bars.js";
import { Table } from "./table.js";
import { Gain } from "./values.js";

/** Which look back is shown when there are several: the latest that there is. */
const HORIZONS = ["settlement", "24h", "1h"];

/** What the skipped signals of one reason would have earned, at the longest horizon that has any. */
function forgoneOf(forgone, code) {
  const found = forgone.filter((cell) => cell.reason === code && !cell.alone && cell.signals > cell.unvalued);
  return HORIZONS.map((horizon) => found.find((cell) => cell.horizon === horizon)).find(Boolean) ?? found.at(-1) ?? null;
}

/** `skips` are `{code, text, count}`; `forgone` and `unjudged` are the skip ledger's. */
export function SkipTable({ skips, total, forgone, unjudged = 0 }) {
  const rows = skips.map((skip) => ({ ...skip, forgone: forgoneOf(forgone, skip.code) }));
  const columns = [
    { id: "reason", label: "Reason", cell: (row) => html`<div>${row.text}</div><code class="sub">${row.code}</code>` },
    { id: "count", label: "Skipped", numeric: true, cell: (row) => count(row.count) },
    { id: "bar", label: "Of all", hint: "Part of the skipped signals", cell: (row) => html`<${Bar} part=${row.count} whole=${total} />` },
    { id: "share", label: "%", numeric: true, cell: (row) => percent(row.count, total, 0) },
    { id: "forgone", label: "Would have gained", numeric: true, hint: "What these signals would have earned, had they been copied; below zero is what the rule saved", cell: (row) => html`<${Forgone} cell=${row.forgone} />` },
  ];
  return html`<${Table} name="skips" caption="Why signals were not copied" columns=${columns} rows=${rows} idOf=${(row) => row.code} footnote=${unjudged ? html`<footer class="panel-foot"><span class="dim">${counted(unjudged, "skip")} since the epoch began are not judged: the order that each would have been is not known.</span></footer>` : null} />`;
}

function Forgone({ cell }) {
  if (!cell) return html`<span class="dim" title="Not looked back at yet">${NONE}</span>`;
  return html`<${Gain} micros=${cell.gain_micros} />
    <div class="sub" title=${`${counted(cell.signals, "signal")} since the epoch began, ${count(cell.unfilled)} of them would not have been filled${cell.estimated ? `, ${count(cell.estimated)} were valued without a recorded book` : ""}`}>${cell.horizon === "settlement" ? "at settlement" : `after ${cell.horizon}`}</div>`;
}
