import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { session, system } from "../resources.js";
import { Panel } from "./panel.js";
import { SignOut } from "./sign-out.js";
import { exactTime } from "../format.js";

/** Who is signed in, until when, on what; and the way out. */
export function SessionPanel() {
  const snapshot = useSnapshot(session());
  const built = useSnapshot(system()).value;
  const { value } = snapshot;
  return html`<${Panel} id="session" title="Session and build" snapshot=${snapshot} loadingRows=${2} loadingLabel="Loading the session">
    <dl class="pairs panel-body">
      <dt>Signed in as</dt><dd><bdi>${value?.subject ?? "–"}</bdi></dd>
      <dt>Until</dt><dd>${value?.expires_at ? exactTime(value.expires_at).slice(0, 16) : "–"}</dd>
      <dt>Stage</dt><dd>${built ? `${built.stage}, ${built.engine} engine, ${built.venue} venue` : "–"}</dd>
      <dt>Version</dt><dd>${built?.version ?? "–"}</dd>
    </dl>
    <div class="panel-body session-out"><${SignOut} /></div>
  <//>`;
}
