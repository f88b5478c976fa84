// What is known of a market, wherever it is listed: quotes, limits of copying, our own results.
import { postJson } from "../api.js";
import { cents, count, counted, NONE } from "../format.js";
import { html } from "../html.js";
import { refresh } from "../resources.js";
import { toast } from "./toast.js";
import { Money, Price, Tag } from "./values.js";

export const STATUSES = {
  held: { label: "held", tone: "plain", hint: "We hold something of it" },
  listed: { label: "listed", tone: "accent", hint: "It is on one of the lists" },
  followed: { label: "followed", tone: "quiet", hint: "Followed users hold or traded it" },
};

const REFUSALS = {
  MARKET_BLACKLISTED: { label: "blacklisted", hint: "No position is opened: the market or its category is on the blacklist" },
  NOT_WHITELISTED: { label: "not whitelisted", hint: "No position is opened: only the whitelist may be copied" },
};

/** Why the lists keep a market from being copied; nothing where they do not. */
export function Refusal({ reason }) {
  const known = REFUSALS[reason];
  return known ? html`<${Tag} tone="warn" title=${known.hint}>${known.label}<//>` : null;
}

/** One line per outcome, so that columns read across. */
export function Lines({ outcomes, of }) {
  return outcomes.map((outcome) => html`<div key=${outcome.token_id} class="outcome-line">${of(outcome)}</div>`);
}

/** Cents per share; a spread has no sign. */
export function Spread({ micros }) {
  return micros == null ? NONE : html`<span title="Best ask less best bid">${cents(micros)}</span>`;
}

/** What our fills lost against the leaders, in cents per share: a plus is worse for us on either side. */
export function OwnSlippage({ micros, fills }) {
  if (!fills) return html`<span class="dim">${NONE}</span>`;
  if (micros == null) return html`<span class="dim">${counted(fills, "fill")}</span>`;
  return html`<span class="dim">${count(fills)} ×</span> <${Worse} micros=${micros} />`;
}

/** A cost per share: worse with a minus and in red, better with a plus. */
export function Worse({ micros }) {
  if (micros == null) return NONE;
  if (Math.round(micros / 100) === 0) return html`<span class="dim">same</span>`;
  const worse = micros > 0;
  return html`<span class=${worse ? "loss" : "gain"} title=${worse ? "worse than it" : "better than it"}>${worse ? "\u2212" : "+"}${cents(micros)}</span>`;
}

export const Quote = ({ micros }) => html`<${Price} micros=${micros} />`;

export const Depth = ({ micros }) => (micros == null ? NONE : html`<span title="Shares between the best price and our limit"><${Money} micros=${micros} /></span>`);

/** Puts a market or category on a list, or takes it off; resolves when it is stored and read again. */
export async function changeList({ action, listing, kind, value, note = "" }, what) {
  await postJson("/api/market-lists", { action, listing, kind, value, note });
  toast(action === "add" ? `${what} is on the ${listing}.` : `${what} is off the ${listing}.`);
  await refresh("/api/market-lists", "/api/markets");
  return true;
}
