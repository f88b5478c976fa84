import { Page } from "../components/page.js";
import { html } from "../html.js";

/** An address that leads nowhere. */
export function Missing({ params }) {
  return html`<${Page} title="No such page">
    <section class="panel"><div class="message">
      <p><strong>There is no page at <code>${params.path}</code>.</strong> The link may be incomplete. <a href="#/overview">Go to the overview</a>.</p>
    </div></section>
  <//>`;
}
