// What became of an attempt, in words.
import { serverNow } from "../clock.js";
import { amount, cents, clockTime, count, latency, price as paddedPrice } from "../format.js";

/** A price inside a sentence, without the padding that aligns columns. */
export const price = (micros) => paddedPrice(micros).trim();

const STATUSES = {
  FILLED: { label: "filled", tone: "plain", hint: "All shares of the order were filled" },
  PARTIAL: { label: "resting, part filled", tone: "accent", hint: "Part was filled, the remainder waits at our limit" },
  CANCELLED: { label: "part filled", tone: "plain", hint: "Part was filled, the remainder was cancelled" },
  SKIPPED: { label: "no fill", tone: "quiet", hint: "The order was placed and nothing was filled" },
  FAILED: { label: "failed", tone: "alert", hint: "The order could not be executed; what it held was given back" },
};
const SKIPPED = { label: "skipped", tone: "quiet", hint: "No order was placed" };
const RESTING = { label: "resting", tone: "accent", hint: "Nothing filled yet, the order waits at our limit" };
const ON_ITS_WAY = { label: "on its way", tone: "accent", hint: "Decided, and not yet at the venue" };

/** Label, tone and hint of an attempt's state. */
export function statusOf(attempt) {
  if (attempt.decision === "SKIP") return SKIPPED;
  if (attempt.status === "SUBMITTED") return attempt.known_until == null ? ON_ITS_WAY : RESTING;
  return STATUSES[attempt.status] ?? { label: attempt.status, tone: "quiet", hint: "" };
}

/** The verdict in one line. */
export function verdictOf(attempt) {
  const filled = amount(attempt.filled_shares_micros);
  const target = amount(attempt.target_shares_micros);
  if (attempt.decision === "SKIP") return "Not copied. No order was placed.";
  switch (attempt.status) {
    case "FILLED":
      return `Copied. All ${filled} shares were filled.`;
    case "CANCELLED":
      return `Copied in part. ${filled} of ${target} shares were filled, the rest was cancelled.`;
    case "PARTIAL":
      return `Still resting. ${filled} of ${target} shares are filled so far.`;
    case "SUBMITTED":
      return attempt.known_until == null ? "On its way. The order has not reached the book yet." : "Still resting. Nothing is filled so far.";
    case "SKIPPED":
      return "Tried, and nothing was filled.";
    default:
      return "Failed. The order could not be executed, and what it held back was given back.";
  }
}

/** The attempt's story as sentences: his trade, our decision, our order, how it went. */
export function storyOf(attempt) {
  return [hisTrade(attempt), decision(attempt), order(attempt), fills(attempt), ending(attempt), waiting(attempt)].filter(Boolean);
}

function hisTrade({ leader_name: name, side, leader_shares_micros: shares, leader_price_micros: paid, outcome, decided, ts_opened: seen, ts_block: block }) {
  const did = side === "BUY" ? "bought" : "sold";
  const what = `${amount(shares)} ${outcome || "shares"}`;
  return `${name || "The leader"} ${did} ${what} at ${price(paid)}, ${amount(decided.leader_cash_micros)} USDC in all. We first saw it ${latency(seen - block)} after its block.`;
}

function decision({ side, decided, best_micros: best, mid_micros: mid, target_shares_micros: target, limit_micros: limit }) {
  const offer = side === "BUY" ? "ask" : "bid";
  const book = best == null ? "" : ` The best ${offer} was ${price(best)}${mid == null ? "" : `, the midpoint ${price(mid)}`}.`;
  const age = `We decided ${latency(decided.age_ms)} after his block${decided.confirmed ? ", once the Data API had confirmed it" : ""}.${book}`;
  if (target == null || limit == null) return age;
  const would = decided.reasons.length ? "would have been" : "was";
  return `${age} Our size ${would} ${amount(target)} shares, ${side === "BUY" ? "paying at most" : "selling for at least"} ${price(limit)}.`;
}

function order({ order: placed, ts_decided: decidedAt, execution, side }) {
  if (!placed) return null;
  const reached = `The order ${execution ? "reached" : "reaches"} the venue ${latency(placed.ts_placed - decidedAt)} after the decision`;
  if (!execution || execution.best_micros == null) return `${reached}.`;
  return `${reached}, when the best ${side === "BUY" ? "ask" : "bid"} was ${price(execution.best_micros)}.`;
}

function fills({ execution, vwap_micros: vwap, slippage, fee_micros: fee, order: placed }) {
  if (!execution?.slices.length) return null;
  const atOnce = execution.slices.filter((slice) => slice.ts === placed.ts_placed);
  const rested = execution.slices.length - atOnce.length;
  const how = rested === 0 ? "It was filled at its placement" : atOnce.length ? `It was filled partly at its placement, then ${rested === 1 ? "once" : `${count(rested)} times`} while it rested` : "It was filled while it rested";
  const against = slippage ? `, ${comparedWith(slippage.leader_micros)}` : "";
  return `${how}, for ${price(vwap)} on average${against}. The fee was ${amount(fee)}.`;
}

function comparedWith(worse) {
  if (Math.round(worse / 100) === 0) return "the leader's own price";
  return `${cents(worse)} ${worse > 0 ? "worse" : "better"} than the leader`;
}

/** How a remainder that rested came to its end. */
function ending({ execution, order: placed, reasons }) {
  if (!execution || execution.rests || execution.status === "FILLED" || execution.known_until <= placed.ts_placed || placed.ttl_ms === 0) return null;
  if (execution.book_source !== "tape") return null;
  const rested = `What was left rested for ${latency(execution.known_until - placed.ts_placed)}`;
  if (execution.known_until >= placed.ts_expiry) return `${rested}, until its time was up.`;
  if (reasons.some(({ code }) => code === "TAPE_INCOMPLETE")) return `${rested}, until the recording broke off.`;
  return `${rested}, until a later decision on this token ended it before its time.`;
}

function waiting({ execution, order: placed }) {
  if (!execution?.rests) return null;
  const left = Math.max(0, placed.ts_expiry - serverNow());
  const until = left ? `for ${Math.ceil(left / 1_000)} s more` : "until its end is read";
  return `What is left waits at our limit ${until}; its fate is known up to ${clockTime(execution.known_until, serverNow())} UTC.`;
}
