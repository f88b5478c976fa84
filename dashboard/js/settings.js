// Settings between the API and a form: units people read, exact decimals, drafts of changes.
//
// Values travel as the API has them: booleans, whole numbers, text for decimals. A fraction is shown in
// percent, by moving the point of its text, so nothing is rounded.

const PERCENT_PLACES = 2;
const DECIMAL = /^-?\d{1,12}(\.\d{1,12})?$/;
const WHOLE = /^-?\d{1,12}$/;

const UNITS = {
  usdc: "USDC",
  fraction: "%",
  price: "per share",
  ratio: "×",
  shares: "shares",
  milliseconds: "ms",
  seconds: "s",
  basis_points: "bps",
  blocks: "blocks",
  positions: "positions",
  fills: "fills",
  markets: "markets",
};

/** Names that read better than what their letters spell. */
const LABELS = {
  aggregation_window_ms: "Grouping window",
  execute_on: "Copy at",
  api_lag_fallback_ms: "Longest wait for confirmation",
  copying: "Open positions",
  leader_notional_min: "Smallest trade followed",
  leader_percentile_min: "Only his larger trades",
  skip_maker: "Skip his maker trades",
  maker_ratio: "Size after maker trades",
  sizing: "Size of a purchase",
  copy_fraction: "Part of his notional",
  fixed_cash: "Fixed size",
  buy_cash_min: "Smallest purchase",
  buy_cash_max: "Largest purchase",
  buy_equity_fraction_max: "Largest purchase of equity",
  sell_sizing: "Size of a sale",
  dust_shares: "Dust",
  marketable_cash_min: "Smallest marketable order",
  live_age_ms_max: "Live up to",
  catch_up_age_ms_max: "Catch-up up to",
  catch_up_require_better: "Catch-up needs his price",
  catch_up_worse_bps_max: "Catch-up tolerance",
  buy_leader_guard: "Purchase above his price",
  buy_mid_guard: "Purchase above midpoint",
  sell_leader_guard: "Sale below his price",
  sell_mid_guard: "Sale below midpoint",
  sell_always_attempt: "Always try to sell",
  price_move_max: "Largest price move",
  price_band_min: "Lowest price bought",
  price_band_max: "Highest price bought",
  buy_spread_max: "Widest spread, purchase",
  sell_spread_max: "Widest spread, sale",
  buy_depth_multiple: "Depth needed",
  book_fresh_ms: "Book fresh for",
  book_age_ms_max: "Oldest book",
  book_late_ms_max: "Latest snapshot",
  close_guard_ms: "Before market close",
  order_cash_max: "Order cap",
  daily_cash_max: "Daily cap",
  hourly_fills_max: "Hourly fills",
  exposure_fraction_max: "Total exposure",
  market_fraction_max: "Per market",
  event_fraction_max: "Per event",
  category_fraction_max: "Per category",
  leader_fraction_max: "Per user",
  open_positions_max: "Open positions, at most",
  daily_loss_max: "Daily loss",
  weekly_loss_max: "Weekly loss",
  drawdown_max: "Drawdown",
  decision_latency_ms: "Time to decide",
  submit_latency_ms: "Time to the venue",
  jitter_ms_max: "Random latency up to",
  order_ttl_ms: "Order rests for",
  resting_fill: "Resting order fills on",
  trigger_mode: "Trigger mode",
  poll_interval_s: "Poll interval",
  start_mode: "Start",
  warm_start_seconds: "Warm start reaches back",
  simulate_api_lag_ms: "Simulated API lag",
  gap_fill: "Gap fill from the chain",
  gap_fill_blocks_max: "Blocks per gap query",
  strict_both: "Need both sources",
  book_mode: "Books from",
  books_most_liquid: "Most liquid markets tracked",
};

const CHOICES = {
  first_seen: "first sight",
  api_confirmed: "confirmation by the API",
  percent_of_notional: "part of his notional",
  fixed_notional: "always the same",
  leader_equity: "by his equity",
  proportional: "the part he sells",
  notional: "by his shares",
  trade_through: "trade through its price",
  touch: "touch of its price",
  both: "both",
  api: "Data API only",
  polygon: "chain only",
  flat: "flat, no history",
  warm: "warm, with history",
  off: "off",
  on_reconnect: "on reconnect",
  sweep: "always",
  rest: "requests",
  ws: "market channel",
  "ws+snapshot": "channel and requests",
};

/** Headings in the order of the page; a group that is not named here follows them. */
export const GROUPS = {
  mode: ["Trigger mode", "Which sources detect fills, and what happens when one fails."],
  start: ["Start and gaps", "What a start, a new user or a reconnect reads of the past. History is never copied."],
  polling: ["Polling", "How often the Data API is asked."],
  books: ["Books", "Where order books come from."],
  grouping: ["Grouping and confirmation", "Fills of one token close together are one decision."],
  leader: ["What of a user is copied", "Filters on his trades."],
  size: ["Size", "How large a copy is."],
  age: ["Live and catch-up", "A late trade is copied only on better terms; a very late one not at all."],
  price: ["Price protection", "How much worse than his, and how far from the midpoint."],
  book: ["Book quality", "Spread, depth and age of the book a decision rests on."],
  market: ["Market life", "When a market is too close to its end."],
  caps: ["Order caps", "Checked at the decision, and again where an order is placed."],
  risk: ["Risk limits", "Parts of each portfolio's own equity, and breakers."],
  execution: ["Paper execution", "What a real order would have gone through."],
};

const SYSTEM_GROUPS = {
  trigger_mode: "mode",
  strict_both: "mode",
  simulate_api_lag_ms: "polling",
  poll_interval_s: "polling",
  start_mode: "start",
  warm_start_seconds: "start",
  gap_fill: "start",
  gap_fill_blocks_max: "start",
  book_mode: "books",
  books_most_liquid: "books",
};

export const labelOf = (name) => LABELS[name] ?? capital(name.replace(/_(ms|bps|s|seconds)(?=_|$)/g, "").replaceAll("_", " "));

export const choiceOf = (value) => CHOICES[value] ?? String(value);

export const unitOf = (field) => UNITS[field.unit] ?? field.unit ?? "";

/** `[{id, title, about, fields}]` in the order of the page. */
export function grouped(fields) {
  const found = new Map(Object.keys(GROUPS).map((id) => [id, []]));
  for (const field of fields) {
    const id = field.group === "system" ? (SYSTEM_GROUPS[field.name] ?? "mode") : field.group;
    found.set(id, [...(found.get(id) ?? []), field]);
  }
  const filled = [...found].filter(([, members]) => members.length);
  return filled.map(([id, members]) => ({ id, title: GROUPS[id]?.[0] ?? capital(id), about: GROUPS[id]?.[1] ?? "", fields: members }));
}

/** What a control holds for a value of the API. */
export function textOf(field, value) {
  if (value === null || value === undefined) return "";
  if (field.unit === "fraction") return trimmed(shifted(String(value), PERCENT_PLACES));
  return field.kind === "number" ? trimmed(String(value)) : String(value);
}

/** What the API is given for a control's text; `{value}` or `{error}`. An empty optional is null. */
export function valueOf(field, text) {
  const given = text.trim();
  if (field.kind === "switch") return { value: given === "true" };
  if (field.kind === "choice") return { value: given };
  if (given === "") return field.optional ? { value: null } : { error: "A value is needed." };
  if (!(field.kind === "integer" ? WHOLE : DECIMAL).test(given)) return { error: field.kind === "integer" ? "A whole number is needed." : "A number such as 0.5 is needed." };
  const plain = field.unit === "fraction" ? shifted(given, -PERCENT_PLACES) : given;
  const outside = boundError(field, Number(plain));
  if (outside) return { error: outside };
  return { value: field.kind === "integer" ? Number(plain) : trimmed(plain) };
}

function boundError(field, number) {
  const { minimum, maximum, minimum_excluded: excluded } = field;
  const low = minimum !== null && (excluded ? number <= Number(minimum) : number < Number(minimum));
  const high = maximum !== null && number > Number(maximum);
  return low || high ? `Outside ${boundsOf(field)}.` : "";
}

/** "0 to 5,000 ms", "more than 0, up to 10 ×", or nothing. */
export function boundsOf(field) {
  const { minimum, maximum, minimum_excluded: excluded } = field;
  const unit = unitOf(field);
  const [low, high] = [minimum, maximum].map((bound) => (bound === null ? null : numberText(textOf(field, bound))));
  const suffix = unit ? ` ${unit}` : "";
  if (low !== null && high !== null) return excluded ? `more than ${low}, up to ${high}${suffix}` : `${low} to ${high}${suffix}`;
  if (low !== null) return `${excluded ? "more than" : "at least"} ${low}${suffix}`;
  return high !== null ? `up to ${high}${suffix}` : "";
}

/** A value in a sentence: "1 %", "30 min", "on". */
export function readable(field, value) {
  if (value === null || value === undefined) return "automatic";
  if (field.kind === "switch") return value ? "on" : "off";
  if (field.kind === "choice") return choiceOf(value);
  if (field.unit === "milliseconds" || field.unit === "seconds") return spanOf(field.unit === "seconds" ? value * 1_000 : value);
  const unit = unitOf(field);
  return `${numberText(textOf(field, value))}${unit ? ` ${unit}` : ""}`;
}

/** Milliseconds in the largest unit that divides them well. */
export function spanOf(ms) {
  for (const [size, name] of [[86_400_000, "d"], [3_600_000, "h"], [60_000, "min"], [1_000, "s"]]) {
    if (ms >= size && (ms * 10) % size === 0) return `${ms / size} ${name}`;
  }
  return `${ms.toLocaleString("en-US")} ms`;
}

const numberText = (text) => {
  const [whole, fraction] = text.split(".");
  const groupedWhole = whole.replace(/\B(?=(\d{3})+$)/g, ",");
  return fraction ? `${groupedWhole}.${fraction}` : groupedWhole;
};

const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** A decimal's text with its point moved to the right; exact. */
function shifted(text, places) {
  const negative = text.startsWith("-");
  const [whole, fraction = ""] = text.replace("-", "").split(".");
  const point = whole.length + places;
  const digits = whole + fraction;
  const padded = point <= 0 ? "0".repeat(1 - point) + digits : digits.padEnd(point, "0");
  const at = Math.max(point, 1);
  const moved = padded.length > at ? `${padded.slice(0, at)}.${padded.slice(at)}` : padded;
  return (negative ? "-" : "") + moved.replace(/^0+(?=\d)/, "");
}

const trimmed = (text) => (text.includes(".") ? text.replace(/0+$/, "").replace(/\.$/, "") : text);

/**
 * A draft: `{name: text}` of what a reader typed, `null` for "as it is below". Gives
 * `{changes, errors}`: what differs from what is stored, and what cannot be sent.
 */
export function changesOf(fields, config, draft) {
  const changes = {};
  const errors = {};
  for (const field of fields) {
    const { name } = field;
    if (!(name in draft)) continue;
    if (draft[name] === null) {
      if (name in config.overrides) changes[name] = null;
      continue;
    }
    const { value, error } = valueOf(field, draft[name]);
    if (error) errors[name] = error;
    else if (textOf(field, value) !== textOf(field, config.values[name])) changes[name] = value;
  }
  return { changes, errors };
}
