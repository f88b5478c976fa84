// A strip of the few figures a page is about.
import { html } from "../html.js";

/** `figures` are `{name, hint?, value, note?, large?}`; a value is text or markup. */
export function Figures({ label, figures, children = null }) {
  return html`<section class="headline" aria-label=${label}>
    <dl>
      ${figures.map(
        ({ name, hint, value, note, large }) => html`<div key=${name} class=${large ? "figure figure-large" : "figure"} title=${hint}>
          <dt>${name}</dt>
          <dd>${value}</dd>
          ${note ? html`<dd class="figure-note">${note}</dd>` : null}
        </div>`,
      )}
    </dl>
    ${children}
  </section>`;
}
