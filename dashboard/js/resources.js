// The four resources of this screen, one poller each, made once for the life of the page.
import { Poller } from "./api.js";

const FEED_PAGE_ROWS = 50;

const hasItems = (value) => Array.isArray(value?.items);

export function tradesUrl(cursor = null) {
  return query("/api/trades", { limit: FEED_PAGE_ROWS, cursor });
}

export function attemptsUrl({ portfolio, decision }, cursor = null) {
  return query("/api/copy-attempts", { limit: FEED_PAGE_ROWS, cursor, portfolio, decision });
}

function query(path, parameters) {
  const given = Object.entries(parameters).filter(([, value]) => value);
  return `${path}?${new URLSearchParams(given)}`;
}

export function createResources(filter) {
  return {
    health: new Poller("/api/health", (value) => typeof value?.status === "string"),
    overview: new Poller("/api/overview", (value) => Array.isArray(value?.leaders) && Array.isArray(value?.portfolios)),
    trades: new Poller(tradesUrl(), hasItems),
    attempts: new Poller(attemptsUrl(filter), hasItems),
  };
}
