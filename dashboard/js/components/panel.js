import { STALE_AFTER_DUE_MS } from "../api.js";
import { duration } from "../format.js";
import { useTicking } from "../hooks.js";
import { html } from "../html.js";
import { Skeleton } from "./table.js";

/**
 * A titled part of the screen fed by one resource, with the state of that resource in its head.
 *
 * `empty` is what to say when there is an answer and nothing in it; `error` inside a snapshot with a
 * value means the value is old. A 404 is an answer: `absent` says what it means here. `choices` are small
 * and stand in the head; `tools` have a line of their own.
 */
export function Panel({ id, title, summary = null, snapshot, loadingRows, loadingLabel, choices = null, tools = null, empty, absent = null, children }) {
  return html`<section class=${`panel panel-${id}`} aria-labelledby=${`${id}-title`} aria-busy=${!snapshot.value && !snapshot.error}>
    <header class="panel-head">
      <h2 id=${`${id}-title`}>${title}</h2>
      ${summary ? html`<p class="summary">${summary}</p>` : null}
      ${choices ? html`<div class="panel-choices">${choices}</div>` : null}
      <${Freshness} snapshot=${snapshot} />
    </header>
    ${tools}
    <${Body} snapshot=${snapshot} loadingRows=${loadingRows} loadingLabel=${loadingLabel} empty=${empty} absent=${absent}>${children}<//>
  </section>`;
}

function Body({ snapshot, loadingRows, loadingLabel, empty, absent, children }) {
  if (snapshot.value) return empty ? html`<div class="message">${empty}</div>` : children;
  if (snapshot.error?.status === 404) {
    return html`<div class="message">${absent ?? html`<p><strong>Not available here.</strong> This server does not offer it (404).</p>`}</div>`;
  }
  if (snapshot.error) {
    return html`<div class="message">
      <p><strong>Nothing to show yet.</strong> ${sentenceOf(snapshot.error)} It is tried again by itself.</p>
    </div>`;
  }
  return html`<${Skeleton} rows=${loadingRows} label=${loadingLabel} />`;
}

/** "live", "loading" or "stale, 32 s old" with the reason: what may be concluded from the numbers. */
export function Freshness({ snapshot }) {
  const { confirmedAt, error, intervalMs } = snapshot;
  const text = useTicking(() => {
    if (confirmedAt === null) return !error ? "loading" : error.status === 404 ? "nothing there" : "not available";
    const ageMs = Date.now() - confirmedAt;
    if (ageMs > intervalMs + STALE_AFTER_DUE_MS) return `stale, ${duration(ageMs)} old`;
    return error ? `retrying, ${duration(ageMs)} old` : "live";
  });
  const why = error ? sentenceOf(error) : text.startsWith("stale") ? "No answer has confirmed it since." : undefined;
  return html`<span class=${`freshness freshness-${text.split(/[ ,]/)[0]}`} title=${why}>${text}${why && confirmedAt !== null ? html`<span class="unseen">: ${why}</span>` : null}</span>`;
}

/** A failure as one sentence: "Service Unavailable (503): the store does not answer." */
export function sentenceOf(error) {
  const status = error.status ? ` (${error.status})` : "";
  const detail = error.detail ? `: ${error.detail}` : "";
  const text = `${error.title}${status}${detail}`;
  return /[.!?]$/.test(text) ? text : `${text}.`;
}
