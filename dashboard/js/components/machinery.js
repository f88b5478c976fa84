// What lives, what waits, what failed and how much is stored: the parts of the system's answer.
import { count, counted, duration, exactTime, NONE } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { system } from "../resources.js";
import { REASONS } from "../reasons.js";
import { hashOf } from "../route.js";
import { Panel } from "./panel.js";
import { Table } from "./table.js";
import { Age, Tag } from "./values.js";

const bytes = (value) => {
  const units = ["B", "KB", "MB", "GB", "TB"];
  const power = Math.min(units.length - 1, Math.max(0, Math.floor(Math.log10(Math.max(1, value)) / 3)));
  const scaled = value / 1_000 ** power;
  return `${power ? scaled.toFixed(scaled < 10 ? 1 : 0) : scaled} ${units[power]}`;
};

/** What is wrong now, said first. */
export function Errors() {
  const snapshot = useSnapshot(system());
  const errors = snapshot.value?.errors ?? [];
  return html`<${Panel} id="errors" title="Errors now" summary=${errors.length ? counted(errors.length, "error") : null} snapshot=${snapshot} loadingRows=${2} loadingLabel="Loading errors" empty=${errors.length === 0 && html`<p><strong>Nothing is wrong.</strong> Sources, ledgers and queues report no error.</p>`}>
    <ul class="error-list">${errors.map(({ where, detail }) => html`<li key=${where}><strong><bdi>${where}</bdi></strong> <span><bdi>${detail || "no reason was given"}</bdi></span></li>`)}</ul>
  <//>`;
}

/** Queues, dead letters, events, polls, backfill and ledgers as figures. */
export function Work() {
  const snapshot = useSnapshot(system());
  const { value } = snapshot;
  return html`<${Panel} id="work" title="Work and freshness" snapshot=${snapshot} loadingRows=${4} loadingLabel="Loading the system">
    ${
      value
        ? html`<dl class="facts-grid">
            <${Fact} name="Fills queued" note="waiting for ingest">${count(value.queues.fills)}<//>
            <${Fact} name="Dead letters" note=${value.queues.dead ? "given up after every retry; kept with payload and error" : "nothing was given up"} warn=${value.queues.dead > 0}>${count(value.queues.dead)}<//>
            <${Fact} name="Refused payloads" note="could not be read; kept with their error" warn=${value.queues.failures > 0}>${count(value.queues.failures)}<//>
            <${Fact} name="Last leader event" note="from the chain"><${Age} at=${value.last_event_at} fallback="none yet" /><//>
            <${Fact} name="Last poll" note="of the Data API"><${Age} at=${value.last_poll_at} fallback="none yet" /><//>
            <${Fact} name="Backfills open" note=${value.backfills.open ? html`from <${Age} at=${value.backfills.oldest_from} />` : "no gap is open"} warn=${value.backfills.open > 0}>${count(value.backfills.open)}<//>
            <${Fact} name="Purchases held back" note=${value.blocking.length ? value.blocking.map((code) => html`<code key=${code} title=${REASONS[code]}>${code}</code> `) : "no source keeps anything from being bought"} warn=${value.blocking.length > 0}>${value.blocking.length ? "yes" : "no"}<//>
            <${Fact} name="Ledgers" note=${html`${counted(value.ledgers.checked, "ledger")} folded, oldest check <${Age} at=${value.ledgers.oldest_check_at} fallback="none yet" />`} warn=${value.ledgers.wrong > 0}>${value.ledgers.checked === 0 ? "not checked" : value.ledgers.wrong ? `${count(value.ledgers.wrong)} differ` : "agree"}<//>
          </dl>`
        : null
    }
  <//>`;
}

function Fact({ name, note, warn = false, children }) {
  return html`<div class=${warn ? "level-warn" : ""}><dt>${name}</dt><dd class="reading">${warn ? html`<span class="lamp" aria-hidden="true"></span>` : null}${children}</dd><dd class="sub">${note}</dd></div>`;
}

const SOURCE_NAMES = {
  watcher: "Chain watcher",
  data_api: "Data API",
  books: "Order books",
  registry: "Market registry",
  completeness: "Completeness",
  ledgers: "Ledger check",
  breakers: "Breakers",
  sweeper: "Sweeper",
  marks: "Marks",
  settings: "Settings",
};

const SOURCE_COLUMNS = [
  { id: "source", label: "Source", cell: (row) => html`<span title=${row.source}>${SOURCE_NAMES[row.source] ?? row.source}</span>` },
  { id: "state", label: "State", cell: (row) => (row.up ? html`<${Tag} tone="plain">up<//>` : html`<${Tag} tone="alert">down<//>`) },
  { id: "at", label: "Last sign", numeric: true, hint: "Of life, by the server's clock", cell: (row) => html`<span title=${exactTime(row.at)}>${duration(row.silent_ms)} ago</span>` },
  { id: "connected", label: "Connected", numeric: true, cell: (row) => html`<${Age} at=${row.connected_at} suffix="" />` },
  { id: "event", label: "Last event", numeric: true, cell: (row) => html`<${Age} at=${row.last_event_at} />` },
  { id: "block", label: "Last block", numeric: true, cell: (row) => (row.last_block == null || row.last_block_at == null ? NONE : html`${count(row.last_block)}<div class="sub"><${Age} at=${row.last_block_at} /></div>`) },
  { id: "detail", label: "Says", cell: (row) => html`<bdi class="dim">${row.detail || NONE}</bdi>` },
];

/** Every source's and schedule's last sign of life, the watcher's sockets among them. */
export function Sources() {
  const snapshot = useSnapshot(system());
  const rows = [...(snapshot.value?.sources ?? [])].sort((a, b) => Number(a.up) - Number(b.up));
  return html`<${Panel} id="sources" title="Sources and schedules" summary="Sockets, polls and every job that runs by itself" snapshot=${snapshot} loadingRows=${5} loadingLabel="Loading sources" empty=${rows.length === 0 && html`<p><strong>Nothing has reported yet.</strong> The watcher and the schedules report within a minute of their start.</p>`}>
    <${Table} name="sources" caption="Sources and schedules" columns=${SOURCE_COLUMNS} rows=${rows} idOf=${(row) => row.source} />
  <//>`;
}

const GAP_COLUMNS = [
  { id: "leader", label: "User", cell: (row) => html`<a class="name" href=${hashOf(["users", row.leader])}><bdi>${row.leader_name || row.leader}</bdi></a>` },
  { id: "from", label: "From", numeric: true, cell: (row) => html`<${Age} at=${row.ts_from} />` },
  { id: "span", label: "Span", numeric: true, cell: (row) => duration(Math.max(0, row.ts_until - row.ts_from)) },
  { id: "reason", label: "Why", cell: (row) => html`<bdi>${row.reason}</bdi>` },
];

/** Times whose fills are being fetched later; what is found there is never copied. */
export function Backfills() {
  const snapshot = useSnapshot(system());
  const { items = [], open = 0 } = snapshot.value?.backfills ?? {};
  return html`<${Panel} id="backfills" title="Backfill" summary=${open > items.length ? `${items.length} of ${open} shown` : null} snapshot=${snapshot} loadingRows=${2} loadingLabel="Loading backfills" empty=${items.length === 0 && html`<p><strong>No gap is open.</strong> Every user's history is read up to now.</p>`}>
    <${Table} name="backfills" caption="Open backfills" columns=${GAP_COLUMNS} rows=${items} idOf=${(row) => `${row.leader} ${row.ts_from}`} />
  <//>`;
}

const SIZE_COLUMNS = [
  { id: "table", label: "Table", cell: (row) => row.table },
  { id: "items", label: "Items", numeric: true, cell: (row) => (row.items == null ? html`<span class="dim">not counted</span>` : count(row.items)) },
  { id: "bytes", label: "Size", numeric: true, cell: (row) => html`<span title=${`${count(row.bytes)} bytes`}>${bytes(row.bytes)}</span>` },
];

/** What is stored. */
export function Sizes() {
  const snapshot = useSnapshot(system());
  const rows = snapshot.value?.sizes ?? [];
  return html`<${Panel} id="sizes" title="Stored" snapshot=${snapshot} loadingRows=${3} loadingLabel="Loading sizes" empty=${rows.length === 0 && html`<p><strong>Sizes are not known.</strong> They are asked for now and then.</p>`}>
    <${Table} name="sizes" caption="Sizes of the tables" columns=${SIZE_COLUMNS} rows=${rows} idOf=${(row) => row.table} />
  <//>`;
}
