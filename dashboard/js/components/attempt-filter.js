import { html } from "../html.js";

const DECISIONS = [
  ["", "All"],
  ["EXECUTE", "Executed"],
  ["SKIP", "Skipped"],
];

/** Portfolio and decision of the attempts to show. Shadows have no attempts and are not offered. */
export function AttemptFilter({ filter, setFilter, portfolios }) {
  return html`<form class="tools" aria-label="Filter copy attempts" onSubmit=${(event) => event.preventDefault()}>
    <label>
      <span>Portfolio</span>
      <select name="portfolio" value=${filter.portfolio} onChange=${(event) => setFilter({ portfolio: event.target.value })}>
        ${optionsOf(portfolios, filter.portfolio).map(([value, label]) => html`<option key=${value} value=${value} selected=${value === filter.portfolio}>${label}</option>`)}
      </select>
    </label>
    <fieldset>
      <legend>Decision</legend>
      <div class="choices">
        ${DECISIONS.map(
          ([value, label]) => html`<label key=${value}>
            <input type="radio" name="decision" value=${value} checked=${filter.decision === value} onChange=${() => setFilter({ decision: value })} />
            <span>${label}</span>
          </label>`,
        )}
      </div>
    </fieldset>
  </form>`;
}

/** The chosen portfolio is always among the options, even before the portfolios are known. */
function optionsOf(portfolios, chosen) {
  const options = [["", "All portfolios"]];
  for (const { kind, portfolio_id: id, leader_name: name } of portfolios) {
    if (kind === "global") options.splice(1, 0, [id, "Global"]);
    if (kind === "leader") options.push([id, `Only ${name}`]);
  }
  if (!options.some(([value]) => value === chosen)) options.push([chosen, chosen]);
  return options;
}
