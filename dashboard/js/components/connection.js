// The bar at the foot of the window that says what cannot be loaded. It lies over the page, so that
// nothing moves when it comes or goes.
import { exactTime, duration, clockTime } from "../format.js";
import { serverNow } from "../clock.js";
import { useSnapshot, useTicking } from "../hooks.js";
import { html } from "../html.js";
import { sentenceOf } from "./panel.js";

const NAMES = { health: "health", overview: "portfolios and leaders", completeness: "completeness", latency: "latency", trades: "fills", attempts: "copy attempts" };

const LIST = new Intl.ListFormat("en");

export function ConnectionBar({ resources }) {
  const snapshots = Object.fromEntries(Object.keys(NAMES).map((name) => [name, useSnapshot(resources[name])]));
  const failing = Object.keys(NAMES).filter((name) => snapshots[name].error);
  const summary = failing.length ? `Cannot load ${LIST.format(failing.map((name) => NAMES[name]))}.` : "";
  return html`<div class="unseen" role="status">${summary}</div>
    ${failing.length ? html`<${Failures} summary=${summary} snapshots=${failing.map((name) => snapshots[name])} retry=${() => failing.forEach((name) => resources[name].pollNow())} />` : null}`;
}

function Failures({ summary, snapshots, retry }) {
  const errors = snapshots.map((snapshot) => snapshot.error);
  const sentences = [...new Set(errors.map(sentenceOf))];
  const since = Math.min(...errors.map((error) => error.since));
  const retryAt = Math.min(...errors.map((error) => error.retryAt));
  const failingFor = useTicking(() => duration(serverNow() - since));
  const next = useTicking(() => (retryAt - Date.now() < 1_000 ? "now" : `in ${duration(retryAt - Date.now())}`));
  return html`<div class="connection" role="region" aria-label="Connection problem">
    <p>
      <strong>${summary}</strong> ${sentences.join(" ")}
      <span class="since"> Since <time title=${exactTime(since)}>${clockTime(since, serverNow())}</time> (${failingFor}), trying again ${next}.</span>
    </p>
    <button type="button" onClick=${retry}>Try now</button>
  </div>`;
}
