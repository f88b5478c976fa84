import { useChange } from "../change.js";
import { Choices } from "../components/field.js";
import { MoreRows } from "../components/leaders.js";
import { changeList, Depth, Lines, OwnSlippage, Quote, Refusal, Spread, STATUSES } from "../components/market-parts.js";
import { Page } from "../components/page.js";
import { Panel } from "../components/panel.js";
import { Table } from "../components/table.js";
import { Age, LifeCycle, Money, Tag } from "../components/values.js";
import { serverNow } from "../clock.js";
import { clockTime, count, exactTime, NONE } from "../format.js";
import { setQuery, useFeed, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { markets, marketLists, marketsUrl } from "../resources.js";
import { hashOf, oneOf } from "../route.js";

const CHOICES = [
  ["", "All"],
  ["held", "Held"],
  ["listed", "Listed"],
  ["followed", "Followed"],
];

const idOf = (row) => row.condition_id;

function columnsWith(change, entries) {
  return [
    { id: "market", label: "Market", cell: (row) => html`<${Name} row=${row} />` },
    { id: "outcome", label: "Outcome", cell: (row) => html`<${Lines} outcomes=${row.outcomes} of=${({ outcome }) => html`<bdi>${outcome || NONE}</bdi>`} />` },
    { id: "bid", label: "Bid", numeric: true, cell: (row) => html`<${Lines} outcomes=${row.outcomes} of=${({ bid_micros: bid }) => html`<${Quote} micros=${bid} />`} />` },
    { id: "ask", label: "Ask", numeric: true, cell: (row) => html`<${Lines} outcomes=${row.outcomes} of=${({ ask_micros: ask }) => html`<${Quote} micros=${ask} />`} />` },
    { id: "spread", label: "Spread", numeric: true, cell: (row) => html`<${Lines} outcomes=${row.outcomes} of=${({ spread_micros: spread }) => html`<${Spread} micros=${spread} />`} />` },
    { id: "buy-depth", label: "Buy depth", numeric: true, hint: "Shares offered between the best ask and our limit", cell: (row) => html`<${Lines} outcomes=${row.outcomes} of=${({ buy_depth_micros: depth }) => html`<${Depth} micros=${depth} />`} />` },
    { id: "sell-depth", label: "Sell depth", numeric: true, hint: "Shares bid between the best bid and our limit", cell: (row) => html`<${Lines} outcomes=${row.outcomes} of=${({ sell_depth_micros: depth }) => html`<${Depth} micros=${depth} />`} />` },
    {
      id: "own",
      label: "Our slippage",
      numeric: true,
      hint: "Number of our recent fills, and what a share cost us more than the leader on average",
      cell: (row) => html`<${Lines} outcomes=${row.outcomes} of=${({ own_fills: fills, own_slippage_micros: micros }) => html`<${OwnSlippage} fills=${fills} micros=${micros} />`} />`,
    },
    { id: "value", label: "We hold", numeric: true, hint: "Value at the marks, all executable portfolios", cell: (row) => (row.shares_micros ? html`<${Money} micros=${row.value_micros} />` : html`<span class="dim">${NONE}</span>`) },
    { id: "leaders", label: "Users", numeric: true, hint: "Followed users in it, and the age of their last trade", cell: (row) => html`${count(row.leaders)}<div class="sub"><${Age} at=${row.last_trade_at} fallback="no trade lately" /></div>` },
    { id: "list", label: "List", cell: (row) => html`<${Toggle} row=${row} change=${change} entries=${entries} />` },
  ];
}

function Name({ row }) {
  const { label, tone, hint } = STATUSES[row.status];
  return html`<a class="market" href=${hashOf(["markets", row.condition_id])} title=${row.question}><bdi>${row.question || row.condition_id}</bdi></a>
    <div class="sub clip">
      <${Tag} tone=${tone} title=${hint}>${label}<//> <${Refusal} reason=${row.list_refusal} /> <${LifeCycle} state=${row.life_cycle} />
      <span> <bdi>${row.category || "no category"}</bdi>${row.closes_at ? html` · <span title=${exactTime(row.closes_at)}>closes ${clockTime(row.closes_at, serverNow())}</span>` : ""}</span>
    </div>`;
}

function Toggle({ row, change, entries }) {
  const entry = entries.find(({ kind, value }) => kind === "market" && value === row.condition_id);
  const under = change.busy === row.condition_id;
  const on = entry?.listing;
  const ask = on ? { action: "remove", listing: on } : { action: "add", listing: "blacklist" };
  const act = () => change.run(row.condition_id, () => changeList({ ...ask, kind: "market", value: row.condition_id }, "The market"));
  return html`<button type="button" class="row-action" disabled=${Boolean(change.busy)} onClick=${act}>${under ? "Working" : on ? `Off the ${on}` : "Blacklist"}<span class="unseen"> ${row.question}</span></button>
    ${change.failed?.key === row.condition_id ? html`<div class="sub failed" role="alert">${change.failed.text}</div>` : null}`;
}

/** Markets that concern us, each beside its present book. */
export function Markets({ query }) {
  const status = oneOf(query.status, CHOICES.map(([value]) => value));
  const snapshot = useSnapshot(markets({ status }));
  const feed = useFeed(snapshot, idOf, (cursor) => marketsUrl({ status }, cursor));
  const entries = useSnapshot(marketLists()).value?.entries ?? [];
  const change = useChange();
  const empty = status
    ? html`<p><strong>No market is ${status === "followed" ? "merely followed" : status}.</strong> <button type="button" onClick=${() => setQuery({ status: "" })}>Show all</button></p>`
    : html`<p><strong>No market concerns us yet.</strong> One appears here when a followed user trades it, when we hold it, or when it is put on a list.</p>`;
  return html`<${Page} title="Markets" sub="What we hold, what is on a list, and what followed users trade, each with its present book.">
    <${Panel}
      id="markets"
      title="Markets"
      summary="Prices per share, depth in shares within our limits"
      snapshot=${snapshot}
      loadingRows=${8}
      loadingLabel="Loading markets"
      tools=${html`<div class="tools"><${Choices} legend="Why it is here" name="status" value=${status} options=${CHOICES} onChange=${(value) => setQuery({ status: value })} /></div>`}
      empty=${feed.rows.length === 0 && empty}
    >
      <${Table} name="markets" caption="Markets" columns=${columnsWith(change, entries)} rows=${feed.rows} idOf=${idOf} footnote=${html`<${MoreRows} feed=${feed} />`} />
    <//>
  <//>`;
}
