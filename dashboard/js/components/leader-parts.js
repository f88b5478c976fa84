// What tells one followed user from another, wherever he is listed.
import { count } from "../format.js";
import { html } from "../html.js";
import { hashOf } from "../route.js";
import { Age, Tag, Wallet } from "./values.js";

const STATES = {
  on: { label: "on", tone: "plain", hint: "Buys and sells are copied" },
  sell_only: { label: "sell only", tone: "warn", hint: "Only reductions are copied" },
  off: { label: "off", tone: "quiet", hint: "Not followed" },
};

/** Name, with the way to his page, and wallets. */
export function Identity({ leader }) {
  const more = (leader.wallets?.length ?? 1) - 1;
  return html`<a class="name" href=${hashOf(["users", leader.leader])} title=${leader.name}><bdi>${leader.name}</bdi></a>
    <div class="sub clip">
      <${Wallet} address=${leader.leader} />
      ${more > 0 ? html`<span title=${leader.wallets.join("\n")}> +${more}<span class="unseen"> more wallets</span></span>` : null}
    </div>`;
}

export function LeaderState({ state }) {
  const { label, tone, hint } = STATES[state] ?? { label: state, tone: "quiet", hint: "" };
  return html`<${Tag} tone=${tone} title=${hint}>${label}<//>`;
}

/** Whether his positions here equal those the venue reports, and since when. */
export function Agreement({ leader }) {
  const { positions_agreed_at: agreedAt, positions_checked_at: checkedAt, positions_differing: differing } = leader;
  if (checkedAt == null) return html`<span class="dim">not compared</span>`;
  if (!differing && agreedAt != null) return html`agree<div class="sub"><${Age} at=${agreedAt} /></div>`;
  return html`<${Tag} tone="warn" title="Tokens of which the venue reports another amount">${differing ? `${count(differing)} differ` : "unsettled"}<//>
    <div class="sub"><${Age} at=${agreedAt} suffix=" since agreed" fallback="never agreed" /></div>`;
}
