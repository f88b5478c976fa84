// What the API offers to the pages: one poller per address, made when it is first asked for and kept
// while the page is open. `useSnapshot(health())` polls it for as long as it is on screen.
import { Poller } from "./api.js";

const FEED_PAGE_ROWS = 50;
/** A day of eight leaders, the most that one answer holds. */
const HOURS_PAGE_ROWS = 200;
const POLLERS_MAX = 80;

export const FEED_INTERVAL_MS = 5_000;
export const OVERVIEW_INTERVAL_MS = 10_000;
export const MEASURED_INTERVAL_MS = 20_000;
export const SLOW_INTERVAL_MS = 30_000;
/** Snapshots are taken every minute. */
export const SERIES_INTERVAL_MS = 30_000;

const pollers = new Map();

const hasItems = (value) => Array.isArray(value?.items);

/** The poller of one address; `name` says in a sentence what it brings. */
export function resource(name, url, isValid, options = {}) {
  const key = typeof url === "function" ? name : url;
  const known = pollers.get(key);
  if (known) return known;
  const made = new Poller(url, isValid, { name, ...options });
  pollers.set(key, made);
  for (const [old, poller] of pollers) {
    if (pollers.size <= POLLERS_MAX) break;
    if (poller !== made && !poller.isHeld) pollers.delete(old);
  }
  return made;
}

/** Forgets everything that was read, when a session ends. */
export function forget() {
  for (const poller of pollers.values()) poller.stop();
  pollers.clear();
}

/** The path of a portfolio: dots stand for the slashes of its name. */
const named = (portfolioId) => encodeURIComponent(portfolioId.replaceAll("/", "."));

/** Asks at once for what is on screen of these paths; resolves when it was answered. */
export function refresh(...paths) {
  const shown = [...pollers].filter(([key, poller]) => poller.isHeld && paths.some((path) => key === path || key.startsWith(`${path}?`) || key.startsWith(`${path}/`)));
  return Promise.all(shown.map(([, poller]) => poller.pollNow()));
}

export function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

/** Overview, latest trades and system strip in one; a part that did not change is not sent again. */
export function live() {
  return resource("live figures", liveUrl, isLive, { intervalMs: FEED_INTERVAL_MS, fold: foldLive });
}

const LIVE_PARTS = ["overview", "trades", "system"];
const isLive = (value) => LIVE_PARTS.every((part) => typeof value?.parts?.[part]?.tag === "string");
const liveUrl = (known) => query("/api/live", known?.tags ?? {});

/** `{now, tags, overview, trades, system}`: each part as it was last sent. */
function foldLive(before, { now, parts }) {
  const after = { now, tags: {} };
  for (const part of LIVE_PARTS) {
    const body = parts[part].body ?? before?.[part] ?? null;
    after[part] = body;
    if (body) after.tags[part] = parts[part].tag;
  }
  return after;
}

export const health = () => resource("health", "/api/health", (value) => typeof value?.status === "string", { intervalMs: OVERVIEW_INTERVAL_MS });

export const overview = () =>
  resource("portfolios and leaders", "/api/overview", (value) => Array.isArray(value?.leaders) && Array.isArray(value?.portfolios), { intervalMs: OVERVIEW_INTERVAL_MS });

export const pnl = (days = 30) => resource("gains", query("/api/pnl", { days }), (value) => Array.isArray(value?.portfolios) && Array.isArray(value?.days), { intervalMs: OVERVIEW_INTERVAL_MS });

export const globalPortfolio = () =>
  resource("the global portfolio", "/api/portfolio/global", (value) => Array.isArray(value?.positions) && Array.isArray(value?.limits), { intervalMs: OVERVIEW_INTERVAL_MS });

/** Snapshots of a portfolio over 1h, 1d, 7d, 30d or all. */
export const series = (portfolioId, span) =>
  resource("the equity curve", query(`/api/portfolios/${named(portfolioId)}/snapshots`, { span }), (value) => Array.isArray(value?.points), { intervalMs: SERIES_INTERVAL_MS });

export const user = (leader) =>
  resource("this user", `/api/users/${encodeURIComponent(leader)}`, (value) => typeof value?.leader === "string" && Array.isArray(value?.positions?.shadow?.items), { intervalMs: OVERVIEW_INTERVAL_MS });

export const performance = (leader, span) =>
  resource("how copying him fares", query(`/api/users/${encodeURIComponent(leader)}/performance`, { span }), (value) => Array.isArray(value?.portfolios) && Array.isArray(value?.delays?.stages), { intervalMs: SLOW_INTERVAL_MS });

export const skipLedger = (portfolioId, leader = "") =>
  resource("what skips gave up", query("/api/skip-ledger", { portfolio: portfolioId.replaceAll("/", "."), leader }), (value) => Array.isArray(value?.total), { intervalMs: SLOW_INTERVAL_MS });

export const completeness = () => resource("completeness", completenessUrl(), hasItems, { intervalMs: MEASURED_INTERVAL_MS });

export const latency = () =>
  resource("latency", "/api/latency", (value) => Array.isArray(value?.leaders) && Array.isArray(value?.overall?.stages), { intervalMs: MEASURED_INTERVAL_MS });

/** Filters: leader, market, from, until. */
export const trades = (filter = {}) => resource("fills", tradesUrl(filter), hasItems, { intervalMs: FEED_INTERVAL_MS });

/** Filters: portfolio, leader, market, decision, status, reason, from, until. */
export const attempts = (filter = {}) => resource("copy attempts", attemptsUrl(filter), hasItems, { intervalMs: FEED_INTERVAL_MS });

export function tradesUrl({ leader, market, from, until } = {}, cursor = null) {
  return query("/api/trades", { limit: FEED_PAGE_ROWS, cursor, leader, market, from, until });
}

export function attemptsUrl({ portfolio, leader, market, decision, status, reason, from, until } = {}, cursor = null) {
  return query("/api/copy-attempts", { limit: FEED_PAGE_ROWS, cursor, portfolio, leader, market, decision, status, reason, from, until });
}

export function completenessUrl(cursor = null) {
  return query("/api/completeness", { limit: HOURS_PAGE_ROWS, cursor });
}

/** One attempt in full and the tape around it, asked for while it is on screen. */
export function attemptPollers(ref) {
  const url = `/api/copy-attempts/${encodeURIComponent(ref)}`;
  return {
    attempt: new Poller(url, (value) => Array.isArray(value?.checks), { isFinal: isOver }),
    tape: new Poller(`${url}/tape`, (value) => Array.isArray(value?.best), { isFinal: (value) => value.over === true }),
  };
}

function isOver({ decision, status }) {
  return decision === "SKIP" || !["SUBMITTED", "PARTIAL"].includes(status);
}

const USERS_PAGE_ROWS = 50;
const MARKETS_PAGE_ROWS = 50;
const AUDIT_PAGE_ROWS = 50;
const SETTINGS_INTERVAL_MS = 20_000;

/** Followed users by address; filter: state. */
export const users = ({ state } = {}) => resource("followed users", usersUrl({ state }), hasItems, { intervalMs: OVERVIEW_INTERVAL_MS });

export const usersUrl = ({ state } = {}, cursor = null) => query("/api/users", { limit: USERS_PAGE_ROWS, cursor, state });

export const previewUrl = (text) => query("/api/users/preview", { q: text });

/** Markets we hold, listed or see traded; filter: status. */
export const markets = ({ status } = {}) => resource("markets", marketsUrl({ status }), hasItems, { intervalMs: SLOW_INTERVAL_MS });

export const marketsUrl = ({ status } = {}, cursor = null) => query("/api/markets", { limit: MARKETS_PAGE_ROWS, cursor, status });

export const market = (condition) =>
  resource("this market", `/api/markets/${encodeURIComponent(condition)}`, (value) => Array.isArray(value?.books), { intervalMs: OVERVIEW_INTERVAL_MS });

export const marketLists = () => resource("market lists", "/api/market-lists", (value) => Array.isArray(value?.entries), { intervalMs: SETTINGS_INTERVAL_MS });

/** Settings of `global`, `system`, or a user by address. */
export const config = (scope) => resource("settings", configUrl(scope), (value) => Array.isArray(value?.fields), { intervalMs: SETTINGS_INTERVAL_MS });

export const configUrl = (scope) => (["global", "system"].includes(scope) ? `/api/config/${scope}` : `/api/config/user/${encodeURIComponent(scope)}`);

export const triggerMode = () => resource("the trigger mode", "/api/trigger-mode", (value) => typeof value?.effective === "string", { intervalMs: OVERVIEW_INTERVAL_MS });

/** A test of settings, asked again until it is over. */
export const configTest = (job) =>
  resource("the test of settings", `/api/config/test/${encodeURIComponent(job)}`, (value) => typeof value?.state === "string", {
    intervalMs: 1_500,
    isFinal: ({ state }) => ["done", "failed"].includes(state),
  });

export const system = () => resource("the system", "/api/system", (value) => Array.isArray(value?.sources), { intervalMs: OVERVIEW_INTERVAL_MS });

export const audit = () => resource("the audit log", auditUrl(), hasItems, { intervalMs: MEASURED_INTERVAL_MS });

export const auditUrl = (cursor = null) => query("/api/audit", { limit: AUDIT_PAGE_ROWS, cursor });

export const session = () => resource("the session", "/api/auth/session", (value) => typeof value?.signed_in === "boolean", { intervalMs: 60_000 });
