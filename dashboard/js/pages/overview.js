// How the global portfolio does, what works, and what just happened.
import { CopyingControl } from "../components/control.js";
import { EquityPanel, spanOf } from "../components/equity.js";
import { ExposureTable, sumsOf } from "../components/exposure.js";
import { Figures } from "../components/figures.js";
import { HealthStrip } from "../components/health.js";
import { Page } from "../components/page.js";
import { Freshness, Panel } from "../components/panel.js";
import { Table } from "../components/table.js";
import { Age, Gain, Money, Price, Side, Tag } from "../components/values.js";
import { amount, count, counted, exactTime, fraction, NONE, percent, signedPercent } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { globalPortfolio, live, pnl } from "../resources.js";
import { hashOf } from "../route.js";

const GLOBAL = "main/global";
const MARKETS_SHOWN = 6;
const LEADERS_SHOWN = 8;
const BLANK = html`<span class="dim">${NONE}</span>`;

export function Overview({ query }) {
  return html`<${Page} title="Overview" tools=${html`<${CopyingControl} />`}>
    <${Headline} />
    <${HealthStrip} />
    <div class="columns">
      <${EquityPanel} portfolioId=${GLOBAL} span=${spanOf(query)} />
      <${LatestTrades} />
    </div>
    <div class="columns columns-even">
      <${TopLeaders} />
      <${TopMarkets} />
    </div>
  <//>`;
}

function Headline() {
  const gains = useSnapshot(pnl());
  const portfolio = useSnapshot(globalPortfolio());
  const row = gains.value?.portfolios.find(({ kind }) => kind === "global");
  const { value } = portfolio;
  const equity = value?.equity_micros;
  const known = (figure, of = row) => (of && figure != null ? figure : null);
  const gain = (name, micros, whole, hint = "") => ({ name, hint, value: known(micros) === null ? BLANK : html`<${Gain} micros=${micros} />`, note: known(micros) === null ? "" : signedPercent(micros, whole) });
  return html`<div class="headline-row">
    <${Figures}
      label="Global portfolio at a glance"
      figures=${[
        { name: "Global equity", large: true, hint: "Cash plus positions at their marks", value: value ? html`<${Money} micros=${equity} />` : BLANK },
        gain("Today", row?.today_micros, equity - row?.today_micros, "Since 00:00 UTC"),
        gain("7 days", row?.week_micros, equity - row?.week_micros, "Today and the six days before it, UTC"),
        gain("Since start", row?.gain_micros, value?.starting_cash_micros),
        { name: "Drawdown", hint: "Below the highest equity so far", value: known(row?.drawdown_micros) === null ? BLANK : html`<${Money} micros=${row.drawdown_micros} />`, note: row ? fraction(row.drawdown_fraction_micros) : "" },
        { name: "Win rate", hint: "Of positions that were reduced or settled, those with a gain", value: row?.win_rate_micros == null ? BLANK : fraction(row.win_rate_micros), note: !row ? "" : row.closings ? `of ${count(row.closings)} closed` : "none closed yet" },
        { name: "Exposure", hint: "At risk in positions and resting orders", value: value ? html`<${Money} micros=${value.exposure.total_micros} />` : BLANK, note: value ? `${percent(value.exposure.total_micros, equity)} of equity` : "" },
        { name: "Open positions", value: value ? count(value.positions.length) + (value.positions_more ? "+" : "") : BLANK, note: value ? `${amount(value.cash_micros)} cash` : "" },
      ]}
    />
    <div class="headline-state"><${Freshness} snapshot=${value || portfolio.error ? portfolio : gains} /></div>
  </div>`;
}

const LEADER_COLUMNS = [
  { id: "leader", label: "Leader", cell: (row) => html`<a class="name" href=${hashOf(["users", row.leader])} title=${row.leader_name || row.leader}><bdi>${row.leader_name || row.leader}</bdi></a>` },
  { id: "today", label: "Today", numeric: true, hint: "His own paper portfolio, since 00:00 UTC", cell: (row) => gainOr(row.today_micros) },
  { id: "week", label: "7 days", numeric: true, hint: "His own paper portfolio, today and six days before", cell: (row) => gainOr(row.week_micros) },
  { id: "contributed", label: "In global", numeric: true, hint: "What his trades brought the global portfolio, before fees", cell: (row) => gainOr(row.contributed) },
  { id: "win", label: "Win rate", numeric: true, cell: (row) => html`<span title=${counted(row.closings, "closing")}>${fraction(row.win_rate_micros, 0)}</span>` },
  { id: "filled", label: "Filled", numeric: true, hint: "Of his executed copies in the global portfolio, those filled whole", cell: (row) => fraction(row.fill_rate, 0) },
];

const gainOr = (micros) => (micros == null ? html`<span class="dim">${NONE}</span>` : html`<${Gain} micros=${micros} />`);

/** Leaders by what copying each alone gained in seven days. */
function TopLeaders() {
  const snapshot = useSnapshot(pnl());
  const global = useSnapshot(globalPortfolio()).value;
  const parts = new Map((global?.leaders ?? []).map((part) => [part.leader, part]));
  const rows = (snapshot.value?.portfolios ?? [])
    .filter(({ kind }) => kind === "leader")
    .map((row) => ({ ...row, contributed: parts.get(row.leader)?.gain_before_fees_micros ?? null, fill_rate: parts.get(row.leader)?.rates?.fill_rate_micros ?? null }))
    .sort((a, b) => (b.week_micros ?? -Infinity) - (a.week_micros ?? -Infinity));
  return html`<${Panel}
    id="top-leaders"
    title="Top leaders"
    summary="By what copying each alone gained in 7 days."
    snapshot=${snapshot}
    loadingRows=${4}
    loadingLabel="Loading leaders"
    absent=${NOBODY}
    empty=${rows.length === 0 && NOBODY}
  >
    <${Table}
      name="top-leaders"
      caption="Top leaders"
      columns=${LEADER_COLUMNS}
      rows=${rows.slice(0, LEADERS_SHOWN)}
      idOf=${(row) => row.leader}
      footnote=${html`<footer class="panel-foot"><a href="#/users">All ${count(rows.length)} users</a></footer>`}
    />
  <//>`;
}

const NOBODY = html`<p><strong>No wallet is followed yet.</strong> <a href="#/users">Follow one</a> and its trades show up here within seconds of being made.</p>`;

function TopMarkets() {
  const snapshot = useSnapshot(globalPortfolio());
  const { exposure, positions = [] } = snapshot.value ?? {};
  return html`<${Panel}
    id="top-markets"
    title="Top markets"
    summary="By what is at risk in each."
    snapshot=${snapshot}
    loadingRows=${4}
    loadingLabel="Loading markets"
    absent=${NOTHING_HELD}
    empty=${exposure && exposure.markets.length === 0 && NOTHING_HELD}
  >
    ${exposure ? html`<${ExposureTable} kind="markets" parts=${exposure.markets} total=${exposure.total_micros} gains=${sumsOf(positions, "condition_id", "unrealized_micros")} limit=${MARKETS_SHOWN} />` : null}
  <//>`;
}

const NOTHING_HELD = html`<p><strong>Nothing is held.</strong> Markets appear here with the first copied trade.</p>`;

const TRADE_COLUMNS = [
  { id: "age", label: "Age", cell: (row) => html`<span title=${exactTime(row.ts_block)}><${Age} at=${row.ts_block} suffix="" /></span>` },
  { id: "who", label: "Leader", cell: (row) => html`<a class="name" href=${hashOf(["users", row.leader])} title=${row.leader_name}><bdi>${row.leader_name}</bdi></a>` },
  { id: "what", label: "Trade", cell: (row) => html`<${What} trade=${row} />` },
  { id: "price", label: "Price", numeric: true, cell: (row) => html`<${Price} micros=${row.price_micros} />` },
  { id: "cash", label: "Cash", numeric: true, cell: (row) => html`<${Money} micros=${row.cash_micros} />` },
];

function What({ trade }) {
  return html`<div class="clip" title=${`${trade.question}: ${trade.outcome}`}><${Side} side=${trade.side} /> <bdi>${trade.outcome || "unknown outcome"}</bdi>${trade.state === "retracted" ? html` <${Tag} tone="alert">retracted<//>` : null}</div>
    <div class="sub clip"><bdi>${trade.question || "Unknown market"}</bdi></div>`;
}

const TRADES_SHOWN = 10;

function LatestTrades() {
  const snapshot = useSnapshot(live());
  const rows = snapshot.value?.trades?.items ?? [];
  const { counts } = snapshot.value?.overview ?? {};
  return html`<${Panel}
    id="latest"
    title="Latest trades"
    summary=${counts ? `${count(counts.attempts)} copies tried, ${count(counts.skipped)} skipped` : null}
    snapshot=${snapshot}
    loadingRows=${8}
    loadingLabel="Loading trades"
    empty=${rows.length === 0 && html`<p><strong>No fills yet.</strong> When a followed wallet trades, its fill appears here a few seconds after its block. A quiet wallet may not trade for hours.</p>`}
  >
    <${Table}
      name="latest"
      caption="Latest trades of the leaders"
      columns=${TRADE_COLUMNS}
      rows=${rows.slice(0, TRADES_SHOWN)}
      idOf=${(row) => row.trade_id}
      rowClass=${(row) => `state-${row.state}`}
      footnote=${html`<footer class="panel-foot"><a href="#/trades">All trades and copy attempts</a></footer>`}
    />
  <//>`;
}
