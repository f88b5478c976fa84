import { useEffect } from "preact/hooks";

import { html } from "../html.js";

/** A page: its heading, which takes the focus on arrival, a line about it, its tools, its panels. */
export function Page({ title, heading = null, sub = null, tools = null, children }) {
  useEffect(() => {
    document.title = `${title} · papercopy`;
  }, [title]);
  return html`<header class="page-head">
      <div class="page-name">
        <h1 tabindex="-1">${heading ?? title}</h1>
        ${sub ? html`<p class="page-sub">${sub}</p>` : null}
      </div>
      ${tools ? html`<div class="page-tools">${tools}</div>` : null}
    </header>
    ${children}`;
}
