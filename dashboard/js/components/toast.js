// Short notes about what just happened, spoken by screen readers and gone by themselves; a failure
// stays until it is dismissed.
import { useEffect, useState } from "preact/hooks";

import { html } from "../html.js";

const SHOWN_MS = 6_000;
const TOASTS_MAX = 3;

let toasts = [];
let count = 0;
const changes = new EventTarget();

function publish(next) {
  toasts = next;
  changes.dispatchEvent(new Event("change"));
}

const dismiss = (id) => publish(toasts.filter((toast) => toast.id !== id));

/** Shows a sentence; `tone` is `done` or `failed`. */
export function toast(text, tone = "done") {
  count += 1;
  const id = count;
  publish([...toasts, { id, text, tone }].slice(-TOASTS_MAX));
  if (tone !== "failed") setTimeout(() => dismiss(id), SHOWN_MS);
}

export function Toasts() {
  const [shown, setShown] = useState(toasts);
  useEffect(() => {
    const follow = () => setShown(toasts);
    changes.addEventListener("change", follow);
    return () => changes.removeEventListener("change", follow);
  }, []);
  return html`<div class="toasts" role="status" aria-live="polite">
    ${shown.map(
      ({ id, text, tone }) => html`<div key=${id} class=${`toast toast-${tone}`}>
        <p>${text}</p>
        <button type="button" class="plain" aria-label="Dismiss" onClick=${() => dismiss(id)}>×</button>
      </div>`,
    )}
  </div>`;
}
