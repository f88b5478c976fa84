// The bar at the foot of the window that says what cannot be loaded. It lies over the page, so that
// nothing moves when it comes or goes.
import { useEffect, useState } from "preact/hooks";

import { polling } from "../api.js";
import { serverNow } from "../clock.js";
import { clockTime, duration, exactTime } from "../format.js";
import { useTicking } from "../hooks.js";
import { html } from "../html.js";
import { sentenceOf } from "./panel.js";

const NAMES_MAX = 6;
const LIST = new Intl.ListFormat("en");
/** The resource is not there, or not for this question: the panel says so, and the connection is fine. */
const ANSWERED = [400, 404];

const isFailing = ({ snapshot: { error } }) => error && !ANSWERED.includes(error.status);

/** The named pollers at work that fail, as they come and go. */
function useFailing() {
  const [failing, setFailing] = useState([]);
  useEffect(() => {
    let known = [];
    const follow = () => {
      const now = [...polling.pollers].filter((poller) => poller.name && isFailing(poller));
      const same = now.length === known.length && now.every((poller, index) => poller === known[index].poller && poller.snapshot.error === known[index].error);
      if (same) return;
      known = now.map((poller) => ({ poller, name: poller.name, error: poller.snapshot.error }));
      setFailing(known);
    };
    polling.addEventListener("change", follow);
    follow();
    return () => polling.removeEventListener("change", follow);
  }, []);
  return failing;
}

export function ConnectionBar() {
  const failing = useFailing();
  const names = failing.map(({ name }) => name).slice(0, NAMES_MAX);
  const summary = failing.length ? `Cannot load ${LIST.format(failing.length > NAMES_MAX ? [...names, "more"] : names)}.` : "";
  return html`<div class="unseen" role="status">${summary}</div>
    ${failing.length ? html`<${Failures} summary=${summary} errors=${failing.map(({ error }) => error)} retry=${() => failing.forEach(({ poller }) => poller.pollNow())} />` : null}`;
}

function Failures({ summary, errors, retry }) {
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
