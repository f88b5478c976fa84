import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { live } from "../resources.js";

/** What is in force although somebody may expect something else, above everything else. */
export function Warnings() {
  const warnings = useSnapshot(live()).value?.system?.warnings ?? [];
  return html`<div role="status">
    ${warnings.length ? html`<ul class="warnings">${warnings.map((text) => html`<li key=${text}>${text}</li>`)}</ul>` : null}
  </div>`;
}
