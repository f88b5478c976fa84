// Our fills in time, each a bar from the line of the leader's own price: above it we did worse.
import { cents, counted } from "../format.js";
import { html } from "../html.js";

const BARS_MAX = 60;
/** A hundredth of a cent: less is shown as the same. */
const MICROS_SHOWN_MIN = 100;
const WIDTH = 8;
const HALF = 30;

/** `fills` newest first, each with `slippage_leader_micros`. */
export function SlippageStrip({ fills }) {
  const shown = fills.filter(({ slippage_leader_micros: lost }) => lost != null).slice(0, BARS_MAX).reverse();
  if (shown.length < 2) return null;
  const most = Math.max(...shown.map(({ slippage_leader_micros: lost }) => Math.abs(lost)));
  if (most < MICROS_SHOWN_MIN) return null;
  const worse = shown.filter(({ slippage_leader_micros: lost }) => lost > 0).length;
  const label = `${counted(shown.length, "fill")} from oldest to newest: ${worse} worse than the leader, the most by ${cents(most)}`;
  const width = shown.length * WIDTH;
  return html`<figure class="slippage-strip">
    <svg viewBox=${`0 0 ${width} ${2 * HALF}`} width=${width} height=${2 * HALF} role="img" aria-label=${label}>
      <line x1="0" y1=${HALF} x2=${width} y2=${HALF} />
      ${shown.map(({ slippage_leader_micros: lost, side }, index) => {
        const height = Math.max(1.5, (Math.abs(lost) / most) * (HALF - 2));
        return html`<rect key=${index} class=${lost > 0 ? "worse" : "better"} x=${index * WIDTH + 1} y=${lost > 0 ? HALF - height : HALF} width=${WIDTH - 2} height=${height}><title>${side} ${cents(lost)} ${lost > 0 ? "worse" : "better"}</title></rect>`;
      })}
    </svg>
    <figcaption class="sub">Above the line worse than the leader, below better; the tallest bar is ${cents(most)} per share.</figcaption>
  </figure>`;
}
