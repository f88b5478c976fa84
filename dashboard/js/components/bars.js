// Parts of a whole as bars beside their figures; the bar repeats the figure and is hidden from readers.
import { html } from "../html.js";

/** A bar of `part` in `whole`, both in the same unit; `mark` draws a line at a third figure. */
export function Bar({ part, whole, tone = "accent" }) {
  const share = whole > 0 ? Math.min(1, Math.max(0, part / whole)) : 0;
  return html`<span class="meter" aria-hidden="true"><span class=${`meter-fill meter-${tone}`} style=${{ width: `${(share * 100).toFixed(2)}%` }}></span></span>`;
}
