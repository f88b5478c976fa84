// Asks before something is changed. It stays open while the request runs and says why it failed.
import { useEffect, useId, useRef, useState } from "preact/hooks";

import { html } from "../html.js";
import { sentenceOf } from "./panel.js";

/**
 * `act()` returns a promise; the dialog closes when it is kept and tells the reason when it is not.
 * `confirm` is the verb on the button; `close()` is called at the end, whichever way.
 */
export function Confirm({ title, confirm, busy = "Working", tone = "plain", act, close, children }) {
  const box = useRef(null);
  const id = useId();
  const [state, setState] = useState({ busy: false, failed: "" });
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.({ preventScroll: true });
    };
  }, []);
  const go = async (event) => {
    event.preventDefault();
    setState({ busy: true, failed: "" });
    try {
      await act();
      close();
    } catch (error) {
      setState({ busy: false, failed: sentenceOf({ ...error, title: error.message, detail: error.detail, status: error.status }) });
    }
  };
  const leave = (event) => {
    event.preventDefault();
    if (!state.busy) close();
  };
  return html`<dialog ref=${box} class="confirm" aria-labelledby=${`${id}-title`} onCancel=${leave}>
    <form onSubmit=${go}>
      <h2 id=${`${id}-title`}>${title}</h2>
      <div class="confirm-text">${children}</div>
      <p class="failed" role="alert">${state.failed}</p>
      <div class="confirm-foot">
        <button type="button" disabled=${state.busy} onClick=${leave}>Cancel</button>
        <button type="submit" class=${`button-${tone}`} disabled=${state.busy}>${state.busy ? busy : confirm}</button>
      </div>
    </form>
  </dialog>`;
}
