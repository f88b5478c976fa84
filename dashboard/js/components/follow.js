// Following somebody: looked up by address or name, shown, and only then followed.
import { useState } from "preact/hooks";

import { fetchJson, postJson, REQUEST_TIMEOUT_MS } from "../api.js";
import { useChange } from "../change.js";
import { amount, count, counted, duration, isAddress, NONE } from "../format.js";
import { goTo } from "../hooks.js";
import { html } from "../html.js";
import { previewUrl, refresh } from "../resources.js";
import { Bar } from "./bars.js";
import { TextField } from "./field.js";
import { Figures } from "./figures.js";
import { LeaderState } from "./leader-parts.js";
import { Skeleton, Table } from "./table.js";
import { toast } from "./toast.js";
import { Market, Moment, Money, Side, Wallet } from "./values.js";

const QUERY_LENGTH_MAX = 80;
const ROWS_SHOWN = 6;

/** The search and what it found. */
export function Follow() {
  const [text, setText] = useState("");
  const [found, setFound] = useState(null);
  const looking = useChange();
  const lookUp = async (asked) => {
    setFound(null);
    const answer = await looking.run(asked, () => fetchJson(previewUrl(asked), { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) }));
    if (answer) setFound({ ...answer.value, asked });
  };
  const search = (event) => {
    event.preventDefault();
    if (text.trim()) lookUp(text.trim());
  };
  const done = () => {
    setFound(null);
    setText("");
  };
  return html`<section class="panel panel-follow" aria-labelledby="follow-title">
    <header class="panel-head"><h2 id="follow-title">Follow a user</h2><p class="summary">Looked up at the venue first; nothing is stored before you follow.</p></header>
    <form class="follow-search" role="search" onSubmit=${search}>
      <${TextField} label="Wallet address or profile name" name="who" maxlength=${QUERY_LENGTH_MAX} value=${text} onInput=${setText} placeholder="0x… or a name" />
      <button type="submit" disabled=${!text.trim() || Boolean(looking.busy)}>${looking.busy ? "Looking" : "Look up"}</button>
    </form>
    <div aria-live="polite">
      ${looking.busy ? html`<${Skeleton} rows=${3} label="Looking him up at the venue" />` : null}
      ${looking.failed ? html`<p class="message failed" role="alert">Nobody was looked up. ${looking.failed.text}</p>` : null}
      ${found && !found.leader ? html`<p class="message"><strong>Nobody of that name.</strong> The venue knows no profile like “${found.asked}”; an address always works.</p>` : null}
      ${found?.leader ? html`<${Preview} key=${found.leader.wallet} found=${found} lookUp=${lookUp} done=${done} />` : null}
    </div>
  </section>`;
}

function Preview({ found, lookUp, done }) {
  const { leader, candidates } = found;
  const others = candidates.filter(({ wallet }) => wallet !== leader.wallet);
  const title = leader.name || leader.pseudonym || leader.wallet;
  return html`<div class="preview">
    <header class="preview-head">
      <h3><bdi>${title}</bdi> ${leader.state ? html`<${LeaderState} state=${leader.state} />` : null}</h3>
      <p class="sub">${leader.pseudonym && leader.pseudonym !== title ? html`<bdi>${leader.pseudonym}</bdi> · ` : ""}<${Wallet} address=${leader.wallet} /></p>
      ${others.length ? html`<p class="sub">Others of that name: ${others.map((each) => html` <button key=${each.wallet} type="button" class="inline" onClick=${() => lookUp(each.wallet)} title=${each.wallet}><bdi>${each.name || each.pseudonym || each.wallet}</bdi></button>`)}</p>` : null}
    </header>
    <${Figures} label="What he did lately" figures=${figuresOf(leader)} />
    <div class="preview-columns">
      <${Recent} activity=${leader.activity} />
      <${Holdings} holdings=${leader.holdings} />
      <div>
        <${Categories} categories=${leader.categories} />
        <${Estimate} copying=${leader.copying} />
      </div>
    </div>
    <${FollowForm} leader=${leader} done=${done} />
  </div>`;
}

function figuresOf({ activity, holdings, maker_share_micros: makers }) {
  const span = activity?.from == null ? "" : `in ${duration(activity.until - activity.from)}`;
  return [
    { name: "Trades", hint: "Of his latest activity", value: count(activity?.trades), note: span },
    { name: "Purchases", value: count(activity?.buys) },
    { name: "Volume", hint: "USDC", value: amount(activity?.cash_micros) },
    { name: "Median trade", hint: "USDC", value: amount(activity?.median_cash_micros) },
    { name: "Largest tenth from", hint: "90th percentile, USDC", value: amount(activity?.p90_cash_micros) },
    { name: "As maker", hint: "Part of his trades in which he was maker", value: makers == null ? NONE : `${Math.round(makers / 10_000)} %` },
    { name: "Holds", hint: "At the venue's prices, USDC", value: amount(holdings?.value_micros), note: holdings ? `${counted(holdings.count, "position")}${holdings.more ? " or more" : ""}` : "" },
  ];
}

const RECENT = [
  { id: "time", label: "Time", hint: "Block time, UTC", cell: (row) => html`<${Moment} at=${row.ts_block} />` },
  { id: "market", label: "Market", cell: (row) => html`<${Market} question=${row.question} outcome=${row.outcome} tokenId="" />` },
  { id: "side", label: "Side", cell: (row) => html`<${Side} side=${row.side} />` },
  { id: "cash", label: "Cash", numeric: true, cell: (row) => html`<${Money} micros=${row.cash_micros} />` },
];

function Recent({ activity }) {
  if (activity === null) return html`<${Silent} what="His latest trades" />`;
  const rows = activity.items.slice(0, ROWS_SHOWN).map((row, index) => ({ ...row, index }));
  if (!rows.length) return html`<section><h4>Latest trades</h4><p class="sub">He has not traded lately.</p></section>`;
  return html`<section><h4>Latest trades</h4><${Table} name="recent" caption="His latest trades" columns=${RECENT} rows=${rows} idOf=${(row) => row.index} /></section>`;
}

const HOLDINGS = [
  { id: "market", label: "Market", cell: (row) => html`<${Market} question=${row.question} outcome=${row.outcome} tokenId=${row.token_id} />` },
  { id: "shares", label: "Shares", numeric: true, cell: (row) => html`<${Money} micros=${row.shares_micros} />` },
  { id: "value", label: "Value", numeric: true, cell: (row) => html`<${Money} micros=${row.value_micros} />` },
];

function Holdings({ holdings }) {
  if (holdings === null) return html`<${Silent} what="What he holds" />`;
  if (!holdings.items.length) return html`<section><h4>Largest holdings</h4><p class="sub">He holds nothing.</p></section>`;
  return html`<section><h4>Largest holdings</h4><${Table} name="holdings" caption="His largest holdings" columns=${HOLDINGS} rows=${holdings.items.slice(0, ROWS_SHOWN)} idOf=${(row) => row.token_id} /></section>`;
}

function Categories({ categories }) {
  const whole = categories.reduce((sum, each) => sum + each.cash_micros, 0);
  if (!whole) return null;
  return html`<section><h4>By category</h4>
    <ul class="shares">
      ${categories.slice(0, ROWS_SHOWN).map(
        ({ category, cash_micros: cash }) => html`<li key=${category}><span><bdi>${category || "not known"}</bdi></span><${Bar} part=${cash} whole=${whole} /><span class="numeric">${Math.round((cash / whole) * 100)} %</span></li>`,
      )}
    </ul>
  </section>`;
}

function Estimate({ copying }) {
  if (!copying) return null;
  return html`<section><h4>What copying it would have cost</h4>
    <dl class="pairs">
      <dt>${counted(copying.buys, "purchase")} copied</dt><dd><${Money} micros=${copying.cash_micros} /></dd>
      <dt>taker fees</dt><dd><${Money} micros=${copying.fees_micros} /></dd>
      <dt>at worst, within the price guard</dt><dd><${Money} micros=${copying.guard_cost_micros} /></dd>
    </dl>
    <p class="sub">${copying.label}${copying.fees_unknown ? ` The fee of ${counted(copying.fees_unknown, "purchase")} is not known.` : ""}</p>
  </section>`;
}

function Silent({ what }) {
  return html`<section><p class="sub">${what} could not be read at the venue just now.</p></section>`;
}

function FollowForm({ leader, done }) {
  const [name, setName] = useState(leader.name || leader.pseudonym || "");
  const change = useChange();
  if (leader.state === "on") {
    return html`<div class="preview-foot"><span class="sub">He is followed already.</span><button type="button" onClick=${() => goTo(["users", leader.wallet])}>Show him</button></div>`;
  }
  const follow = async (event) => {
    event.preventDefault();
    const made = await change.run("follow", () => postJson("/api/users", { who: leader.wallet, name: name.trim() }));
    if (!made) return;
    toast(`${made.name || made.leader} is followed. His holdings are read next; copies begin with his next trade.`);
    refresh("/api/users", "/api/overview");
    done();
  };
  return html`<form class="preview-foot" onSubmit=${follow}>
    <${TextField} label="Name shown here" name="name" maxlength="80" value=${name} onInput=${setName} placeholder=${isAddress(leader.wallet) ? "as at the venue" : ""} />
    <button type="submit" class="button-primary" disabled=${Boolean(change.busy)}>${change.busy ? "Following" : leader.state ? "Follow again" : "Follow"}</button>
    <button type="button" onClick=${done} disabled=${Boolean(change.busy)}>Cancel</button>
    <p class="failed" role="alert">${change.failed?.text}</p>
  </form>`;
}
