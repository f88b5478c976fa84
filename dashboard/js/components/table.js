import { useEffect, useRef, useState } from "preact/hooks";

import { html } from "../html.js";

/**
 * A semantic table that becomes a list of cards on a narrow screen.
 *
 * Columns are `{id, label, numeric?, hint?, cell(row)}`; the first one heads its row. The roles repeat
 * what the elements mean, because some browsers forget it once CSS lays table rows out as cards.
 */
export function Table({ name, caption, columns, rows, idOf, rowClass = () => "", rowProps = () => ({}), footnote = null }) {
  const [scroller, overflows] = useOverflow();
  return html`<div ref=${scroller} class="scroller" role="group" aria-label=${caption} tabindex=${overflows ? 0 : undefined}>
      <table role="table" class=${`table-${name}`}>
        <caption class="unseen">${caption}</caption>
        <thead role="rowgroup">
          <tr role="row">
            ${columns.map(
              (column) => html`<th key=${column.id} role="columnheader" scope="col" class=${cellClass(column)} title=${column.hint}>
                ${column.label}
              </th>`,
            )}
          </tr>
        </thead>
        <tbody role="rowgroup">
          ${rows.map(
            (row) => html`<tr key=${idOf(row)} role="row" class=${rowClass(row)} ...${rowProps(row)}>
              ${columns.map((column, index) => cell(column, index, row))}
            </tr>`,
          )}
        </tbody>
      </table>
    </div>
    ${footnote}`;
}

/** Whether a box is too narrow for its table: only then is it a stop for the Tab key, to be scrolled. */
function useOverflow() {
  const box = useRef(null);
  const [overflows, setOverflows] = useState(false);
  useEffect(() => {
    const element = box.current;
    const observer = new ResizeObserver(() => setOverflows(element.scrollWidth > element.clientWidth));
    observer.observe(element);
    return () => observer.disconnect();
  }, []);
  return [box, overflows];
}

function cell(column, index, row) {
  const tag = index === 0 ? "th" : "td";
  const semantics = index === 0 ? { role: "rowheader", scope: "row" } : { role: "cell" };
  return html`<${tag} key=${column.id} ...${semantics} class=${cellClass(column)} data-label=${column.label}>
    <div class="value">${column.cell(row)}</div>
  </${tag}>`;
}

function cellClass(column) {
  return `col-${column.id}${column.numeric ? " numeric" : ""}`;
}

/** Grey bars in the shape of what is coming, so that nothing jumps when it comes. */
export function Skeleton({ rows, label }) {
  return html`<div class="skeleton" role="status">
    <span class="unseen">${label}</span>
    ${Array.from({ length: rows }, (_, index) => html`<div key=${index} class="bar" aria-hidden="true"></div>`)}
  </div>`;
}
