import { useState } from "preact/hooks";

import { serverNow } from "../clock.js";
import { count, counted, duration, exactTime, NONE } from "../format.js";
import { useFeed, useSnapshot, useTicking } from "../hooks.js";
import { html } from "../html.js";
import { completeness, completenessUrl, overview } from "../resources.js";
import { FeedTable } from "./feed-table.js";
import { Panel } from "./panel.js";
import { Table } from "./table.js";
import { Age, Tag } from "./values.js";

const HOUR_MS = 3_600_000;
const HOURS_SHOWN = 24;

/** Each kind of hour differs by its shape as well as by its colour. */
const KINDS = {
  trouble: "missed, counted twice or disputed",
  recovered: "complete, some seen late",
  live: "complete, all seen live",
  quiet: "no trades",
  unknown: "not measured",
};

const idOf = (row) => `${row.leader}#${row.ts_hour}`;

function kindOf(hour) {
  if (!hour) return "unknown";
  if (hour.missed || hour.duplicated || hour.disagreeing) return "trouble";
  if (hour.recovered) return "recovered";
  return hour.live ? "live" : "quiet";
}

/** "09:00", and the day before it when that is not today. */
function hourText(ts) {
  const iso = new Date(ts).toISOString();
  const today = iso.slice(0, 10) === new Date(serverNow()).toISOString().slice(0, 10);
  return today ? iso.slice(11, 16) : `${iso.slice(5, 10)} ${iso.slice(11, 16)}`;
}

function sentenceOf(hour) {
  const { live, recovered, missed, duplicated, disagreeing } = hour;
  const dispute = disagreeing ? `, ${disagreeing} disputed` : "";
  return `${live} live, ${recovered} recovered, ${missed} missed, ${duplicated} duplicated${dispute}`;
}

/** One cell per hour, the running one last. */
function Strip({ name, hours }) {
  const newest = useTicking(() => Math.floor(serverNow() / HOUR_MS) * HOUR_MS);
  const cells = Array.from({ length: HOURS_SHOWN }, (_, index) => {
    const ts = newest - (HOURS_SHOWN - 1 - index) * HOUR_MS;
    const hour = hours.get(ts);
    return { ts, hour, kind: kindOf(hour) };
  });
  const troubled = cells.filter(({ kind }) => kind === "trouble");
  const measured = cells.filter(({ hour }) => hour).length;
  const summary = troubled.length
    ? troubled.map(({ ts, hour }) => `${hourText(ts)}: ${sentenceOf(hour)}`).join("; ")
    : "nothing missed or counted twice";
  return html`<div class="strip" role="img" aria-label=${`${name}, ${counted(measured, "hour")} measured: ${summary}`}>
    ${cells.map(({ ts, hour, kind }) => html`<span key=${ts} class=${`hour hour-${kind}`} title=${`${hourText(ts)} UTC: ${hour ? sentenceOf(hour) : KINDS.unknown}`}></span>`)}
  </div>`;
}

/** A count that should be zero: marked by a frame and a word, not by colour alone. */
function Zero({ value, hint }) {
  return value ? html`<${Tag} tone="alert" title=${hint}>${count(value)}<//>` : html`<span class="dim">0</span>`;
}

const LEADER_COLUMNS = [
  { id: "leader", label: "Leader", cell: (row) => html`<bdi class="name" title=${row.name}>${row.name}</bdi>` },
  { id: "strip", label: "Last 24 hours", hint: "One cell per hour, the running one on the right", cell: (row) => html`<${Strip} name=${row.name} hours=${row.hours} />` },
  { id: "live", label: "Live", numeric: true, hint: "First seen within 60 s of the block", cell: (row) => count(row.sum?.live) },
  { id: "recovered", label: "Recovered", numeric: true, hint: "First seen later than that", cell: (row) => count(row.sum?.recovered) },
  { id: "missed", label: "Missed", numeric: true, hint: "In the venue's record and not, or not fully, here", cell: (row) => (row.sum ? html`<${Zero} value=${row.sum.missed} hint="Fetched again by itself" />` : NONE) },
  { id: "duplicated", label: "Duplicated", numeric: true, hint: "More shares here than in the venue's record", cell: (row) => (row.sum ? html`<${Zero} value=${row.sum.duplicated} />` : NONE) },
  { id: "disagreeing", label: "Disputed", numeric: true, hint: "Chain and Data API state different amounts for more than 2 min", cell: (row) => (row.sum ? html`<${Zero} value=${row.sum.disagreeing} />` : NONE) },
  { id: "unconfirmed", label: "Unconfirmed", numeric: true, hint: "Here, and not in the venue's record yet", cell: (row) => count(row.sum?.unconfirmed) },
  { id: "until", label: "Judged up to", numeric: true, hint: "Trades are judged two minutes after their block", cell: (row) => html`<${Age} at=${row.sum?.ts_until} fallback="not yet" />` },
];

const HOUR_COLUMNS = [
  { id: "hour", label: "Hour", hint: "UTC", cell: (row) => html`<span title=${exactTime(row.ts_hour)}>${hourText(row.ts_hour)}</span>` },
  { id: "leader", label: "Leader", cell: (row) => html`<bdi class="name" title=${row.leader_name}>${row.leader_name}</bdi>` },
  { id: "live", label: "Live", numeric: true, cell: (row) => count(row.live) },
  { id: "recovered", label: "Recovered", numeric: true, cell: (row) => count(row.recovered) },
  { id: "missed", label: "Missed", numeric: true, cell: (row) => html`<${Zero} value=${row.missed} />` },
  { id: "duplicated", label: "Duplicated", numeric: true, cell: (row) => html`<${Zero} value=${row.duplicated} />` },
  { id: "disagreeing", label: "Disputed", numeric: true, cell: (row) => html`<${Zero} value=${row.disagreeing} />` },
  { id: "unconfirmed", label: "Unconfirmed", numeric: true, cell: (row) => count(row.unconfirmed) },
  { id: "first", label: "Chain / API first", numeric: true, hint: "Who saw the trades first", cell: (row) => `${count(row.chain_first)} / ${count(row.api_first)}` },
  { id: "judged", label: "Judged", numeric: true, cell: (row) => html`<span class="dim">${row.ts_until - row.ts_from === HOUR_MS ? "whole hour" : duration(row.ts_until - row.ts_from)}</span>` },
];

function Legend() {
  return html`<ul class="legend" aria-hidden="true">
    ${Object.entries(KINDS).map(([kind, text]) => html`<li key=${kind}><span class=${`hour hour-${kind}`}></span> ${text}</li>`)}
  </ul>`;
}

/** Leaders as they stand in the overview, each with the hours of his that are known. */
function rowsOf(leaders, hours) {
  const known = new Map();
  for (const hour of hours) {
    if (!known.has(hour.leader)) known.set(hour.leader, new Map());
    known.get(hour.leader).set(hour.ts_hour, hour);
  }
  return leaders
    .filter(({ leader, state }) => state !== "off" || known.has(leader))
    .map(({ leader, name, completeness }) => ({ leader, name, sum: completeness, hours: known.get(leader) ?? new Map() }));
}

export function Completeness() {
  const snapshot = useSnapshot(completeness());
  const known = useSnapshot(overview());
  const feed = useFeed(snapshot, idOf, completenessUrl);
  const [open, setOpen] = useState(false);
  const rows = rowsOf(known.value?.leaders ?? [], feed.rows);
  return html`<${Panel}
    id="completeness"
    title="Completeness"
    summary="Every trade held against the venue's own record, two minutes after its block. Hours are UTC."
    snapshot=${snapshot}
    loadingRows=${3}
    loadingLabel="Loading completeness"
    empty=${feed.rows.length === 0 && html`<p><strong>Nothing measured yet.</strong> Some minutes after a leader is followed, each hour of his trades is compared with what the venue itself recorded: seen live, recovered, missed, counted twice.</p>`}
  >
    <${Table} name="completeness" caption="Completeness per leader" columns=${LEADER_COLUMNS} rows=${rows} idOf=${(row) => row.leader} />
    <${Legend} />
    <div class="fold">
      <button type="button" class="plain" aria-expanded=${open} onClick=${() => setOpen(!open)}>${open ? "Hide the hours" : "Hour by hour"}</button>
    </div>
    ${open ? html`<${FeedTable} feed=${feed} name="hours" caption="Completeness hour by hour" columns=${HOUR_COLUMNS} idOf=${idOf} />` : null}
  <//>`;
}
