import { count, direction, exactTime, NONE, signedPercent } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { overview } from "../resources.js";
import { hashOf } from "../route.js";
import { Panel } from "./panel.js";
import { Table } from "./table.js";
import { Gain, Money, Tag } from "./values.js";

const KINDS = { global: "all leaders", leader: "executable", shadow: "shadow" };
const KIND_HINTS = {
  global: "Copies every leader out of one purse",
  leader: "Copies this leader alone, under the guardrails",
  shadow: "The leader's own fills, replicated exactly",
};
const KIND_ORDER = ["global", "leader", "shadow"];

/**
 * What a portfolio gained since it was opened. A shadow opens with the leader's holdings and no cash,
 * so its equity is no gain; what it realized, is ahead by, and paid in fees is.
 */
export function gainOf(portfolio) {
  if (portfolio.starting_cash_micros !== 0) return portfolio.equity_micros - portfolio.starting_cash_micros;
  return portfolio.realized_micros + portfolio.unrealized_micros - portfolio.fees_micros;
}

/** Global first, then per leader his executable portfolio above his shadow. */
export function inReadingOrder(portfolios, leaders) {
  const position = new Map(leaders.map((leader, index) => [leader.leader, index]));
  const rank = (portfolio) => (portfolio.kind === "global" ? -1 : (position.get(portfolio.leader) ?? leaders.length));
  return [...portfolios].sort(
    (a, b) => rank(a) - rank(b) || KIND_ORDER.indexOf(a.kind) - KIND_ORDER.indexOf(b.kind),
  );
}

const COLUMNS = [
  { id: "portfolio", label: "Portfolio", cell: (row) => html`<${Name} portfolio=${row} />` },
  {
    id: "equity",
    label: "Equity",
    numeric: true,
    hint: "Cash plus positions at their marks",
    cell: (row) => html`<span title=${row.marked_at ? `Marked ${exactTime(row.marked_at)}` : "Not marked yet"}><${Money} micros=${row.equity_micros} /></span>`,
  },
  {
    id: "change",
    label: "Since start",
    numeric: true,
    hint: "Equity less starting cash; for a shadow realized plus unrealized less fees",
    cell: (row) => html`<${Gain} micros=${gainOf(row)} />`,
  },
  {
    id: "return",
    label: "Return",
    numeric: true,
    hint: "Gain since start as a part of starting cash; a shadow starts with none",
    cell: (row) => html`<${Return} portfolio=${row} />`,
  },
  { id: "cash", label: "Cash", numeric: true, cell: (row) => html`<${Cash} portfolio=${row} />` },
  { id: "positions", label: "Positions", numeric: true, hint: "Value of open positions at their marks", cell: (row) => html`<${Money} micros=${row.positions_value_micros} />` },
  { id: "realized", label: "Realized", numeric: true, cell: (row) => html`<${Gain} micros=${row.realized_micros} />` },
  { id: "unrealized", label: "Unrealized", numeric: true, cell: (row) => html`<${Gain} micros=${row.unrealized_micros} />` },
  { id: "fees", label: "Fees", numeric: true, cell: (row) => html`<${Money} micros=${row.fees_micros} />` },
  { id: "open", label: "Open", numeric: true, hint: "Open positions", cell: (row) => count(row.open_positions) },
];

function Name({ portfolio }) {
  const { kind, leader_name: leaderName, epoch } = portfolio;
  return html`<span class="portfolio-name">
    ${kind === "global" ? html`<bdi>Global</bdi>` : html`<a href=${hashOf(["users", portfolio.leader])}><bdi>${leaderName}</bdi></a>`}
    <${Tag} title=${KIND_HINTS[kind]}>${KINDS[kind] ?? kind}<//>
    ${epoch > 1 ? html`<${Tag} title="Opened again by a reset">epoch ${epoch}<//>` : null}
  </span>`;
}

function Return({ portfolio }) {
  const gain = gainOf(portfolio);
  const text = signedPercent(gain, portfolio.starting_cash_micros);
  return text ? html`<span class=${direction(gain)}>${text}</span>` : html`<span class="dim">${NONE}</span>`;
}

function Cash({ portfolio }) {
  const reserved = portfolio.reserved_micros > 0;
  return html`<span title=${reserved ? "Part of it is reserved for unfinished attempts" : undefined}>
    <${Money} micros=${portfolio.cash_micros} />
  </span>${reserved ? html`<div class="sub"><${Money} micros=${portfolio.reserved_micros} /> reserved</div>` : null}`;
}

export function Portfolios() {
  const snapshot = useSnapshot(overview());
  const { portfolios = [], leaders = [] } = snapshot.value ?? {};
  return html`<${Panel}
    id="portfolios"
    title="All portfolios"
    summary="The global one, and per leader his executable portfolio above his shadow."
    snapshot=${snapshot}
    loadingRows=${5}
    loadingLabel="Loading portfolios"
    empty=${portfolios.length === 0 && html`<p><strong>No portfolios yet.</strong> The global one opens when papercopy starts, one executable and one shadow portfolio with each wallet you follow.</p>`}
  >
    <${Table}
      name="portfolios"
      caption="Portfolios"
      columns=${COLUMNS}
      rows=${inReadingOrder(portfolios, leaders)}
      idOf=${(row) => `${row.portfolio_id}#${row.epoch}`}
      rowClass=${(row) => `kind-${row.kind}`}
    />
  <//>`;
}
