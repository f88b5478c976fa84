import { count, counted, exactTime } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { health, live } from "../resources.js";
import { Skeleton } from "./table.js";
import { sentenceOf } from "./panel.js";
import { Age } from "./values.js";

export const LEVELS = { ok: "good", up: "good", starting: "idle", off: "idle", degraded: "warn", down: "alert" };
const SENTENCES = {
  ok: "Everything that is needed works.",
  degraded: "Something does not work as it should.",
  down: "Nothing can be detected or copied at present.",
};

/** One line of instruments from the live answer: what is connected, how fresh it is, what waits. */
export function HealthStrip() {
  const { value, error } = useSnapshot(live());
  return html`<${Strip} health=${value?.system ?? null} error=${error} kind="health-strip" />`;
}

/** The same with completeness and the market registry, from the health route. */
export function HealthPanel() {
  const { value, error } = useSnapshot(health());
  return html`<${Strip} health=${value} error=${error} />`;
}

function Strip({ health: known, error, kind = "" }) {
  const body = known
    ? html`<${Instruments} health=${known} />`
    : error
      ? html`<p class="message">Health is not known. ${sentenceOf(error)}</p>`
      : html`<${Skeleton} rows=${2} label="Loading health" />`;
  return html`<section class=${`panel health ${kind}`} aria-label="Health" aria-busy=${!known && !error}>${body}</section>`;
}

function Instruments({ health: known }) {
  const { chain, api, completeness, registry, queues, status } = known;
  const sentence = known.reasons?.length ? known.reasons.join(" ") : SENTENCES[status];
  return html`<dl>
      <${Instrument} name="System" state=${status} note=${sentence} wide />
      <${Instrument} name="Chain socket" state=${chain.state} title=${socketTitle(chain)} note=${chainNote(chain)} />
      <${Instrument} name="Data API" state=${api.state} title=${api.detail} note=${apiNote(api)} />
      ${completeness ? html`<${Instrument} name="Completeness" state=${completeness.state} title=${completeness.detail} note=${measuredNote(completeness)} />` : null}
      ${registry ? html`<${Instrument} name="Markets known" figure=${count(registry.markets)} note=${html`synced <${Age} at=${registry.synced_at} fallback="never" />`} />` : null}
      <${Instrument} name="Fills queued" figure=${count(queues.fills)} note="waiting for ingest" />
      <${Instrument}
        name="Dead letters"
        figure=${count(queues.dead)}
        level=${queues.dead > 0 ? "warn" : ""}
        note=${counted(queues.failures, "recorded failure")}
      />
    </dl>
    <p class="unseen" role="status">System ${status}. ${sentence}</p>`;
}

function chainNote(chain) {
  const detail = chain.state !== "up" && chain.detail ? `${chain.detail}, ` : "";
  if (chain.last_block == null) return `${detail}no block yet`;
  return html`${detail}block ${count(chain.last_block)}, <${Age} at=${chain.last_block_at} />
    <div>${chain.state === "up" ? html`<${Age} at=${chain.connected_at} suffix=" connected" />, ` : null}last leader log <${Age} at=${chain.last_log_at} fallback="never" /></div>`;
}

/** When the socket was connected and when it last delivered a leader's log, which may be long ago. */
function socketTitle(chain) {
  const connected = chain.connected_at == null ? "not connected" : `connected ${exactTime(chain.connected_at)}`;
  const log = chain.last_log_at == null ? "no leader log yet" : `last leader log ${exactTime(chain.last_log_at)}`;
  return [chain.detail, connected, log].filter(Boolean).join("; ");
}

function measuredNote(completeness) {
  return html`measured <${Age} at=${completeness.measured_at} fallback="never" />`;
}

function apiNote(api) {
  const detail = api.state !== "up" && api.detail ? `${api.detail}, ` : "";
  return html`${detail}last poll <${Age} at=${api.last_poll_at} fallback="never" />`;
}

function Instrument({ name, state = null, figure = null, level = LEVELS[state] ?? "", note, title, wide = false }) {
  return html`<div class=${`instrument ${level ? `level-${level}` : ""} ${wide ? "wide" : ""}`}>
    <dt>${name}</dt>
    <dd class="reading" title=${title}>${state ? html`<span class="lamp" aria-hidden="true"></span>${state}` : figure}</dd>
    <dd class="note" title=${typeof note === "string" ? note : title}>${note}</dd>
  </div>`;
}
