import { Attempts } from "../components/attempts.js";
import { Export } from "../components/export.js";
import { Fills } from "../components/fills.js";
import { Page } from "../components/page.js";
import { ReasonCodes } from "../components/reason-codes.js";
import { isFiltered, ofTrades, parametersOf, RecordFilter, wantedOf } from "../components/record-filter.js";
import { Tabs } from "../components/tabs.js";
import { setQuery } from "../hooks.js";
import { html } from "../html.js";
import { hashWith, oneOf } from "../route.js";

const TABS = [
  { id: "trades", label: "Leader trades" },
  { id: "attempts", label: "Copy attempts" },
];
const OF_TRADES = [["trades", "Trades"]];
const OF_ATTEMPTS = [
  ["attempts", "Attempts"],
  ["fills", "Paper fills"],
  ["ledger", "Ledger"],
];

/** What the leaders traded, and what became of each copy, in two tabs under one filter. */
export function Trades({ query }) {
  const tab = oneOf(query.tab, TABS.map(({ id }) => id));
  const tabs = TABS.map((each) => ({ ...each, href: hashWith({ tab: each.id === TABS[0].id ? "" : each.id, attempt: "" }) }));
  const wanted = wantedOf(query);
  return html`<${Page} title="Trades" sub="What the leaders traded, and what copying it on paper became. Times are UTC." tools=${html`<${Tabs} label="Trades or attempts" tabs=${tabs} current=${tab} />`}>
    ${tab === "trades" ? html`<${TradesTab} wanted=${ofTrades(wanted)} />` : html`<${AttemptsTab} wanted=${wanted} query=${query} />`}
  <//>`;
}

function TradesTab({ wanted }) {
  const parameters = parametersOf(wanted);
  const { from, until, ...others } = parameters;
  const tools = html`<${RecordFilter} wanted=${wanted} set=${setQuery} full=${false}>
    <${Export} kinds=${OF_TRADES} filter=${{ from, until }} othersSet=${isFiltered(others)} />
  <//>`;
  return html`<${Fills} title="Leader trades" filter=${parameters} tools=${tools} filtered=${isFiltered(wanted)} />`;
}

function AttemptsTab({ wanted, query }) {
  const parameters = parametersOf(wanted);
  const { from, until, portfolio, ...others } = parameters;
  const tools = html`<${RecordFilter} wanted=${wanted} set=${setQuery} full>
    <${Export} kinds=${OF_ATTEMPTS} filter=${{ from, until, portfolio }} othersSet=${isFiltered(others)} />
  <//>`;
  return html`<${Attempts} query=${query} title="Copy attempts" wanted=${parameters} tools=${tools} filtered=${isFiltered(wanted)} />
    <${ReasonCodes} />`;
}
