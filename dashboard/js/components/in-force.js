import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { system, triggerMode } from "../resources.js";
import { choiceOf } from "../settings.js";
import { Freshness } from "./panel.js";
import { Age, Tag } from "./values.js";

const SOURCES = { default: "the default", setting: "the stored setting", environment: "the environment variable TRIGGER_MODE" };

/** The effective mode and where it comes from, beside what the sources do at present. */
export function InForce() {
  const snapshot = useSnapshot(triggerMode());
  const { value } = useSnapshot(system());
  const mode = snapshot.value;
  return html`<section class="panel panel-inforce" aria-labelledby="inforce-title">
    <header class="panel-head"><h2 id="inforce-title">In force now</h2><${Freshness} snapshot=${snapshot} /></header>
    <dl class="pairs panel-body">
      <dt>Trigger mode</dt>
      <dd>${mode ? html`<strong>${mode.effective}</strong>, ${choiceOf(mode.effective) === mode.effective ? "chain and Data API" : choiceOf(mode.effective)}<div class="sub">from ${SOURCES[mode.source] ?? mode.source}</div>` : "–"}
        ${mode?.overridden ? html`<${Tag} tone="warn" title="The environment has the last word">overrides stored ${mode.stored}<//>` : null}</dd>
      <dt>Chain socket</dt>
      <dd>${value ? html`${value.chain.state}<div class="sub">last block <${Age} at=${value.chain.last_block_at} fallback="none yet" /></div>` : "–"}</dd>
      <dt>Last leader event</dt>
      <dd><${Age} at=${value?.last_event_at} fallback="none yet" /></dd>
      <dt>Last poll</dt>
      <dd><${Age} at=${value?.last_poll_at} fallback="none yet" />${mode ? html`<div class="sub">every ${mode.poll_interval_s} s per user</div>` : null}</dd>
    </dl>
  </section>`;
}
