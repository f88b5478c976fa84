import { useState } from "preact/hooks";

import { useChange } from "../change.js";
import { BookLadder } from "../components/book-ladder.js";
import { TextField } from "../components/field.js";
import { Figures } from "../components/figures.js";
import { changeList, Quote, Refusal, Worse } from "../components/market-parts.js";
import { Page } from "../components/page.js";
import { Panel } from "../components/panel.js";
import { SlippageStrip } from "../components/slippage-strip.js";
import { Table } from "../components/table.js";
import { Gain, Hash, LifeCycle, Moment, Money, Price, Side, Tag } from "../components/values.js";
import { serverNow } from "../clock.js";
import { amount, clockTime, count, counted, exactTime, NONE, price } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { market as marketOf, marketLists, overview } from "../resources.js";
import { hashOf } from "../route.js";

const FILLS_SHOWN = 12;
const CONDITION = /^0x[0-9a-f]{64}$/;

/** One market: its present books, our and the users' positions, how our fills fared, and its list. */
export function Market({ params }) {
  if (!CONDITION.test(params.market)) return html`<${Page} title="Market"><section class="panel"><p class="message"><strong>This is no market.</strong> The link may be incomplete. <a href="#/markets">All markets</a></p></section><//>`;
  return html`<${Known} condition=${params.market} />`;
}

function Known({ condition }) {
  const snapshot = useSnapshot(marketOf(condition));
  const { value } = snapshot;
  const heading = value ? html`<bdi>${value.question || condition}</bdi> <${LifeCycle} state=${value.life_cycle} /> <${Refusal} reason=${value.list_refusal} />` : null;
  return html`<${Page} title=${value?.question || "Market"} heading=${heading} sub=${html`<a href="#/markets">All markets</a>`}>
    ${value ? html`<${Figures} label="Terms of this market" figures=${termsOf(value)} />` : null}
    <div class="columns">
      <${Panel} id="books" title="Books" summary="Best ten levels of each side" snapshot=${snapshot} loadingRows=${10} loadingLabel="Loading this market" absent=${ABSENT}>
        ${value ? html`<div class="ladders">${value.books.map((book, index) => html`<${BookLadder} key=${book.token_id} book=${book} outcome=${value.outcomes[index]} />`)}</div>` : null}
      <//>
      ${value ? html`<${Listing} market=${value} />` : null}
    </div>
    ${value ? html`<${Held} snapshot=${snapshot} />` : null}
    ${value ? html`<${Fared} snapshot=${snapshot} />` : null}
  <//>`;
}

const ABSENT = html`<p><strong>This market is not known.</strong> It is learned when a followed user trades it.</p>`;

function termsOf(value) {
  const { resolution } = value;
  const decided = resolution.final ? `pays ${resolution.payouts_micros.map((paid) => price(paid).trim()).join(" / ")}` : value.accepting_orders ? "takes orders" : "takes no orders";
  return [
    { name: "State", value: decided, note: value.neg_risk ? "neg-risk" : "" },
    { name: "Category", value: value.category || NONE },
    { name: "Closes", value: value.closes_at ? html`<span title=${exactTime(value.closes_at)}>${clockTime(value.closes_at, serverNow())}</span>` : "not known" },
    { name: "Tick", value: price(value.tick_micros).trim() },
    { name: "Smallest order", value: amount(value.order_shares_min_micros), note: "shares" },
    { name: "Taker fee rate", hint: "Of the market's own schedule, before its curve", value: `${(value.fee_rate_micros / 10_000).toFixed(2)} %` },
    { name: "Venue's delay", value: value.delay_ms ? `${count(value.delay_ms)} ms` : "none" },
    { name: "We hold", value: value.shares_micros ? amount(value.value_micros) : "nothing", note: value.shares_micros ? "USDC" : "" },
  ];
}

/** Blacklist and whitelist, for this market and its category. */
function Listing({ market }) {
  const lists = useSnapshot(marketLists());
  const [note, setNote] = useState("");
  const change = useChange();
  const entries = lists.value?.entries ?? [];
  const whitelisted = entries.filter(({ listing }) => listing === "whitelist").length;
  const subjects = [
    { kind: "market", value: market.condition_id, name: "This market" },
    ...(market.category ? [{ kind: "category", value: market.category, name: `Category “${market.category}”` }] : []),
  ];
  const ask = (subject, listing, action) => change.run(`${subject.kind} ${listing}`, () => changeList({ action, listing, kind: subject.kind, value: subject.value, note: action === "add" ? note.trim() : "" }, subject.name));
  return html`<${Panel} id="listing" title="May it be copied?" snapshot=${lists} loadingRows=${3} loadingLabel="Loading the lists">
    <div class="panel-body">
      <p>${market.list_refusal === "MARKET_BLACKLISTED" ? "No position is opened: it is on the blacklist. Sells are still copied." : market.list_refusal === "NOT_WHITELISTED" ? "No position is opened: there is a whitelist, and it is not on it." : whitelisted ? "Yes: it is on the whitelist." : "Yes: it is on no blacklist, and there is no whitelist."}</p>
      <${TextField} label="Note, kept with the entry" name="note" maxlength="200" value=${note} onInput=${setNote} />
      <div class="list-actions">
        ${subjects.map((subject) => {
          const entry = entries.find(({ kind, value }) => kind === subject.kind && value === subject.value);
          return html`<div key=${subject.kind} class="list-row">
            <div><strong>${subject.name}</strong>${entry ? html` <${Tag} tone=${entry.listing === "blacklist" ? "warn" : "accent"}>${entry.listing}<//><div class="sub">by <bdi>${entry.by}</bdi>, <span title=${exactTime(entry.ts)}>${clockTime(entry.ts, serverNow())}</span>${entry.note ? html`: <bdi>${entry.note}</bdi>` : ""}</div>` : html`<div class="sub">on no list</div>`}</div>
            ${
              entry
                ? html`<button type="button" disabled=${Boolean(change.busy)} onClick=${() => ask(subject, entry.listing, "remove")}>${change.busy === `${subject.kind} ${entry.listing}` ? "Working" : "Take off"}<span class="unseen"> ${subject.name}</span></button>`
                : html`<span class="list-buttons">${["blacklist", "whitelist"].map((listing) => html`<button key=${listing} type="button" disabled=${Boolean(change.busy)} onClick=${() => ask(subject, listing, "add")}>${change.busy === `${subject.kind} ${listing}` ? "Working" : listing === "blacklist" ? "Blacklist" : "Whitelist"}<span class="unseen"> ${subject.name}</span></button>`)}</span>`
            }
          </div>`;
        })}
      </div>
      <p class="failed" role="alert">${change.failed?.text}</p>
    </div>
  <//>`;
}

const HELD_COLUMNS = [
  { id: "leader", label: "User", cell: (row) => html`<a class="name" href=${hashOf(["users", row.leader])}><bdi>${row.leader_name || row.leader}</bdi></a>` },
  { id: "portfolio", label: "Portfolio", cell: (row) => html`<${Whose} id=${row.portfolio_id} />` },
  { id: "outcome", label: "Outcome", cell: (row) => html`<bdi>${row.outcome}</bdi>` },
  { id: "shares", label: "Shares", numeric: true, cell: (row) => html`<${Money} micros=${row.shares_micros} />` },
  { id: "average", label: "Average", numeric: true, cell: (row) => html`<${Price} micros=${row.average_micros} />` },
  { id: "mark", label: "Mark", numeric: true, cell: (row) => html`<${Price} micros=${row.mark_micros} />` },
  { id: "value", label: "Value", numeric: true, cell: (row) => html`<${Money} micros=${row.value_micros} />` },
  { id: "unrealized", label: "Unrealized", numeric: true, cell: (row) => html`<${Gain} micros=${row.unrealized_micros} />` },
  { id: "realized", label: "Realized", numeric: true, cell: (row) => html`<${Gain} micros=${row.realized_micros} />` },
];

function Whose({ id }) {
  if (id.startsWith("shadow/")) return html`<${Tag} title="His own position">his own<//>`;
  return html`<${Tag} tone="plain" title="A copy of it">${id.includes("/leader/") ? "copy of him" : "global"}<//>`;
}

function Held({ snapshot }) {
  const rows = snapshot.value.positions;
  return html`<${Panel} id="held" title="Positions" summary="Of followed users and of our portfolios" snapshot=${snapshot} empty=${rows.length === 0 && html`<p><strong>Nobody holds it.</strong> Neither a followed user nor a portfolio of ours.</p>`}>
    <${Table} name="held" caption="Positions in this market" columns=${HELD_COLUMNS} rows=${rows} idOf=${(row) => `${row.portfolio_id} ${row.token_id} ${row.leader}`} />
  <//>`;
}

function Fared({ snapshot }) {
  const { fills, outcomes } = snapshot.value;
  const [shown, setShown] = useState(FILLS_SHOWN);
  const names = new Map((useSnapshot(overview()).value?.leaders ?? []).map((row) => [row.leader, row.name]));
  const outcomeOf = new Map(outcomes.map((each) => [each.token_id, each.outcome]));
  const columns = [
    { id: "time", label: "Decided", cell: (row) => html`<${Moment} at=${row.ts_decided} />` },
    { id: "leader", label: "User", cell: (row) => html`<bdi class="name">${names.get(row.leader) || row.leader}</bdi>` },
    { id: "portfolio", label: "Portfolio", cell: (row) => html`<${Whose} id=${row.portfolio_id} />` },
    { id: "side", label: "Side", cell: (row) => html`<${Side} side=${row.side} /> <bdi class="dim">${outcomeOf.get(row.token_id)}</bdi>` },
    { id: "shares", label: "Shares", numeric: true, cell: (row) => html`<${Money} micros=${row.shares_micros} />` },
    { id: "vwap", label: "VWAP", numeric: true, cell: (row) => html`<${Quote} micros=${row.vwap_micros} />` },
    { id: "vs-leader", label: "vs leader", numeric: true, hint: "What a share cost us more than him", cell: (row) => html`<${Worse} micros=${row.slippage_leader_micros} />` },
    { id: "vs-mid", label: "vs midpoint", numeric: true, hint: "Against the midpoint at the decision", cell: (row) => html`<${Worse} micros=${row.slippage_mid_micros} />` },
    { id: "vs-arrival", label: "vs arrival", numeric: true, hint: "Against the best price when the order arrived", cell: (row) => html`<${Worse} micros=${row.slippage_arrival_micros} />` },
  ];
  return html`<${Panel} id="fared" title="Our slippage here" summary=${fills.length ? `${counted(fills.length, "recent fill")}, newest first. A minus is worse for us, on either side.` : null} snapshot=${snapshot} empty=${fills.length === 0 && html`<p><strong>Nothing of ours was filled here lately.</strong></p>`}>
    <${SlippageStrip} fills=${fills} />
    <${Table} name="fared" caption="Our fills in this market" columns=${columns} rows=${fills.slice(0, shown).map((row, index) => ({ ...row, index }))} idOf=${(row) => row.index} />
    ${fills.length > shown ? html`<footer class="panel-foot"><span class="dim">${count(shown)} shown</span><button type="button" onClick=${() => setShown(fills.length)}>Show all ${count(fills.length)}</button></footer>` : null}
  <//>`;
}
