// An outcome's present book: the best levels of both sides beside each other.
import { amount, cents, NONE } from "../format.js";
import { html } from "../html.js";
import { Bar } from "./bars.js";
import { Table } from "./table.js";
import { Age, Money, Price } from "./values.js";

const COLUMNS = [
  { id: "bid-shares", label: "Bid shares", numeric: true, cell: ({ bid, most }) => html`<${Size} level=${bid} most=${most} />` },
  { id: "bid", label: "Bid", numeric: true, cell: ({ bid }) => (bid ? html`<${Price} micros=${bid.price_micros} />` : "") },
  { id: "ask", label: "Ask", numeric: true, cell: ({ ask }) => (ask ? html`<${Price} micros=${ask.price_micros} />` : "") },
  { id: "ask-shares", label: "Ask shares", numeric: true, cell: ({ ask, most }) => html`<${Size} level=${ask} most=${most} />` },
];

/** Shares at a level beside their bar. */
function Size({ level, most }) {
  return level ? html`<div class="level"><${Money} micros=${level.shares_micros} /><${Bar} part=${level.shares_micros} whole=${most} /></div>` : "";
}

/** `book` is `{bids, asks}` best first, `outcome` its quote. */
export function BookLadder({ book, outcome }) {
  const levels = Math.max(book.bids.length, book.asks.length);
  const most = Math.max(0, ...[...book.bids, ...book.asks].map(({ shares_micros: shares }) => shares));
  const rows = Array.from({ length: levels }, (_, index) => ({ index, bid: book.bids[index], ask: book.asks[index], most }));
  const name = outcome.outcome || "unknown outcome";
  return html`<div class="ladder">
    <h3><bdi>${name}</bdi> <span class="sub">${outcome.book_at == null ? "no book" : html`as of <${Age} at=${outcome.book_at} />`}</span></h3>
    <dl class="pairs">
      <dt>Spread</dt><dd>${outcome.spread_micros == null ? NONE : cents(outcome.spread_micros)}</dd>
      <dt>Midpoint</dt><dd><${Price} micros=${outcome.mid_micros} /></dd>
      <dt title="Shares offered between the best ask and our limit">Buy depth in band</dt><dd>${amount(outcome.buy_depth_micros)}</dd>
      <dt title="Shares bid between the best bid and our limit">Sell depth in band</dt><dd>${amount(outcome.sell_depth_micros)}</dd>
    </dl>
    ${levels ? html`<${Table} name="book" caption=${`Book of ${name}`} columns=${COLUMNS} rows=${rows} idOf=${(row) => row.index} />` : html`<p class="message">The venue shows no book for this outcome now.</p>`}
  </div>`;
}
