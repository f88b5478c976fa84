import { useState } from "preact/hooks";

import { html } from "../html.js";
import { signOut } from "../session.js";

/** Ends the session here and wherever its cookie may have gone. */
export function SignOut() {
  const [failed, setFailed] = useState(false);
  const leave = () => signOut().catch(() => setFailed(true));
  return html`<button type="button" class="plain" onClick=${leave}>${failed ? "Sign out failed, try again" : "Sign out"}</button>`;
}
