import { useState } from "preact/hooks";

import { useChange } from "../change.js";
import { downloadCsv, PARTS_MAX } from "../exports.js";
import { counted } from "../format.js";
import { html } from "../html.js";
import { toast } from "./toast.js";

/**
 * A button that saves `kinds` (`[kind, label]`, one or several to choose from) as CSV. An export is
 * narrowed by portfolio and time alone, and the button says so where other filters are set.
 */
export function Export({ kinds, filter, othersSet }) {
  const [kind, setKind] = useState(kinds[0][0]);
  const [parts, setParts] = useState(0);
  const change = useChange();
  const save = async () => {
    setParts(0);
    const done = await change.run(kind, () => downloadCsv(kind, filter, setParts));
    if (!done) return;
    toast(done.complete ? `${counted(done.rows, "row")} saved.` : `The file ends after ${counted(done.rows, "row")} (${PARTS_MAX} parts); narrow it by time to get the rest.`, done.complete ? "done" : "failed");
  };
  return html`<div class="export">
    ${
      kinds.length > 1
        ? html`<label class="select"><span class="unseen">What to download</span>
            <select name="export" value=${kind} onChange=${(event) => setKind(event.target.value)}>${kinds.map(([each, label]) => html`<option key=${each} value=${each}>${label}</option>`)}</select>
          </label>`
        : null
    }
    <button type="button" disabled=${Boolean(change.busy)} onClick=${save} title="All rows of the chosen portfolio and time, in full precision">
      ${change.busy ? `Downloading, part ${parts + 1}` : "Download CSV"}
    </button>
    ${othersSet ? html`<span class="sub">all users and markets</span>` : null}
    ${change.failed ? html`<span class="failed" role="alert">${change.failed.text}</span>` : null}
  </div>`;
}
