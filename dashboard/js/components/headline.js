import { count, signedPercent } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { gainOf } from "./portfolios.js";
import { Gain, Money } from "./values.js";

/** The global portfolio and the day's work in a handful of figures. */
export function Headline({ resources }) {
  const { value } = useSnapshot(resources.overview);
  const global = value?.portfolios.find(({ kind }) => kind === "global");
  const counts = value?.counts ?? {};
  const blank = html`<span class="dim">–</span>`;
  return html`<section class="headline" aria-label="Global portfolio at a glance">
    <dl>
      <${Figure} name="Global equity" large>${global ? html`<${Money} micros=${global.equity_micros} />` : blank}<//>
      <${Figure} name="Since start">
        ${global ? html`<${Gain} micros=${gainOf(global)} note=${signedPercent(gainOf(global), global.starting_cash_micros)} />` : blank}
      <//>
      <${Figure} name="Realized">${global ? html`<${Gain} micros=${global.realized_micros} />` : blank}<//>
      <${Figure} name="Unrealized">${global ? html`<${Gain} micros=${global.unrealized_micros} />` : blank}<//>
      <${Figure} name="Leader trades">${count(counts.trades)}<//>
      <${Figure} name="Copy attempts">${count(counts.attempts)}<//>
      <${Figure} name="Executed">${count(counts.executed)}<//>
      <${Figure} name="Skipped">${count(counts.skipped)}<//>
    </dl>
  </section>`;
}

function Figure({ name, large = false, children }) {
  return html`<div class=${large ? "figure figure-large" : "figure"}>
    <dt>${name}</dt>
    <dd>${children}</dd>
  </div>`;
}
