import { count } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { Panel } from "./panel.js";
import { Table } from "./table.js";
import { Age, Money, Tag, Wallet } from "./values.js";

const STATES = {
  on: { label: "on", tone: "plain", hint: "Buys and sells are copied" },
  sell_only: { label: "sell only", tone: "warn", hint: "Only reductions are copied" },
  off: { label: "off", tone: "quiet", hint: "Not followed" },
};

const COLUMNS = [
  { id: "leader", label: "Leader", cell: (row) => html`<${Identity} leader=${row} />` },
  { id: "state", label: "State", cell: (row) => html`<${State} state=${row.state} />` },
  { id: "trades", label: "Trades", numeric: true, cell: (row) => count(row.trades) },
  { id: "last", label: "Last trade", numeric: true, cell: (row) => html`<${Age} at=${row.last_trade_at} fallback="none yet" />` },
  {
    id: "equity",
    label: "Shadow equity",
    numeric: true,
    hint: "Equity of the exact replica of his fills",
    cell: (row) => html`<${Money} micros=${row.shadow?.equity_micros} />`,
  },
];

function Identity({ leader }) {
  const more = (leader.wallets?.length ?? 1) - 1;
  return html`<bdi class="name" title=${leader.name}>${leader.name}</bdi>
    <div class="sub clip">
      <${Wallet} address=${leader.leader} />
      ${more > 0 ? html`<span title=${leader.wallets.join("\n")}> +${more}<span class="unseen"> more wallets</span></span>` : null}
    </div>`;
}

function State({ state }) {
  const { label, tone, hint } = STATES[state] ?? { label: state, tone: "quiet", hint: "" };
  return html`<${Tag} tone=${tone} title=${hint}>${label}<//>`;
}

export function Leaders({ resources }) {
  const snapshot = useSnapshot(resources.overview);
  const { portfolios = [], leaders = [] } = snapshot.value ?? {};
  const shadows = new Map(portfolios.filter(({ kind }) => kind === "shadow").map((row) => [row.leader, row]));
  return html`<${Panel}
    id="leaders"
    title="Leaders"
    snapshot=${snapshot}
    loadingRows=${4}
    loadingLabel="Loading leaders"
    empty=${leaders.length === 0 && html`<p><strong>No wallet is followed yet.</strong> Follow one and its trades show up here within seconds of being made.</p>`}
  >
    <${Table}
      name="leaders"
      caption="Followed leaders"
      columns=${COLUMNS}
      rows=${leaders.map((leader) => ({ ...leader, shadow: shadows.get(leader.leader) }))}
      idOf=${(row) => row.leader}
    />
  <//>`;
}
