// Views of one page side by side; each has an address of its own, so they are links.
import { html } from "../html.js";

/** `tabs` are `{id, label, href, count?}`. */
export function Tabs({ label, tabs, current }) {
  return html`<nav class="tabs" aria-label=${label}>
    ${tabs.map(({ id, label: text, href }) => html`<a key=${id} href=${href} aria-current=${id === current ? "true" : undefined}>${text}</a>`)}
  </nav>`;
}
