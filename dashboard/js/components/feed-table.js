import { useState } from "preact/hooks";

import { counted } from "../format.js";
import { html } from "../html.js";
import { sentenceOf } from "./panel.js";
import { Table } from "./table.js";

const ROWS_SHOWN_FIRST = 12;
const ROWS_SHOWN_MORE = 50;

/** A table of the newest rows of a feed, which grows downwards when asked. */
export function FeedTable({ feed, name, caption, columns, idOf, rowClass = () => "", rowProps }) {
  const [shown, setShown] = useState(ROWS_SHOWN_FIRST);
  const more = () => {
    setShown(shown + ROWS_SHOWN_MORE);
    if (feed.rows.length < shown + ROWS_SHOWN_MORE) feed.fetchOlder();
  };
  const rows = feed.rows.slice(0, shown);
  const exhausted = feed.rows.length <= shown && !feed.hasOlder;
  return html`<${Table}
    name=${name}
    caption=${caption}
    columns=${columns}
    rows=${rows}
    idOf=${idOf}
    rowClass=${(row) => `${rowClass(row)} ${feed.isNew(idOf(row)) ? "is-new" : ""}`}
    rowProps=${rowProps}
    footnote=${html`<footer class="panel-foot">
      <span class="dim">${counted(rows.length, "row")} shown${exhausted ? ", that is all of them" : ""}</span>
      ${feed.older.error ? html`<span class="failed" role="alert">Older rows did not load: ${sentenceOf({ ...feed.older.error, title: feed.older.error.message })}</span>` : null}
      ${exhausted ? null : html`<button type="button" disabled=${feed.older.busy} onClick=${more}>${feed.older.busy ? "Loading" : "Show older"}</button>`}
    </footer>`}
  />`;
}

/** An answer covers so many rows at most: where none of them matches, older ones may. */
export function NothingMatches({ what, feed, children = null }) {
  const { busy, error } = feed.older;
  if (!feed.hasOlder) return html`<p><strong>No ${what} matches this filter.</strong> ${children}</p>`;
  return html`<p><strong>No ${what} among the newest matches this filter.</strong> Older ones may. ${children}</p>
    <button type="button" disabled=${busy} onClick=${feed.fetchOlder}>${busy ? "Looking" : "Look further back"}</button>
    ${error ? html`<p class="failed" role="alert">${sentenceOf({ ...error, title: error.message })}</p>` : null}`;
}
