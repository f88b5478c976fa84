import { count, latency, NONE } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { latency as latencies } from "../resources.js";
import { Panel } from "./panel.js";
import { Table } from "./table.js";

const STAGES = [
  ["chain", "Seen by chain", "First log of it, as the watcher received it"],
  ["api", "Seen by API", "First poll of the Data API that showed it"],
  ["first_seen", "First seen", "By whichever was first"],
  ["decided", "Decided", "The global portfolio's decision"],
  ["placed", "Placed", "The paper order reached the venue"],
  ["first_fill", "First fill", "The first paper fill"],
  ["done", "Done", "The paper order reached its end"],
];

const COLUMNS = [
  { id: "leader", label: "Leader", cell: (row) => (row.leader ? html`<bdi class="name" title=${row.leader_name}>${row.leader_name}</bdi>` : "All leaders") },
  ...STAGES.map(([stage, label, hint]) => ({
    id: `stage stage-${stage}`,
    label,
    numeric: true,
    hint,
    cell: (row) => html`<${Percentiles} figures=${row.stages.find((one) => one.stage === stage)} />`,
  })),
  { id: "who", label: "Chain / API first", numeric: true, hint: "Trades that each source saw first", cell: (row) => `${count(row.chain_first)} / ${count(row.api_first)}` },
];

/** The median large, the tail below it; all are upper bounds. */
function Percentiles({ figures }) {
  if (!figures?.count) return html`<span class="dim">${NONE}</span>`;
  return html`<span title=${`${count(figures.count)} measured`}>${latency(figures.p50_ms)}</span>
    <div class="sub">${latency(figures.p95_ms)} <span aria-hidden="true">·</span> ${latency(figures.p99_ms)}</div>`;
}

export function Latency() {
  const snapshot = useSnapshot(latencies());
  const { overall, leaders = [] } = snapshot.value ?? {};
  const measured = overall?.stages.some(({ count: seen }) => seen > 0);
  return html`<${Panel}
    id="latency"
    title="Latency"
    summary="Delay after the block's time over 24 hours: median, below it 95th · 99th percentile, each an upper bound within a quarter."
    snapshot=${snapshot}
    loadingRows=${3}
    loadingLabel="Loading latency"
    empty=${!measured && html`<p><strong>No delays measured yet.</strong> They are taken from judged trades: two minutes after its block, a trade's whole way from the chain to our paper order is counted.</p>`}
  >
    <${Table}
      name="latency"
      caption="Latency per leader"
      columns=${COLUMNS}
      rows=${overall ? [overall, ...leaders] : []}
      idOf=${(row) => row.leader ?? "overall"}
      rowClass=${(row) => (row.leader ? "" : "kind-global")}
    />
  <//>`;
}
