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
  {
    id: "trades",
    label: "Trades",
    numeric: true,
    hint: "Trades since he is followed, and the age of the last one",
    cell: (row) => html`${count(row.trades)}<div class="sub"><${Age} at=${row.last_trade_at} fallback="none yet" /></div>`,
  },
  {
    id: "equity",
    label: "Shadow equity",
    numeric: true,
    hint: "Equity of the exact replica of his fills",
    cell: (row) => html`<${Money} micros=${row.shadow?.equity_micros} />`,
  },
  {
    id: "agreed",
    label: "Positions",
    numeric: true,
    hint: "When his positions here last equalled those the venue reports",
    cell: (row) => html`<${Agreement} leader=${row} />`,
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

const LIFE_CYCLE_REASONS = new Set(["MARKET_CLOSED", "MARKET_CLOSES_SOON"]);

/** What the end of a market's life kept from being copied, per leader, of the attempts at hand. */
function NotCopyable({ leaders, lately }) {
  const found = leaders.filter(({ leader }) => lately.get(leader)?.lifeCycle);
  if (!found.length) return null;
  return html`<footer class="panel-foot">
    <span class="dim" title="Skipped because the market was closed, halted or about to close; of the copy attempts loaded below">
      Not copyable by life cycle, of the latest attempts:
      ${found.map(({ leader, name }, index) => html`<span key=${leader}>${index ? ", " : " "}<bdi>${name}</bdi> ${count(lately.get(leader).lifeCycle)} of ${count(lately.get(leader).all)}</span>`)}
    </span>
  </footer>`;
}

/** Per leader, of the attempts that are on screen anyway. */
function latelyOf(attempts) {
  const found = new Map();
  for (const { leader, reasons } of attempts) {
    const figures = found.get(leader) ?? { all: 0, lifeCycle: 0 };
    figures.all += 1;
    figures.lifeCycle += reasons.length > 0 && reasons.every(({ code }) => LIFE_CYCLE_REASONS.has(code)) ? 1 : 0;
    found.set(leader, figures);
  }
  return found;
}

function Agreement({ leader }) {
  const { positions_agreed_at: agreedAt, positions_checked_at: checkedAt, positions_differing: differing } = leader;
  if (checkedAt == null) return html`<span class="dim">not compared</span>`;
  if (!differing && agreedAt != null) return html`agree<div class="sub"><${Age} at=${agreedAt} /></div>`;
  return html`<${Tag} tone="warn" title="Tokens of which the venue reports another amount">${differing ? `${count(differing)} differ` : "unsettled"}<//>
    <div class="sub"><${Age} at=${agreedAt} suffix=" since agreed" fallback="never agreed" /></div>`;
}

function State({ state }) {
  const { label, tone, hint } = STATES[state] ?? { label: state, tone: "quiet", hint: "" };
  return html`<${Tag} tone=${tone} title=${hint}>${label}<//>`;
}

export function Leaders({ resources }) {
  const snapshot = useSnapshot(resources.overview);
  const { portfolios = [], leaders = [] } = snapshot.value ?? {};
  const lately = latelyOf(useSnapshot(resources.attempts).value?.items ?? []);
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
      footnote=${html`<${NotCopyable} leaders=${leaders} lately=${lately} />`}
    />
  <//>`;
}
