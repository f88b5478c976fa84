import { useState } from "preact/hooks";

import { html } from "../html.js";

const SEEN_KEY = "papercopy.intro-seen";

/** Storage may be forbidden; then the explanation simply comes back on the next visit. */
function recall() {
  try {
    return localStorage.getItem(SEEN_KEY) === "yes";
  } catch {
    return false;
  }
}

function remember(seen) {
  try {
    localStorage.setItem(SEEN_KEY, seen ? "yes" : "no");
  } catch {
    // See recall().
  }
}

/** Whether the explanation of paper mode is open, remembered between visits. */
export function useIntro() {
  const [open, setOpen] = useState(() => !recall());
  const change = (next) => {
    remember(!next);
    setOpen(next);
  };
  return [open, change];
}

export function Intro({ close }) {
  return html`<section class="intro" id="intro" aria-label="About paper mode">
    <p>
      papercopy watches the wallets you follow and works out what copying each of their trades would really have
      earned, after delay, spread, depth and fees. It is all on paper: no order is sent, no money moves, and every
      balance on this page is simulated.
    </p>
    <button type="button" onClick=${close}>Got it</button>
  </section>`;
}
