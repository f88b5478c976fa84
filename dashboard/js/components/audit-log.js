import { useFeed, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { audit, auditUrl, overview } from "../resources.js";
import { FeedTable } from "./feed-table.js";
import { Panel } from "./panel.js";
import { Moment } from "./values.js";

const TEXT_LENGTH_MAX = 400;
const LINES_SHOWN = 3;
const idOf = (row) => row.id;

/** Who changed what, newest first. */
export function AuditLog() {
  const snapshot = useSnapshot(audit());
  const feed = useFeed(snapshot, idOf, auditUrl);
  const names = new Map((useSnapshot(overview()).value?.leaders ?? []).map((row) => [row.leader, row.name]));
  const columns = [
    { id: "time", label: "Time", hint: "UTC", cell: (row) => html`<${Moment} at=${row.ts} />` },
    { id: "actor", label: "Who", cell: (row) => html`<bdi>${row.actor}</bdi>` },
    { id: "action", label: "What", cell: (row) => html`<code>${row.action}</code>` },
    { id: "subject", label: "Of", cell: (row) => html`<bdi class="subject" title=${row.subject}>${named(row.subject, names)}</bdi>` },
    { id: "change", label: "Change", cell: (row) => html`<${Difference} row=${row} />` },
  ];
  return html`<${Panel} id="audit" title="Audit log" summary="Every change, kept for good" snapshot=${snapshot} loadingRows=${5} loadingLabel="Loading the audit log" empty=${feed.rows.length === 0 && html`<p><strong>Nothing was changed yet.</strong> Following, settings, lists, pauses and resets appear here.</p>`}>
    <${FeedTable} feed=${feed} name="audit" caption="Audit log" columns=${columns} idOf=${idOf} />
  <//>`;
}

const named = (subject, names) => [...names].reduce((text, [address, name]) => (name ? text.replaceAll(address, name) : text), subject);

/** What differs between before and after, entry by entry where both are objects. */
function Difference({ row }) {
  const lines = differences(row);
  if (!lines.length) return html`<span class="dim">–</span>`;
  const first = lines.slice(0, LINES_SHOWN);
  const rest = lines.slice(LINES_SHOWN);
  return html`<${Lines} lines=${first} />${rest.length ? html`<details class="more-lines"><summary>${rest.length} more</summary><${Lines} lines=${rest} /></details>` : null}`;
}

function Lines({ lines }) {
  return html`<ul class="differences">
    ${lines.map(({ name, before, after }) => html`<li key=${name}>${name ? html`<code>${name}</code> ` : null}${before === null ? null : html`<del><bdi>${before}</bdi></del>`}${before !== null && after !== null ? html`<span class="dim" aria-label="to"> → </span>` : null}${after === null ? html`${before === null ? "–" : ""}` : html`<bdi>${after}</bdi>`}</li>`)}
  </ul>`;
}

function differences({ before, after }) {
  const [was, is] = [parsed(before), parsed(after)];
  const entries = (value) => (value !== null && typeof value === "object" ? value : null);
  if (!entries(was ?? is ?? null) || (was !== null && !entries(was)) || (is !== null && !entries(is))) {
    return before || after ? [{ name: "", before: before ? clipped(before) : null, after: after ? clipped(after) : null }] : [];
  }
  const names = [...new Set([...Object.keys(was ?? {}), ...Object.keys(is ?? {})])];
  const changed = names.filter((name) => JSON.stringify(was?.[name]) !== JSON.stringify(is?.[name]));
  return changed.map((name) => ({ name: Array.isArray(was ?? is) ? "" : name, before: textOf(was?.[name]), after: textOf(is?.[name]) }));
}

function parsed(text) {
  if (!text) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const textOf = (value) => (value === undefined ? null : clipped(typeof value === "object" ? JSON.stringify(value) : String(value)));
const clipped = (text) => (text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text);
