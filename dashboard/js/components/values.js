// Small pieces that show one value each.
import { useEffect, useRef, useState } from "preact/hooks";

import { serverNow } from "../clock.js";
import {
  amount,
  clockTime,
  direction,
  duration,
  exactAmount,
  exactTime,
  isAddress,
  NONE,
  price,
  shortHex,
  signedAmount,
} from "../format.js";
import { useTicking } from "../hooks.js";
import { html } from "../html.js";

const COPIED_SHOWN_MS = 1_500;

/** How long ago a moment was, by the server's clock, with the exact time in the title. */
export function Age({ at, suffix = " ago", fallback = NONE }) {
  const text = useTicking(() => (at == null ? fallback : duration(serverNow() - at) + suffix));
  if (at == null) return text;
  return html`<time datetime=${new Date(at).toISOString()} title=${exactTime(at)}>${text}</time>`;
}

/** A moment as the feeds show it: time of day above, age below. */
export function Moment({ at }) {
  const time = useTicking(() => clockTime(at, serverNow()));
  return html`<div title=${exactTime(at)}>${time}</div>
    <div class="sub"><${Age} at=${at} /></div>`;
}

export function Money({ micros }) {
  return html`<span title=${exactAmount(micros)}>${amount(micros)}</span>`;
}

/** An amount whose sign matters: coloured, and always with its sign. */
export function Gain({ micros, note = "" }) {
  return html`<span class=${direction(micros)} title=${exactAmount(micros)}>
    ${signedAmount(micros)}${note ? html`<span class="note"> ${note}</span>` : null}
  </span>`;
}

export function Price({ micros }) {
  return html`<span title=${exactAmount(micros)}>${price(micros)}</span>`;
}

/** A word in a small frame; `tone` is quiet, plain, accent, warn or alert. */
export function Tag({ tone = "quiet", title, children }) {
  return html`<span class=${`tag tag-${tone}`} title=${title}>${children}</span>`;
}

export function Side({ side }) {
  return html`<span class=${side === "BUY" ? "side side-buy" : "side side-sell"}>${side}</span>`;
}

const LIFE_CYCLES = {
  closing_soon: { label: "closing soon", tone: "warn", hint: "Too close to its end for a new position; reductions are still copied" },
  halted: { label: "halted", tone: "warn", hint: "The venue takes no orders at present; reductions are tried" },
  closed: { label: "closed", tone: "quiet", hint: "Trading has ended, the result is not final" },
  resolved: { label: "resolved", tone: "quiet", hint: "The result is final" },
};

/** Where a market stands in its life; nothing for one that is open or not known. */
export function LifeCycle({ state }) {
  const known = LIFE_CYCLES[state];
  return known ? html`<${Tag} tone=${known.tone} title=${known.hint}>${known.label}<//>` : null;
}

/** Question above, outcome below; both are strangers' text and isolated from the page's direction. */
export function Market({ question, outcome, tokenId, lifeCycle = null }) {
  return html`<div class="market" title=${question || tokenId}>
      <bdi>${question || `Unknown market, token ${shortHex(tokenId)}`}</bdi>
    </div>
    <div class="sub clip"><bdi>${outcome || "outcome not known yet"}</bdi> <${LifeCycle} state=${lifeCycle} /></div>`;
}

export function Copy({ text, what }) {
  const [copied, setCopied] = useState(false);
  const timer = useRef(null);
  useEffect(() => () => clearTimeout(timer.current), []);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      return; // Refused by the browser or not a secure origin: claim nothing.
    }
    setCopied(true);
    clearTimeout(timer.current);
    timer.current = setTimeout(() => setCopied(false), COPIED_SHOWN_MS);
  };
  return html`<button type="button" class="copy" aria-label=${`Copy ${what} ${text}`} title=${copied ? "Copied" : `Copy ${what}`} onClick=${copy}>
      <svg viewBox="0 0 16 16" aria-hidden="true" focusable="false">
        ${
          copied
            ? html`<path d="M3 8.5l3.2 3.2L13 5" />`
            : html`<path d="M5.5 5.5h7v8h-7zM10.5 5.5v-3h-7v8h2" />`
        }
      </svg>
    </button>
    <span class="unseen" role="status">${copied ? "Copied" : ""}</span>`;
}

/** A shortened hash with its copy button. */
export function Hash({ value, what }) {
  if (!value) return NONE;
  return html`<span class="hash"><code title=${value}>${shortHex(value)}</code><${Copy} text=${value} what=${what} /></span>`;
}

/** A wallet: its venue profile, shortened, and its copy button. */
export function Wallet({ address }) {
  if (!isAddress(address)) return html`<${Hash} value=${address} what="address" />`;
  return html`<span class="hash">
    <a href=${`https://polymarket.com/profile/${address}`} rel="noreferrer" target="_blank" title=${address}>
      <code>${shortHex(address)}</code><span class="unseen"> on Polymarket, opens a new tab</span>
    </a>
    <${Copy} text=${address} what="address" />
  </span>`;
}
