import { useState } from "preact/hooks";

import { postJson } from "../api.js";
import { useChange } from "../change.js";
import { count, signedPercent } from "../format.js";
import { setQuery, useFeed, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { attempts, refresh, users, usersUrl } from "../resources.js";
import { hashOf, oneOf } from "../route.js";
import { Confirm } from "./confirm.js";
import { Choices } from "./field.js";
import { Agreement, Identity, LeaderState } from "./leader-parts.js";
import { Panel, sentenceOf } from "./panel.js";
import { gainOf } from "./portfolios.js";
import { Table } from "./table.js";
import { toast } from "./toast.js";
import { Age, Gain, Money, Tag } from "./values.js";

const STATES = [
  ["", "All"],
  ["on", "On"],
  ["sell_only", "Sell only"],
  ["off", "Off"],
];

const idOf = (row) => row.leader;

/** Columns, with the control that switches a user on and off. */
function columnsWith(switching) {
  return [
    { id: "leader", label: "User", cell: (row) => html`<${Identity} leader=${row} />` },
    { id: "state", label: "State", cell: (row) => html`<${Standing} leader=${row} />` },
    {
      id: "trades",
      label: "Trades",
      numeric: true,
      hint: "Trades since he is followed, and the age of the last one",
      cell: (row) => html`${count(row.trades)}<div class="sub"><${Age} at=${row.last_trade_at} fallback="none yet" /></div>`,
    },
    {
      id: "shadow",
      label: "Shadow gain",
      numeric: true,
      hint: "What he made himself since he is followed: the exact replica of his fills, realized plus unrealized less fees",
      cell: (row) => html`<${Result} portfolio=${row.shadow} />`,
    },
    {
      id: "copy",
      label: "Our gain",
      numeric: true,
      hint: "What copying him alone made on paper, under the guardrails, of its starting cash",
      cell: (row) => html`<${Result} portfolio=${row.copy} />`,
    },
    { id: "held", label: "Held", numeric: true, hint: "Value of open positions: his, and ours of him", cell: (row) => html`<${HeldValues} row=${row} />` },
    { id: "agreed", label: "Positions", numeric: true, hint: "When his positions here last equalled those the venue reports", cell: (row) => html`<${Agreement} leader=${row} />` },
    { id: "settings", label: "Rules", hint: "How he is copied", cell: (row) => html`<a href=${hashOf(["config", row.leader])}>Settings<span class="unseen"> of ${row.name}</span></a>` },
    { id: "switch", label: "Copy", cell: (row) => html`<${Switch} leader=${row} switching=${switching} />` },
  ];
}

function Standing({ leader }) {
  return html`<${LeaderState} state=${leader.state} />
    ${leader.settings_refused ? html`<div class="sub"><${Tag} tone="alert" title=${leader.settings_refused}>settings unusable<//></div>` : null}
    ${leader.state === "on" && !leader.copying && !leader.settings_refused ? html`<div class="sub" title="The setting “copying” is off for him: only his sells are followed">buys switched off</div>` : null}`;
}

function Result({ portfolio }) {
  if (!portfolio) return html`<span class="dim">not open</span>`;
  const gain = gainOf(portfolio);
  return html`<${Gain} micros=${gain} note=${signedPercent(gain, portfolio.starting_cash_micros)} />
    <div class="sub">equity <${Money} micros=${portfolio.equity_micros} /></div>`;
}

function HeldValues({ row }) {
  return html`<${Money} micros=${row.shadow?.positions_value_micros} /><div class="sub">ours <${Money} micros=${row.copy?.positions_value_micros} /></div>`;
}

function Switch({ leader, switching }) {
  const { busy, failed, ask } = switching;
  const on = leader.state === "on";
  const under = busy === leader.leader;
  const verb = on ? "Stop" : leader.state === "off" ? "Follow again" : "Copy again";
  return html`<button type="button" class="row-action" disabled=${Boolean(busy)} onClick=${() => ask(leader)}>${under ? "Working" : verb}<span class="unseen"> ${leader.name}</span></button>
    ${failed?.key === leader.leader ? html`<div class="sub failed" role="alert">${failed.text}</div>` : null}`;
}

const LIFE_CYCLE_REASONS = new Set(["MARKET_CLOSED", "MARKET_CLOSES_SOON"]);

/** What the end of a market's life kept from being copied, per user, of the attempts at hand. */
function NotCopyable({ leaders, lately }) {
  const found = leaders.filter(({ leader }) => lately.get(leader)?.lifeCycle);
  if (!found.length) return null;
  return html`<footer class="panel-foot">
    <span class="dim" title="Skipped because the market was closed, halted or about to close; of the latest copy attempts">
      Not copyable by life cycle, of the latest attempts:
      ${found.map(({ leader, name }, index) => html`<span key=${leader}>${index ? ", " : " "}<bdi>${name}</bdi> ${count(lately.get(leader).lifeCycle)} of ${count(lately.get(leader).all)}</span>`)}
    </span>
  </footer>`;
}

/** Per user, of the newest attempts. */
function latelyOf(rows) {
  const found = new Map();
  for (const { leader, reasons } of rows) {
    const figures = found.get(leader) ?? { all: 0, lifeCycle: 0 };
    figures.all += 1;
    figures.lifeCycle += reasons.length > 0 && reasons.every(({ code }) => LIFE_CYCLE_REASONS.has(code)) ? 1 : 0;
    found.set(leader, figures);
  }
  return found;
}

const SAID = {
  on: "is copied again.",
  sell_only: "is sell only: his sells are still copied until nothing of him is held.",
  off: "is off: nothing of him is held.",
};

/** Followed users, what they made and what copying them made; each can be stopped and started. */
export function Leaders({ query }) {
  const state = oneOf(query.state, STATES.map(([value]) => value));
  const snapshot = useSnapshot(users({ state }));
  const feed = useFeed(snapshot, idOf, (cursor) => usersUrl({ state }, cursor));
  const lately = latelyOf(useSnapshot(attempts()).value?.items ?? []);
  const change = useChange();
  const [stopping, setStopping] = useState(null);

  const turn = async (leader, wanted) => {
    const after = await postJson(`/api/users/${leader.leader}/state`, { state: wanted });
    toast(`${leader.name} ${SAID[after.state] ?? after.state}`);
    await refresh("/api/users", "/api/overview");
    return after;
  };
  const ask = (leader) => (leader.state === "on" ? setStopping(leader) : change.run(leader.leader, () => turn(leader, "on")));

  const empty = state
    ? html`<p><strong>Nobody is in this state.</strong> <button type="button" onClick=${() => setQuery({ state: "" })}>Show all</button></p>`
    : html`<p><strong>No wallet is followed yet.</strong> Look somebody up above and follow him: his trades show up here within seconds of being made.</p>`;
  return html`<${Panel}
      id="leaders"
      title="Followed users"
      summary="What each made himself, and what copying him on paper made. USDC."
      snapshot=${snapshot}
      loadingRows=${4}
      loadingLabel="Loading followed users"
      tools=${html`<div class="tools"><${Choices} legend="State" name="state" value=${state} options=${STATES} onChange=${(value) => setQuery({ state: value })} /></div>`}
      empty=${feed.rows.length === 0 && empty}
    >
      <${Table}
        name="leaders"
        caption="Followed users"
        columns=${columnsWith({ busy: change.busy, failed: change.failed, ask })}
        rows=${feed.rows}
        idOf=${idOf}
        footnote=${html`<${NotCopyable} leaders=${feed.rows} lately=${lately} /><${MoreRows} feed=${feed} />`}
      />
    <//>
    ${
      stopping
        ? html`<${Confirm} title=${`Stop copying ${stopping.name}?`} confirm="Stop copying" busy="Stopping" act=${() => turn(stopping, "off")} close=${() => setStopping(null)}>
            <p>No new position is opened. While anything of him is held he is <strong>sell only</strong>: his sells are still copied, so that nothing is left behind. Then he is off.</p>
            <p>His trades and portfolios are kept, and he can be followed again at any time.</p>
          <//>`
        : null
    }`;
}

/** The way to rows behind the first page. */
export function MoreRows({ feed }) {
  if (!feed.hasOlder && !feed.older.error) return null;
  return html`<footer class="panel-foot">
    ${feed.older.error ? html`<span class="failed" role="alert">More rows did not load: ${sentenceOf({ ...feed.older.error, title: feed.older.error.message })}</span>` : html`<span class="dim">${count(feed.rows.length)} shown</span>`}
    <button type="button" disabled=${feed.older.busy} onClick=${feed.fetchOlder}>${feed.older.busy ? "Loading" : "Show more"}</button>
  </footer>`;
}
