import { count, counted, exactAmount, exactTime, signedLatency } from "../format.js";
import { useFeed, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { overview, trades, tradesUrl } from "../resources.js";
import { FeedTable, NothingMatches } from "./feed-table.js";
import { Panel } from "./panel.js";
import { Hash, Market, Moment, Money, Price, Side, Tag } from "./values.js";

const STATES = {
  confirmed: { label: "confirmed", tone: "plain", hint: "Chain and Data API agree" },
  chain_only: { label: "chain only", tone: "quiet", hint: "The Data API has not shown it yet" },
  api_only: { label: "API only", tone: "quiet", hint: "No log of it has been seen yet" },
  disagreeing: { label: "disagreeing", tone: "warn", hint: "Chain and Data API state different amounts" },
  resolved: { label: "resolved", tone: "plain", hint: "The sources differed; the transaction's receipt settled it" },
  retracted: { label: "retracted", tone: "alert", hint: "Its block was dropped from the chain" },
};

const idOf = (trade) => trade.trade_id;

const COLUMNS = [
  { id: "time", label: "Time", hint: "Block time, UTC", cell: (row) => html`<${Moment} at=${row.ts_block} />` },
  { id: "leader", label: "Leader", cell: (row) => html`<bdi class="name" title=${row.leader_name}>${row.leader_name}</bdi>` },
  { id: "market", label: "Market", cell: (row) => html`<${Market} question=${row.question} outcome=${row.outcome} tokenId=${row.token_id} lifeCycle=${row.life_cycle} />` },
  { id: "side", label: "Side", cell: (row) => html`<${Side} side=${row.side} />` },
  { id: "shares", label: "Shares", numeric: true, cell: (row) => html`<${Money} micros=${row.shares_micros} />` },
  { id: "price", label: "Price", numeric: true, cell: (row) => html`<${Price} micros=${row.price_micros} />` },
  {
    id: "cash",
    label: "Cash",
    numeric: true,
    cell: (row) => html`<span title=${`${exactAmount(row.cash_micros)}, fee ${exactAmount(row.fee_micros)}`}><${Money} micros=${row.cash_micros} /></span>`,
  },
  { id: "role", label: "Role", cell: (row) => html`<span class="dim">${row.role ?? "unknown"}</span>` },
  { id: "seen", label: "First seen", hint: "Delay after the block's time, by each source", cell: (row) => html`<${Seen} trade=${row} />` },
  { id: "state", label: "State", cell: (row) => html`<${State} trade=${row} />` },
  { id: "tx", label: "Transaction", cell: (row) => html`<${Transaction} trade=${row} />` },
];

function Seen({ trade }) {
  return html`<div class="seen">
    <${Witness} name="chain" at=${trade.ts_seen_chain} trade=${trade} />
    <${Witness} name="api" at=${trade.ts_seen_api} trade=${trade} />
  </div>`;
}

function Witness({ name, at, trade }) {
  if (at == null) return html`<div class="dim">not seen by ${name}</div>`;
  const first = trade.first_source === name;
  return html`<div class=${first ? "first" : ""} title=${`Seen by ${name} ${exactTime(at)}`}>
    ${signedLatency(at - trade.ts_block)} ${name}${first ? html`<span class="first-mark"> first</span>` : null}
  </div>`;
}

function State({ trade }) {
  const { label, tone, hint } = STATES[trade.state] ?? { label: trade.state, tone: "quiet", hint: "" };
  return html`<${Tag} tone=${tone} title=${hint}>${label}<//>
    ${trade.backfill ? html`<div class="sub" title="Found while catching up; never copied">backfill</div>` : null}
    ${trade.not_copied ? html`<div class="sub not-copied" title=${trade.not_copied.text}>not copied: <code>${trade.not_copied.code}</code></div>` : null}`;
}

/** Where on the chain it stands; a trade that only the API knows has no block yet. */
function Transaction({ trade }) {
  const place = trade.block_number == null ? "no block known" : `${count(trade.block_number)} · log ${trade.log_index}`;
  const hashes = [trade.block_number != null && `Block ${trade.block_number}, log index ${trade.log_index}`, trade.block_hash && `Block ${trade.block_hash}`, trade.order_hash && `Order ${trade.order_hash}`].filter(Boolean);
  return html`<${Hash} value=${trade.tx_hash} what="transaction hash" />
    <div class="sub clip" title=${hashes.join("\n") || undefined}>${place}</div>`;
}

const NoFills = () =>
  html`<p><strong>No fills yet.</strong> When a followed wallet trades, its fill appears here a few seconds after its block: first from the chain, then confirmed by the Data API. A quiet wallet may not trade for hours.</p>`;

/** The latest fills; `leader` or `market` narrow them to a page's subject, `filter` to what a reader chose. */
export function Fills({ leader = "", market = "", title = "Latest fills", filter: chosen = null, tools = null, filtered = false }) {
  const filter = chosen ?? { leader, market };
  const snapshot = useSnapshot(trades(filter));
  const known = useSnapshot(overview());
  const feed = useFeed(snapshot, idOf, (cursor) => tradesUrl(filter, cursor));
  const counts = leader || market || filtered ? null : known.value?.counts;
  const nothing = filtered ? html`<${NothingMatches} what="fill" feed=${feed} />` : html`<${NoFills} />`;
  return html`<${Panel}
    id="fills"
    title=${title}
    summary=${counts ? `${counted(counts.trades, "trade")} by followed leaders. Times are UTC.` : null}
    snapshot=${snapshot}
    loadingRows=${8}
    loadingLabel="Loading fills"
    tools=${tools}
    empty=${feed.rows.length === 0 && nothing}
  >
    <${FeedTable} key=${snapshot.url} feed=${feed} name="fills" caption="Latest fills of the leaders" columns=${COLUMNS} idOf=${idOf} rowClass=${(row) => `state-${row.state}`} />
  <//>`;
}
