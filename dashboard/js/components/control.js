// Whether copying runs, and the switch. What is shown is what the server said last; between asking and
// its answer, the request is shown as a request.
import { useState } from "preact/hooks";

import { postJson } from "../api.js";
import { counted } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { globalPortfolio } from "../resources.js";
import { Confirm } from "./confirm.js";
import { toast } from "./toast.js";
import { Age } from "./values.js";

const ASKS = {
  pause: {
    verb: "Pause copying",
    busy: "Pausing",
    doing: "pausing, not confirmed yet",
    title: "Pause copying?",
    tone: "danger",
    text: [
      "Every portfolio stops placing orders on both sides, and orders that rest are cancelled.",
      "Trades are still detected and the shadows go on. What leaders sell meanwhile is not copied.",
    ],
    done: (changed) => (changed ? `Copying is paused in ${counted(changed, "portfolio")}.` : "Copying was paused already."),
  },
  resume: {
    verb: "Resume copying",
    busy: "Resuming",
    doing: "resuming, not confirmed yet",
    title: "Resume copying?",
    tone: "primary",
    text: ["Trades decided from now on are copied again. What was missed during the pause is not made up for."],
    done: (changed) => (changed ? `Copying is resumed in ${counted(changed, "portfolio")}.` : "Copying was running already."),
  },
  "reset-breaker": {
    verb: "Reset the drawdown breaker",
    busy: "Resetting",
    doing: "resetting the breaker, not confirmed yet",
    title: "Reset the drawdown breaker?",
    tone: "danger",
    text: ["Purchases are allowed again, and the fall is counted from today's equity on."],
    done: (changed) => (changed ? `The breaker is reset in ${counted(changed, "portfolio")}.` : "The breaker was not open."),
  },
};

/** State and switch of the whole account; the state is the global portfolio's. */
export function CopyingControl() {
  const poller = globalPortfolio();
  const { value, error } = useSnapshot(poller);
  const [asked, setAsked] = useState(null);
  const [pending, setPending] = useState(null);
  const [told, setTold] = useState(null);
  const standing = told && told.at > (value?.now ?? 0) ? told : value;
  if (!standing) {
    return html`<div class="control"><span class="dim">${error?.status === 404 ? "Nothing is copied yet" : error ? "Whether copying runs is not known" : "Loading"}</span></div>`;
  }
  const act = async () => {
    setPending(asked);
    try {
      const { changed, portfolios } = await postJson("/api/control/pause", { action: asked });
      const global = portfolios.find(({ kind }) => kind === "global");
      // The server's word holds until an answer that was read after it.
      if (global) setTold({ ...global, at: (value?.now ?? 0) + 1 });
      toast(ASKS[asked].done(changed.length));
      poller.pollNow();
    } finally {
      setPending(null);
    }
  };
  return html`<div class="control">
    <${State} standing=${standing} pending=${pending} />
    <button type="button" disabled=${pending !== null} onClick=${() => setAsked(standing.paused ? "resume" : "pause")}>${standing.paused ? "Resume" : "Pause"}</button>
    ${standing.breakers.some(({ code }) => code === "BREAKER_DRAWDOWN") ? html`<button type="button" disabled=${pending !== null} onClick=${() => setAsked("reset-breaker")}>Reset breaker</button>` : null}
    ${asked
      ? html`<${Confirm} title=${ASKS[asked].title} confirm=${ASKS[asked].verb} busy=${ASKS[asked].busy} tone=${ASKS[asked].tone} act=${act} close=${() => setAsked(null)}>
          ${ASKS[asked].text.map((sentence) => html`<p key=${sentence}>${sentence}</p>`)}
        <//>`
      : null}
  </div>`;
}

function State({ standing, pending }) {
  const { paused, paused_since: since, breakers } = standing;
  const level = paused || breakers.length ? "warn" : "good";
  return html`<div class=${`control-state level-${pending ? "" : level}`} role="status">
    <div><span class="lamp" aria-hidden="true"></span><strong>${paused ? "Paused" : breakers.length ? "Buys stopped" : "Copying"}</strong>${pending ? html` <span class="dim">${ASKS[pending].doing}</span>` : paused ? html` <span class="dim">since <${Age} at=${since} suffix="" /></span>` : null}</div>
    ${breakers.map(({ code, text }) => html`<div key=${code} class="sub" title=${code}>${text}</div>`)}
  </div>`;
}
