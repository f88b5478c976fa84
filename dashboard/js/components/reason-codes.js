import { html } from "../html.js";
import { REASONS } from "../reasons.js";
import { hashOf } from "../route.js";

/** What every reason code means; each is the way to the attempts that carry it. */
export function ReasonCodes() {
  return html`<details class="panel reason-codes">
    <summary>What the reason codes mean</summary>
    <dl>
      ${Object.entries(REASONS).map(
        ([code, text]) => html`<div key=${code}>
          <dt><a href=${hashOf(["trades"], { tab: "attempts", reason: code })}><code>${code}</code></a></dt>
          <dd>${text}</dd>
        </div>`,
      )}
    </dl>
  </details>`;
}
