import { AuditLog } from "../components/audit-log.js";
import { Completeness } from "../components/completeness.js";
import { HealthPanel } from "../components/health.js";
import { Latency } from "../components/latency.js";
import { Backfills, Errors, Sizes, Sources, Work } from "../components/machinery.js";
import { Page } from "../components/page.js";
import { SessionPanel } from "../components/session-panel.js";
import { html } from "../html.js";

/** Whether everything is detected, how fast, what waits, what failed, and who changed what. */
export function System() {
  return html`<${Page} title="System" sub="What is connected, how complete and how fast; what waits, what failed, who changed what.">
    <${HealthPanel} />
    <div class="columns"><${Work} /><${Errors} /></div>
    <div class="columns columns-top"><${Sources} /><div class="stack"><${Backfills} /><${Sizes} /><${SessionPanel} /></div></div>
    <${Completeness} />
    <${Latency} />
    <${AuditLog} />
  <//>`;
}
