// Integer micros and millisecond timestamps to text. Nothing here computes money: it only rounds for
// display, half away from zero, and every rounded figure keeps its exact value in a title.

const MICROS = 1_000_000;
const MINUS = "\u2212";
const FIGURE_SPACE = "\u2007";
export const NONE = "\u2013";

const grouped = (decimals) =>
  new Intl.NumberFormat("en-US", { minimumFractionDigits: decimals, maximumFractionDigits: decimals });
const TWO = grouped(2);
const EXACT = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 6 });
const WHOLE = grouped(0);

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** Micros rounded to a count of hundredths, half away from zero. */
function hundredths(micros) {
  return Math.sign(micros) * Math.round(Math.abs(micros) / 10_000);
}

/** 1234567890 → "1,234.57"; negative amounts carry a true minus sign. */
export function amount(micros) {
  if (!isNumber(micros)) return NONE;
  const rounded = hundredths(micros);
  return (rounded < 0 ? MINUS : "") + TWO.format(Math.abs(rounded) / 100);
}

/** Like `amount`, with the sign always shown unless the rounded amount is zero. */
export function signedAmount(micros) {
  if (!isNumber(micros)) return NONE;
  return (hundredths(micros) > 0 ? "+" : "") + amount(micros);
}

/** All six decimals that matter, for titles. */
export function exactAmount(micros) {
  if (!isNumber(micros)) return "";
  return (micros < 0 ? MINUS : "") + EXACT.format(Math.abs(micros) / MICROS);
}

/** "gain", "loss" or "flat" by what the rounded amount shows. */
export function direction(micros) {
  const rounded = isNumber(micros) ? hundredths(micros) : 0;
  if (rounded > 0) return "gain";
  return rounded < 0 ? "loss" : "flat";
}

/** Part of whole as "+0.42 %"; empty when there is no whole to compare with. */
export function signedPercent(part, whole) {
  if (!isNumber(part) || !isNumber(whole) || whole <= 0) return "";
  const rounded = (Math.sign(part) * Math.round((Math.abs(part) / whole) * 10_000)) / 100;
  const sign = rounded > 0 ? "+" : rounded < 0 ? MINUS : "";
  return `${sign}${TWO.format(Math.abs(rounded))}\u00a0%`;
}

/** Part of whole as "4.2 %", without a sign; NONE when there is no whole. */
export function percent(part, whole, decimals = 1) {
  if (!isNumber(part) || !isNumber(whole) || whole <= 0) return NONE;
  return `${((part / whole) * 100).toFixed(decimals)}\u00a0%`;
}

/** A fraction in micros as "4.2 %". */
export function fraction(micros, decimals = 1) {
  return isNumber(micros) ? percent(micros, MICROS, decimals) : NONE;
}

/** A fraction in micros as "+4.2 %". */
export function signedFraction(micros) {
  return isNumber(micros) ? signedPercent(micros, MICROS) : NONE;
}

/** An amount for an axis: "1,250", "12.5k", "3.1M"; decimals only where they tell something. */
export function axisAmount(micros) {
  const value = micros / MICROS;
  const size = Math.abs(value);
  const sign = value < 0 ? MINUS : "";
  if (size >= 1_000_000) return `${sign}${trimmed(size / 1_000_000, 2)}M`;
  if (size >= 100_000) return `${sign}${trimmed(size / 1_000, 1)}k`;
  return sign + new Intl.NumberFormat("en-US", { maximumFractionDigits: size >= 100 ? 1 : 2 }).format(size);
}

const trimmed = (value, decimals) => String(Number(value.toFixed(decimals)));

/** Micros per share as cents with a sign: 4000 → "+0.40¢". */
export function signedCents(micros) {
  if (!isNumber(micros)) return NONE;
  const rounded = Math.round(micros / 100);
  return `${rounded > 0 ? "+" : rounded < 0 ? MINUS : ""}${TWO.format(Math.abs(rounded) / 100)}\u00a2`;
}

/** Price per share: three decimals, a fourth if it is needed, padded so that columns align. */
export function price(micros) {
  if (!isNumber(micros)) return NONE;
  const tenThousandths = Math.round(micros / 100);
  const text = (tenThousandths / 10_000).toFixed(4);
  return text.endsWith("0") ? text.slice(0, -1) + FIGURE_SPACE : text;
}

/** Micros per share as cents without sign: 4000 → "0.40¢". */
export function cents(micros) {
  return `${TWO.format(Math.abs(micros) / 10_000)}\u00a2`;
}

export function count(value) {
  return isNumber(value) ? WHOLE.format(value) : NONE;
}

/** "1 fill", "2 fills". */
export function counted(value, singular, plural = `${singular}s`) {
  return `${count(value)} ${value === 1 ? singular : plural}`;
}

/** A span of time in one unit: "12 s", "3 min", "5 h", "4 d". */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.floor(seconds / 3_600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** A latency with tenths below a minute: "2.1 s"; may be negative, as block times are whole seconds. */
export function latency(ms) {
  if (!isNumber(ms)) return NONE;
  if (Math.abs(ms) >= 60_000) return (ms < 0 ? MINUS : "") + duration(Math.abs(ms));
  const tenths = Math.round(Math.abs(ms) / 100) / 10;
  return `${ms < 0 && tenths > 0 ? MINUS : ""}${tenths.toFixed(1)} s`;
}

export function signedLatency(ms) {
  return isNumber(ms) && ms >= 0 ? `+${latency(ms)}` : latency(ms);
}

/** "2026-11-20 10:16:03.123 UTC" */
export function exactTime(ms) {
  return isNumber(ms) ? `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC` : "";
}

/** "10:16:03" today, "19 Nov 10:16" on any other UTC day. */
export function clockTime(ms, nowMs) {
  if (!isNumber(ms)) return NONE;
  const iso = new Date(ms).toISOString();
  if (iso.slice(0, 10) === new Date(nowMs).toISOString().slice(0, 10)) return iso.slice(11, 19);
  const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
  return `${day.format(ms)} ${iso.slice(11, 16)}`;
}

/** "0x12ab…cd34" */
export function shortHex(value) {
  const text = String(value ?? "");
  return text.length > 14 ? `${text.slice(0, 6)}\u2026${text.slice(-4)}` : text;
}

/** Whether a string may be put into a link as a wallet address. */
export function isAddress(value) {
  return /^0x[0-9a-f]{40}$/i.test(String(value));
}

/** Whether a string names a market in a link. */
export function isCondition(value) {
  return /^0x[0-9a-f]{64}$/i.test(String(value));
}
