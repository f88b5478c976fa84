import { useState } from "preact/hooks";

import { counted, exactTime, isCondition } from "../format.js";
import { html } from "../html.js";
import { hashOf } from "../route.js";
import { Table } from "./table.js";
import { Age, Gain, Market, Money, Price } from "./values.js";

/** Less than a share is what rounding leaves, and waits for the next sell. */
const DEBT_SHOWN_MICROS = 1_000_000;
const ROWS_FIRST = 15;
const ROWS_MORE = 50;

const COLUMNS = [
  { id: "market", label: "Market", cell: (row) => html`<${Subject} row=${row} />` },
  { id: "leader", label: "Leader", cell: (row) => html`<a class="name" href=${hashOf(["users", row.leader])} title=${row.leader_name || row.leader}><bdi>${row.leader_name || row.leader}</bdi></a>` },
  { id: "shares", label: "Shares", numeric: true, cell: (row) => html`<${Shares} row=${row} />` },
  { id: "average", label: "Average", numeric: true, hint: "Cost per share", cell: (row) => html`<${Price} micros=${row.average_micros} />` },
  { id: "mark", label: "Mark", numeric: true, hint: "What a share counts as now; without a mark, its cost", cell: (row) => html`<${Price} micros=${row.mark_micros} />` },
  { id: "value", label: "Value", numeric: true, cell: (row) => html`<${Money} micros=${row.value_micros} />` },
  { id: "unrealized", label: "Unrealized", numeric: true, cell: (row) => html`<${Gain} micros=${row.unrealized_micros} />` },
  { id: "realized", label: "Realized", numeric: true, hint: "Of this token so far", cell: (row) => html`<${Gain} micros=${row.realized_micros} />` },
  { id: "last", label: "Last change", numeric: true, cell: (row) => html`<span title=${exactTime(row.ts_last)}><${Age} at=${row.ts_last} /></span>` },
];

function Subject({ row }) {
  const market = html`<${Market} question=${row.question} outcome=${row.outcome} tokenId=${row.token_id} lifeCycle=${row.life_cycle} />`;
  return isCondition(row.condition_id) ? html`<a class="quiet-link" href=${hashOf(["markets", row.condition_id])}>${market}</a>` : market;
}

function Shares({ row }) {
  return html`<${Money} micros=${row.shares_micros} />
    ${row.exit_debt_micros >= DEBT_SHOWN_MICROS ? html`<div class="sub" title="The leader sold these and we could not yet"><${Money} micros=${row.exit_debt_micros} /> to sell</div>` : null}`;
}

/** Open positions, largest first; `more` says that the answer did not hold all of them. */
export function Positions({ rows, more = false, caption = "Open positions", withLeader = true }) {
  const [shown, setShown] = useState(ROWS_FIRST);
  const visible = rows.slice(0, shown);
  const rest = rows.length - visible.length;
  return html`<${Table}
    name="positions"
    caption=${caption}
    columns=${withLeader ? COLUMNS : COLUMNS.filter(({ id }) => id !== "leader")}
    rows=${visible}
    idOf=${(row) => `${row.token_id}#${row.leader}`}
    footnote=${html`<footer class="panel-foot">
      <span class="dim">${counted(visible.length, "position")} shown${rest ? "" : more ? ", the largest of more" : ", that is all of them"}</span>
      ${rest ? html`<button type="button" onClick=${() => setShown(shown + ROWS_MORE)}>Show ${Math.min(rest, ROWS_MORE)} more</button>` : null}
    </footer>`}
  />`;
}
