// The resources of this screen, one poller each, made once for the life of the page.
import { Poller } from "./api.js";

const FEED_PAGE_ROWS = 50;
/** A day of eight leaders, the most that one answer holds. */
const HOURS_PAGE_ROWS = 200;
/** What is measured changes once a minute at most. */
const MEASURED_INTERVAL_MS = 20_000;

const hasItems = (value) => Array.isArray(value?.items);

export function tradesUrl(cursor = null) {
  return query("/api/trades", { limit: FEED_PAGE_ROWS, cursor });
}

export function attemptsUrl({ portfolio, decision }, cursor = null) {
  return query("/api/copy-attempts", { limit: FEED_PAGE_ROWS, cursor, portfolio, decision });
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

export function completenessUrl(cursor = null) {
  return query("/api/completeness", { limit: HOURS_PAGE_ROWS, cursor });
}

function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return `${path}?${new URLSearchParams(given)}`;
}

export function createResources(filter) {
  return {
    health: new Poller("/api/health", (value) => typeof value?.status === "string"),
    overview: new Poller("/api/overview", (value) => Array.isArray(value?.leaders) && Array.isArray(value?.portfolios)),
    completeness: new Poller(completenessUrl(), hasItems, { intervalMs: MEASURED_INTERVAL_MS }),
    latency: new Poller("/api/latency", (value) => Array.isArray(value?.leaders) && Array.isArray(value?.overall?.stages), {
      intervalMs: MEASURED_INTERVAL_MS,
    }),
    trades: new Poller(tradesUrl(), hasItems),
    attempts: new Poller(attemptsUrl(filter), hasItems),
  };
}
