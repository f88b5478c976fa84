// Which trades or attempts to show. Everything chosen is in the address.
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { markets, overview } from "../resources.js";
import { hashOf, oneOf } from "../route.js";
import { REASONS } from "../reasons.js";
import { Select } from "./field.js";

const DECISIONS = [
  ["", "All"],
  ["EXECUTE", "Executed"],
  ["SKIP", "Skipped"],
];
const STATUSES = [
  ["", "Any"],
  ["FILLED", "Filled"],
  ["PARTIAL", "Resting, part filled"],
  ["CANCELLED", "Part filled"],
  ["SUBMITTED", "On its way or resting"],
  ["SKIPPED", "Nothing filled, or skipped"],
  ["FAILED", "Failed"],
];
const REASON_OPTIONS = [["", "Any"], ...Object.keys(REASONS).map((code) => [code, code])];
const ADDRESS = /^0x[0-9a-f]{40}$/;
const CONDITION = /^0x[0-9a-f]{64}$/;
const PORTFOLIO = /^[\w/.-]{1,120}$/;
const MINUTE = /^\d{4}-\d\d-\d\dT\d\d:\d\d$/;
const LABEL_LENGTH_MAX = 60;

const kept = (value, pattern) => (pattern.test(value ?? "") ? value : "");
const first = (options) => options.map(([value]) => value);
/** "2026-11-20T10:15" in UTC as milliseconds; empty for anything else. */
const msOf = (text) => (MINUTE.test(text) ? Date.parse(`${text}Z`) || "" : "");

/** What the address asks for; what it cannot mean is left out. */
export function wantedOf(query) {
  const times = { since: kept(query.since, MINUTE), until: kept(query.until, MINUTE) };
  return {
    leader: kept(query.leader, ADDRESS),
    market: kept(query.market, CONDITION),
    portfolio: kept(query.portfolio, PORTFOLIO),
    decision: oneOf(query.decision, first(DECISIONS)),
    status: oneOf(query.status, first(STATUSES)),
    reason: oneOf(query.reason, first(REASON_OPTIONS)),
    ...times,
  };
}

/** The same as parameters of the API. */
export function parametersOf({ since, until, ...rest }) {
  return { ...rest, from: msOf(since), until: msOf(until) };
}

/** Those of a trade's: it has no portfolio, decision or reason. */
export const ofTrades = ({ leader, market, since, until }) => ({ leader, market, since, until });

export const isFiltered = (wanted) => Object.values(wanted).some(Boolean);

export const CLEARED = { leader: "", market: "", portfolio: "", decision: "", status: "", reason: "", since: "", until: "" };

/** `set(changes)` writes them to the address; `full` adds what only attempts have. */
export function RecordFilter({ wanted, set, full, children = null }) {
  const { leaders = [], portfolios = [] } = useSnapshot(overview()).value ?? {};
  const known = useSnapshot(markets()).value?.items ?? [];
  return html`<form class="tools record-filter" aria-label=${full ? "Filter copy attempts" : "Filter fills"} onSubmit=${(event) => event.preventDefault()}>
    <${Select} label="User" name="leader" value=${wanted.leader} options=${withChosen([["", "All users"], ...leaders.map((row) => [row.leader, row.name || row.leader])], wanted.leader)} onChange=${(leader) => set({ leader })} />
    <${Select} label="Market" name="market" value=${wanted.market} options=${withChosen([["", "All markets"], ...known.map((row) => [row.condition_id, shortened(row.question)])], wanted.market)} onChange=${(market) => set({ market })} />
    ${
      full
        ? html`<${Select} label="Portfolio" name="portfolio" value=${wanted.portfolio} options=${withChosen(portfolioOptions(portfolios), wanted.portfolio)} onChange=${(portfolio) => set({ portfolio })} />
            <${Select} label="Decision" name="decision" value=${wanted.decision} options=${DECISIONS} onChange=${(decision) => set({ decision })} />
            <${Select} label="Outcome" name="status" value=${wanted.status} options=${STATUSES} onChange=${(status) => set({ status })} />
            <${Select} label="Reason" name="reason" value=${wanted.reason} options=${REASON_OPTIONS} onChange=${(reason) => set({ reason })} />`
        : null
    }
    <${Minute} label="From" name="since" value=${wanted.since} onChange=${(since) => set({ since })} />
    <${Minute} label="Until" name="until" value=${wanted.until} onChange=${(until) => set({ until })} />
    ${isFiltered(wanted) ? html`<button type="button" class="plain" onClick=${() => set(CLEARED)}>Clear filters</button>` : null}
    ${children}
  </form>
  ${wanted.market ? html`<p class="filter-note sub">Only this market: <a href=${hashOf(["markets", wanted.market])}>${nameOf(known, wanted.market)}</a></p>` : null}
  ${full && wanted.reason ? html`<p class="filter-note sub"><code>${wanted.reason}</code>: ${REASONS[wanted.reason]}</p>` : null}`;
}

function Minute({ label, name, value, onChange }) {
  return html`<label class="select">
    <span>${label} <span class="unseen">(UTC)</span></span>
    <input type="datetime-local" name=${name} value=${value} onChange=${(event) => onChange(event.target.value.slice(0, 16))} title="UTC" />
  </label>`;
}

function portfolioOptions(portfolios) {
  const copies = portfolios.filter(({ kind }) => kind === "leader");
  const global = portfolios.filter(({ kind }) => kind === "global");
  return [["", "All portfolios"], ...global.map((row) => [row.portfolio_id, "Global"]), ...copies.map((row) => [row.portfolio_id, `Only ${row.leader_name}`])];
}

/** What is chosen is always among the options, even before the list is known. */
function withChosen(options, chosen) {
  return options.some(([value]) => value === chosen) ? options : [...options, [chosen, shortened(chosen)]];
}

const nameOf = (known, condition) => known.find((row) => row.condition_id === condition)?.question || condition;

const shortened = (text) => (text.length > LABEL_LENGTH_MAX ? `${text.slice(0, LABEL_LENGTH_MAX - 1)}…` : text);
