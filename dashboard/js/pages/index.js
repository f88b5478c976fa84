// Every page of the dashboard: its path, its place in the navigation and its component.
//
// `nav` is the word in the navigation; a page without it belongs under the entry of its first part
// (`users/:leader` under `users`). `View` gets `{params, query}`.
import { match } from "../route.js";
import { Config } from "./config.js";
import { Market } from "./market.js";
import { Markets } from "./markets.js";
import { Missing } from "./missing.js";
import { Overview } from "./overview.js";
import { Portfolio } from "./portfolio.js";
import { System } from "./system.js";
import { Trades } from "./trades.js";
import { User } from "./user.js";
import { Users } from "./users.js";

export const PAGES = [
  { id: "overview", path: "overview", nav: "Overview", View: Overview },
  { id: "users", path: "users", nav: "Users", View: Users },
  { id: "user", path: "users/:leader", View: User },
  { id: "portfolio", path: "portfolio", nav: "Portfolio", View: Portfolio },
  { id: "trades", path: "trades", nav: "Trades", View: Trades },
  { id: "markets", path: "markets", nav: "Markets", View: Markets },
  { id: "market", path: "markets/:market", View: Market },
  { id: "config", path: "config", nav: "Config", View: Config },
  { id: "config", path: "config/:part", View: Config },
  { id: "system", path: "system", nav: "System", View: System },
];

const MISSING = { id: "missing", path: "", View: Missing };

/** The page of a path and what the path names. */
export function pageOf(path) {
  for (const page of PAGES) {
    const params = match(page.path, path);
    if (params) return { page, params };
  }
  return { page: MISSING, params: { path: path.join("/") } };
}
