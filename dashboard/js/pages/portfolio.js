// The global portfolio: what it holds, where the risk is, and how near its limits.
import { CopyingControl } from "../components/control.js";
import { EquityPanel, spanOf } from "../components/equity.js";
import { ExposureTable, RiskTable, sumsOf } from "../components/exposure.js";
import { Choices } from "../components/field.js";
import { Figures } from "../components/figures.js";
import { Page } from "../components/page.js";
import { Freshness, Panel } from "../components/panel.js";
import { Portfolios } from "../components/portfolios.js";
import { Positions } from "../components/positions.js";
import { Age, Gain, Money } from "../components/values.js";
import { counted, count, fraction, NONE, percent, signedPercent } from "../format.js";
import { setQuery, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { globalPortfolio } from "../resources.js";
import { oneOf } from "../route.js";

const GLOBAL = "main/global";
const BLANK = html`<span class="dim">${NONE}</span>`;
const KINDS = [["markets", "Markets"], ["leaders", "Leaders"], ["categories", "Categories"], ["events", "Events"]];
const PARTS_SHOWN = 12;
const NONE_YET = html`<p><strong>There is no global portfolio yet.</strong> It opens with the first wallet that is followed, and copies every leader out of one purse.</p>`;

export function Portfolio({ query }) {
  const snapshot = useSnapshot(globalPortfolio());
  const { value } = snapshot;
  return html`<${Page} title="Global portfolio" sub=${value ? html`Marked <${Age} at=${value.prices_at} fallback="not yet" />${value.epoch > 1 ? `, epoch ${value.epoch}` : ""}. Amounts in USDC, on paper.` : null} tools=${html`<${CopyingControl} />`}>
    <${Headline} snapshot=${snapshot} />
    <div class="columns">
      <${EquityPanel} portfolioId=${GLOBAL} span=${spanOf(query)} title="Equity, drawdown, exposure" />
      <${Panel}
        id="limits"
        title="Risk limits"
        summary="What is used of each, at present prices."
        snapshot=${snapshot}
        loadingRows=${9}
        loadingLabel="Loading risk limits"
        absent=${NONE_YET}
      >
        ${value ? html`<${RiskTable} limits=${value.limits} />` : null}
      <//>
    </div>
    <${Exposure} snapshot=${snapshot} kind=${oneOf(query.by, KINDS.map(([kind]) => kind))} />
    <${Panel}
      id="positions"
      title="Positions"
      summary=${value ? `${counted(value.positions.length, "position")}${value.positions_more ? " and more" : ""}, largest first. A token held through two leaders is two positions.` : null}
      snapshot=${snapshot}
      loadingRows=${8}
      loadingLabel="Loading positions"
      absent=${NONE_YET}
      empty=${value && value.positions.length === 0 && html`<p><strong>Nothing is held.</strong> Positions appear with the first copied buy; every skipped one is explained under <a href="#/trades">trades</a>.</p>`}
    >
      ${value ? html`<${Positions} rows=${value.positions} more=${value.positions_more} />` : null}
    <//>
    <${Portfolios} />
  <//>`;
}

function Headline({ snapshot }) {
  const { value } = snapshot;
  const gain = (name, micros, whole, hint = "") => ({ name, hint, value: micros == null ? BLANK : html`<${Gain} micros=${micros} />`, note: micros == null ? "" : signedPercent(micros, whole) });
  const money = (micros) => (value ? html`<${Money} micros=${micros} />` : BLANK);
  const unrealized = value?.positions.reduce((sum, row) => sum + row.unrealized_micros, 0);
  return html`<div class="headline-row">
    <${Figures}
      label="The portfolio at a glance"
      figures=${[
        { name: "Equity", large: true, hint: "Cash plus positions at their marks", value: money(value?.equity_micros) },
        gain("Today", value?.today_micros, value?.equity_micros - value?.today_micros, "Since 00:00 UTC"),
        gain("7 days", value?.week_micros, value?.equity_micros - value?.week_micros, "Today and the six days before it, UTC"),
        gain("Since start", value?.gain_micros, value?.starting_cash_micros),
        { name: "Cash", hint: "Free and reserved", value: money(value?.cash_micros), note: value?.reserved_micros ? html`<${Money} micros=${value.reserved_micros} /> reserved` : "" },
        { name: "Positions", value: money(value?.positions_value_micros), note: value ? `${count(value.positions.length)} open, ${percent(value.positions_value_micros, value.equity_micros, 0)} of equity` : "" },
        { name: "Unrealized", value: value && !value.positions_more ? html`<${Gain} micros=${unrealized} />` : BLANK, note: value?.positions_more ? "not all positions known here" : "" },
        { name: "Drawdown", hint: "Below the highest equity so far", value: value?.drawdown_micros == null ? BLANK : money(value.drawdown_micros), note: value ? fraction(value.drawdown_fraction_micros) : "" },
        { name: "Win rate", value: value ? fraction(value.win_rate_micros) : BLANK, note: value?.closings ? `of ${count(value.closings)} closed` : "" },
      ]}
    />
    <div class="headline-state"><${Freshness} snapshot=${snapshot} /></div>
  </div>`;
}

function Exposure({ snapshot, kind }) {
  const { exposure, positions = [], positions_more: more } = snapshot.value ?? {};
  const key = { markets: "condition_id", leaders: "leader" }[kind];
  const gains = key && !more ? sumsOf(positions, key, "unrealized_micros") : null;
  return html`<${Panel}
    id="exposure"
    title="Exposure"
    summary=${exposure ? html`<${Money} micros=${exposure.total_micros} /> at risk: positions at their marks and what unfinished buys hold back.` : null}
    snapshot=${snapshot}
    loadingRows=${6}
    loadingLabel="Loading exposure"
    choices=${html`<${Choices} legend="Exposure by" name="by" value=${kind} options=${KINDS} onChange=${(by) => setQuery({ by: by === "markets" ? "" : by })} />`}
    absent=${NONE_YET}
    empty=${exposure && exposure.total_micros === 0 && html`<p><strong>Nothing is at risk.</strong> Everything is in cash.</p>`}
  >
    ${exposure ? html`<${ExposureTable} kind=${kind} parts=${exposure[kind]} total=${exposure.total_micros} gains=${gains} limit=${PARTS_SHOWN} />` : null}
  <//>`;
}
