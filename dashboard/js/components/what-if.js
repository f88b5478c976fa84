// What the last hours would have been under the settings typed: nothing is stored or traded.
import { useState } from "preact/hooks";

import { postJson } from "../api.js";
import { useChange } from "../change.js";
import { serverNow } from "../clock.js";
import { clockTime, count, counted } from "../format.js";
import { setQuery, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { configTest, overview } from "../resources.js";
import { REASONS } from "../reasons.js";
import { labelOf, readable } from "../settings.js";
import { Select } from "./field.js";
import { sentenceOf } from "./panel.js";
import { Skeleton, Table } from "./table.js";
import { Gain } from "./values.js";

const JOB = /^[0-9]{13}-[0-9a-f]{32}$/;
const HOURS = [
  ["6", "6 hours"],
  ["24", "24 hours"],
  ["72", "3 days"],
  ["168", "7 days"],
];

/** `changes` are those of the form, not saved; `query.test` names the test that is shown. */
export function WhatIf({ scope, changes, fields, wrong, query }) {
  const [hours, setHours] = useState("24");
  const [tested, setTested] = useState(null);
  const change = useChange();
  const job = JOB.test(query.test ?? "") ? query.test : "";
  const amount = Object.keys(changes).length;
  const start = async () => {
    const made = await change.run("test", () => postJson("/api/config/test", { scope, changes, hours: Number(hours) }));
    if (!made) return;
    setTested({ job: made.job, changes });
    setQuery({ test: made.job });
  };
  return html`<section class="panel panel-whatif" aria-labelledby="whatif-title">
    <header class="panel-head"><h2 id="whatif-title">Test before saving</h2></header>
    <div class="panel-body">
      <p class="sub">Plays the recorded past again, once as it was and once under what is typed here and not saved. Nothing is stored, no portfolio moves. At most 5,000 groups.</p>
      <div class="whatif-ask">
        <${Select} label="Last" name="hours" value=${hours} options=${HOURS} onChange=${setHours} />
        <button type="button" disabled=${!amount || wrong || Boolean(change.busy)} onClick=${start}>${change.busy ? "Asking" : "Test"}</button>
      </div>
      ${amount ? html`<p class="sub">With ${counted(amount, "change")}: ${Object.keys(changes).map(labelOf).join(", ")}.</p>` : html`<p class="sub">Change a setting first; the test compares with what is in force.</p>`}
      ${change.failed ? html`<p class="failed" role="alert">The test did not start. ${change.failed.said}</p>` : null}
      <div aria-live="polite">${job ? html`<${Verdict} key=${job} job=${job} tested=${tested?.job === job ? tested.changes : null} now=${changes} fields=${fields} />` : null}</div>
    </div>
  </section>`;
}

function Verdict({ job, tested, now, fields }) {
  const { value, error } = useSnapshot(configTest(job));
  const names = new Map((useSnapshot(overview()).value?.portfolios ?? []).map((row) => [row.portfolio_id, row.kind === "global" ? "Global" : `Only ${row.leader_name}`]));
  const [chosen, setChosen] = useState("main/global");
  if (!value) return error ? html`<p class="failed">${error.status === 404 ? "This test is not kept any more." : sentenceOf(error)}</p>` : html`<${Skeleton} rows=${3} label="Reading the test" />`;
  if (value.state === "failed") return html`<p class="failed" role="alert">The test failed: ${value.error ?? "no reason was given"}.</p>`;
  if (value.state !== "done") return html`<p role="status">${value.state === "queued" ? "Waiting to be played" : "Playing"} the last ${counted(value.hours, "hour")}, twice.</p>`;
  const { result } = value;
  const rows = [...result.portfolios].sort((a, b) => rankOf(a) - rankOf(b));
  const shown = rows.find(({ portfolio_id: id }) => id === chosen) ?? rows[0];
  return html`<div class="verdict-box">
    <p class="sub">${counted(result.groups, "group")} from ${clockTime(result.ts_from, serverNow())} to ${clockTime(result.ts_until, serverNow())}${result.cut ? ", a shorter time than asked for: there were more groups than a test plays" : ""}.</p>
    ${tested ? html`<p class="sub">Tested: ${Object.entries(tested).map(([name, given]) => changeText(fields, name, given)).join("; ")}.</p>` : html`<p class="sub">Started earlier; which changes it tested is in the audit log.</p>`}
    ${tested && JSON.stringify(tested) !== JSON.stringify(now) ? html`<p class="failed">What is typed now is something else. Test again to see what they do.</p>` : null}
    ${
      result.groups === 0
        ? html`<p><strong>Nothing happened in that time.</strong> There was no group to decide on; choose a longer time.</p>`
        : html`<${Table} name="whatif" caption="Before and after, per portfolio" columns=${columnsWith(names)} rows=${rows} idOf=${(row) => row.portfolio_id} />
            <${Select} label="Reasons in" name="whatif-portfolio" value=${shown.portfolio_id} options=${rows.map((row) => [row.portfolio_id, names.get(row.portfolio_id) ?? row.portfolio_id])} onChange=${setChosen} />
            <${Reasons} before=${shown.before.reasons} after=${shown.after.reasons} />`
    }
  </div>`;
}

const rankOf = ({ portfolio_id: id }) => (id.endsWith("/global") ? 0 : 1);

function changeText(fields, name, given) {
  const field = fields.find((each) => each.name === name);
  return `${labelOf(name)} ${given === null ? "reset" : field ? readable(field, given) : given}`;
}

const columnsWith = (names) => [
  { id: "portfolio", label: "Portfolio", cell: (row) => html`<bdi>${names.get(row.portfolio_id) ?? row.portfolio_id}</bdi>` },
  { id: "executed", label: "Executed", numeric: true, cell: (row) => html`<${Moved} before=${row.before.executed} after=${row.after.executed} />` },
  { id: "skipped", label: "Skipped", numeric: true, cell: (row) => html`<${Moved} before=${row.before.skipped} after=${row.after.skipped} />` },
  { id: "filled", label: "Filled", numeric: true, cell: (row) => html`<${Moved} before=${row.before.filled} after=${row.after.filled} />` },
  {
    id: "pnl",
    label: "Gain",
    numeric: true,
    hint: "What the period brought, fees included, at the latest marks",
    cell: (row) => html`<${Gain} micros=${row.after.pnl} /><div class="sub">was <${Gain} micros=${row.before.pnl} /></div>`,
  },
];

function Moved({ before, after }) {
  return html`${count(after)}<div class="sub">${before === after ? "as before" : html`was ${count(before)}`}</div>`;
}

const REASON_COLUMNS = [
  { id: "code", label: "Reason", cell: ({ code }) => html`<code title=${REASONS[code]}>${code}</code>` },
  { id: "before", label: "Before", numeric: true, cell: ({ before }) => count(before) },
  { id: "after", label: "After", numeric: true, cell: ({ after }) => count(after) },
];

function Reasons({ before, after }) {
  const counts = new Map();
  for (const [code, times] of before) counts.set(code, { code, before: times, after: 0 });
  for (const [code, times] of after) counts.set(code, { code, before: 0, ...counts.get(code), after: times });
  const rows = [...counts.values()].sort((a, b) => Math.abs(b.after - b.before) - Math.abs(a.after - a.before) || b.after - a.after);
  if (!rows.length) return html`<p class="sub">No skip and no early end, before or after.</p>`;
  return html`<${Table} name="whatif-reasons" caption="Reasons before and after" columns=${REASON_COLUMNS} rows=${rows} idOf=${(row) => row.code} />`;
}
