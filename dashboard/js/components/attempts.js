import { cents, count, counted, amount, exactAmount, exactTime, NONE, signedLatency } from "../format.js";
import { setQuery, useFeed, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { attempts, attemptsUrl, overview } from "../resources.js";
import { hashWith, oneOf } from "../route.js";
import { AttemptFilter } from "./attempt-filter.js";
import { FeedTable, NothingMatches } from "./feed-table.js";
import { AttemptDialog } from "./attempt-dialog.js";
import { CLEARED } from "./record-filter.js";
import { statusOf } from "./attempt-words.js";
import { Panel } from "./panel.js";
import { Market, Moment, Money, Price, Side, Tag } from "./values.js";

const BOOKS = {
  tape: { label: "tape", hint: "Recorded order book, read at the time of placement" },
  rest: { label: "snapshot", hint: "One snapshot of the order book taken at placement" },
};

const idOf = (attempt) => attempt.attempt_id;

const COLUMNS = [
  { id: "time", label: "Time", hint: "Decided, UTC", cell: (row) => html`<${Opener} attempt=${row} /><${Moment} at=${row.ts_decided} />` },
  { id: "leader", label: "Leader", cell: (row) => html`<bdi class="name" title=${row.leader_name}>${row.leader_name}</bdi><div class="sub">${portfolioName(row)}</div>` },
  { id: "market", label: "Market", cell: (row) => html`<${Market} question=${row.question} outcome=${row.outcome} tokenId=${row.token_id} lifeCycle=${row.life_cycle} />` },
  { id: "side", label: "Side", cell: (row) => html`<${Side} side=${row.side} />` },
  { id: "decision", label: "Decision", cell: (row) => html`<${Decision} attempt=${row} />` },
  { id: "reasons", label: "Reasons", cell: (row) => html`<${Reasons} reasons=${row.reasons} />` },
  { id: "shares", label: "Filled / target", numeric: true, hint: "Shares", cell: (row) => html`<${Shares} attempt=${row} />` },
  { id: "limit", label: "Limit", numeric: true, cell: (row) => html`<${Price} micros=${row.limit_micros} />` },
  { id: "vwap", label: "VWAP", numeric: true, hint: "Average price of our paper fills", cell: (row) => html`<${Price} micros=${row.vwap_micros} />` },
  { id: "slippage", label: "vs leader", numeric: true, hint: "Our price per share against the leader's", cell: (row) => html`<${Slippage} attempt=${row} />` },
  { id: "fee", label: "Fee", numeric: true, cell: (row) => (row.vwap_micros == null ? NONE : html`<${Money} micros=${row.fee_micros} />`) },
  { id: "placed", label: "Delays", hint: "After the time of the block that holds the leader's first fill", cell: (row) => html`<${Delays} attempt=${row} />` },
];

const rowClass = (attempt) => `decision-${attempt.decision}${attempt.reasons?.length ? "" : " without-reasons"}`;

function portfolioName({ portfolio_kind: kind }) {
  return kind === "global" ? "global" : "own portfolio";
}

/** The way into the explanation: the first stop of the Tab key in a row, and what a click on the row follows. */
function Opener({ attempt }) {
  const what = `Explain: ${attempt.leader_name}, ${attempt.side} ${attempt.outcome}, ${portfolioName(attempt)}, ${exactTime(attempt.ts_decided)}`;
  return html`<a class="opener" href=${hashWith({ attempt: attempt.ref })} aria-label=${what} aria-haspopup="dialog"></a>`;
}

/** A click anywhere in the row opens it, unless it was meant for something else or marks text. */
function openRow(event) {
  if (event.target.closest("a, button") || getSelection()?.toString()) return;
  const opener = event.currentTarget.querySelector(".opener");
  opener.focus({ preventScroll: true });
  opener.click();
}

function Decision({ attempt }) {
  if (attempt.decision === "SKIP") return html`<${Tag} tone="quiet">skipped<//>`;
  const { label, tone, hint } = statusOf(attempt);
  return html`<div class="decided">executed</div>
    <${Tag} tone=${tone} title=${hint}>${label}<//>`;
}

function Reasons({ reasons }) {
  if (!reasons?.length) return html`<span class="dim">${NONE}</span>`;
  return html`<ul class="reasons">
    ${reasons.map((reason) => html`<li key=${reason.code}><code>${reason.code}</code><div class="sub">${reason.text}</div></li>`)}
  </ul>`;
}

function Shares({ attempt }) {
  if (attempt.target_shares_micros == null) return NONE;
  return html`<span title=${`${exactAmount(attempt.filled_shares_micros)} of ${exactAmount(attempt.target_shares_micros)}`}>
    ${amount(attempt.filled_shares_micros)}<div class="sub">of ${amount(attempt.target_shares_micros)}</div>
  </span>`;
}

/**
 * Cents per share we did worse or better than the leader. Taken from the two prices, so that "worse"
 * means the same on both sides: paying more on a buy, getting less on a sell.
 */
function Slippage({ attempt }) {
  const { vwap_micros: ours, leader_price_micros: his, side } = attempt;
  if (ours == null || his == null) return NONE;
  const gained = side === "BUY" ? his - ours : ours - his;
  if (Math.round(gained / 100) === 0) return html`<span class="dim">same</span>`;
  const sign = gained > 0 ? "+" : "\u2212";
  return html`<span class=${gained > 0 ? "gain" : "loss"}>${sign}${cents(gained)}</span>
    <div class="sub">${gained > 0 ? "better" : "worse"}</div>`;
}

/** The attempt's way from the leader's block to its end, as far as it came. */
function Delays({ attempt }) {
  const late = attempt.late_by_ms > 0 ? `The step ran ${count(attempt.late_by_ms)} ms late, which decides nothing` : undefined;
  const book = BOOKS[attempt.book_source];
  return html`<div class="seen delays" title=${late}>
    <${Step} name="decided" at=${attempt.ts_decided} attempt=${attempt} />
    <${Step} name="placed" at=${attempt.ts_placed} attempt=${attempt} />
    <${Step} name="first fill" at=${attempt.ts_first_fill} attempt=${attempt} />
    <${Step} name="done" at=${attempt.ts_done} attempt=${attempt} />
    ${attempt.ts_placed == null ? null : html`<div class="delays-book" title=${book?.hint}>${book?.label ?? "no book"}</div>`}
  </div>`;
}

function Step({ name, at, attempt }) {
  if (at == null) return null;
  return html`<div title=${exactTime(at)}><span class="first">${signedLatency(at - attempt.ts_block)}</span> ${name}</div>`;
}

function summaryOf(counts) {
  if (!counts) return null;
  return `${counted(counts.attempts, "attempt")}: ${count(counts.skipped)} skipped, ${count(counts.executed)} executed, of these ${count(counts.filled)} filled, ${count(counts.partial)} partly, ${count(counts.no_fill)} not.`;
}

const ATTEMPT_REF = /^[A-Za-z0-9_-]{1,400}$/;

/**
 * The latest copy attempts under the address's filters, and the one that it names in full.
 * `leader` or `market` narrow the list to a page's own subject; `wanted` is a filter of the page's own,
 * with its `tools` and whether it leaves anything out (`filtered`).
 */
export function Attempts({ query, leader = "", market = "", title = "Latest copy attempts", wanted = null, tools = null, filtered: narrowed = false }) {
  const filter = wanted ?? {
    portfolio: query.portfolio ?? "",
    decision: oneOf(query.decision, ["", "EXECUTE", "SKIP"]),
    leader,
    market,
  };
  const opened = ATTEMPT_REF.test(query.attempt ?? "") ? query.attempt : "";
  const snapshot = useSnapshot(attempts(filter));
  const known = useSnapshot(overview());
  const feed = useFeed(snapshot, idOf, (cursor) => attemptsUrl(filter, cursor));
  const filtered = narrowed || filter.portfolio || filter.decision;
  const showAll = () => setQuery({ portfolio: "", decision: "", ...(wanted ? CLEARED : {}) });
  const empty = filtered
    ? html`<${NothingMatches} what="attempt" feed=${feed}><button type="button" onClick=${showAll}>Show all</button><//>`
    : html`<p><strong>No copy attempts yet.</strong> Each group of a leader's fills becomes one attempt per portfolio a few seconds later: executed on paper, or skipped with its reasons.</p>`;
  const refs = feed.rows.map((row) => row.ref);
  return html`${opened ? html`<${AttemptDialog} attempt=${opened} refs=${refs} show=${(ref) => setQuery({ attempt: ref })} />` : null}<${Panel}
    id="attempts"
    title=${title}
    summary=${leader || market || narrowed ? null : summaryOf(known.value?.counts)}
    snapshot=${snapshot}
    loadingRows=${8}
    loadingLabel="Loading copy attempts"
    tools=${tools ?? html`<${AttemptFilter} filter=${filter} setFilter=${setQuery} portfolios=${(known.value?.portfolios ?? []).filter((row) => !leader || row.kind === "global" || row.leader === leader)} />`}
    empty=${feed.rows.length === 0 && empty}
  >
    <${FeedTable} key=${snapshot.url} feed=${feed} name="attempts" caption="Latest copy attempts" columns=${COLUMNS} idOf=${idOf} rowClass=${rowClass} rowProps=${() => ({ onClick: openRow })} />
  <//>`;
}
