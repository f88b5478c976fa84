// One attempt explained: why it was decided so, what the book did meanwhile, and how the order fared.
import { useEffect, useRef, useState } from "preact/hooks";

import { amount, exactTime, latency } from "../format.js";
import { useSnapshot, useTicking } from "../hooks.js";
import { html } from "../html.js";
import { attemptPollers } from "../resources.js";
import { Checks, Facts, Figures, Slices, Stress } from "./attempt-parts.js";
import { statusOf, storyOf, verdictOf } from "./attempt-words.js";
import { sentenceOf } from "./panel.js";
import { Skeleton } from "./table.js";
import { TapeView } from "./tape-view.js";
import { LifeCycle, Side, Tag } from "./values.js";

/** `refs` are the attempts of the list behind it, newest first; `show("")` closes. */
export function AttemptDialog({ attempt: ref, refs, show }) {
  const box = useRef(null);
  useEffect(() => {
    const dialog = box.current;
    const before = document.activeElement;
    dialog.showModal();
    return () => {
      dialog.close();
      before?.focus?.({ preventScroll: true });
    };
  }, []);
  const place = refs.indexOf(ref);
  const onBackdrop = (event) => event.target === box.current && show("");
  return html`<dialog ref=${box} class="attempt" aria-labelledby="attempt-title" onCancel=${(event) => (event.preventDefault(), show(""))} onMouseDown=${onBackdrop}>
    <div class="sheet">
      <nav class="sheet-bar" aria-label="Attempts">
        <button type="button" disabled=${place <= 0} onClick=${() => show(refs[place - 1])}>Newer</button>
        <button type="button" disabled=${place < 0 || place >= refs.length - 1} onClick=${() => show(refs[place + 1])}>Older</button>
        <button type="button" class="close" onClick=${() => show("")}>Close</button>
      </nav>
      <${Explained} key=${ref} attempt=${ref} />
    </div>
  </dialog>`;
}

function Explained({ attempt: ref }) {
  const [pollers] = useState(() => attemptPollers(ref));
  useEffect(() => {
    for (const poller of Object.values(pollers)) poller.start();
    return () => Object.values(pollers).forEach((poller) => poller.stop());
  }, [pollers]);
  const detail = useSnapshot(pollers.attempt);
  const tape = useSnapshot(pollers.tape);
  const { value, error } = detail;
  if (!value) {
    return html`<h2 id="attempt-title" class="unseen">Copy attempt</h2>
      ${error ? html`<${Missing} error=${error} retry=${() => pollers.attempt.pollNow()} />` : html`<${Skeleton} rows=${9} label="Loading the attempt" />`}`;
  }
  return html`${error ? html`<p class="behind" role="status">Not refreshed: ${sentenceOf(error)} It is tried again by itself.</p>` : null}
    <${Head} attempt=${value} />
    <${Story} attempt=${value} />
    <${Figures} attempt=${value} />
    <${TapeView} snapshot=${tape} attempt=${value} />
    <div class="sheet-columns">
      <div>
        <${Checks} attempt=${value} />
        <${Facts} attempt=${value} />
      </div>
      <div>
        <${Slices} attempt=${value} />
        <${Stress} attempt=${value} />
      </div>
    </div>`;
}

function Missing({ error, retry }) {
  const gone = error.status === 404 || error.status === 400;
  return html`<div class="message" role="alert">
    <p><strong>${gone ? "There is no such attempt." : "The attempt did not load."}</strong> ${gone ? "The link may be incomplete, or its portfolio was opened anew." : `${sentenceOf(error)} It is tried again by itself.`}</p>
    ${gone ? null : html`<button type="button" onClick=${retry}>Try now</button>`}
  </div>`;
}

function Head({ attempt }) {
  const { label, tone, hint } = statusOf(attempt);
  const size = attempt.target_shares_micros == null ? "" : ` ${amount(attempt.target_shares_micros)}`;
  return html`<header class="sheet-head">
    <h2 id="attempt-title">
      <${Side} side=${attempt.side} />${size} <bdi>${attempt.outcome || "unknown outcome"}</bdi>
      <span class="sheet-tags"><${Tag} tone=${tone} title=${hint}>${label}<//> <${LifeCycle} state=${attempt.life_cycle} /></span>
    </h2>
    <p class="sheet-market"><bdi>${attempt.question || "Unknown market"}</bdi></p>
    <p class="sub">
      copies <bdi>${attempt.leader_name}</bdi> for the ${attempt.portfolio_kind === "global" ? "global portfolio" : "leader's own portfolio"},
      decided <time datetime=${new Date(attempt.ts_decided).toISOString()}>${exactTime(attempt.ts_decided)}</time>
    </p>
  </header>`;
}

function Story({ attempt }) {
  const story = useTicking(() => storyOf(attempt).join("\n"));
  const reasons = [...new Map([...attempt.decided.reasons, ...attempt.reasons].map((reason) => [reason.code, reason])).values()];
  return html`<section class="story" aria-label="Explanation">
    <p class="verdict">${verdictOf(attempt)}</p>
    ${reasons.length ? html`<ul class="why">${reasons.map((reason) => html`<li key=${reason.code}>${reason.text} <code>${reason.code}</code></li>`)}</ul>` : null}
    <p>${story.split("\n").join(" ")}</p>
    ${attempt.retracted_shares_micros ? html`<p class="behind">The chain took back ${amount(attempt.retracted_shares_micros)} of his shares after we had decided. The paper order stands: a real one would have been placed.</p>` : null}
    ${attempt.decided.health?.degraded ? html`<p class="behind">At the decision: ${attempt.decided.health.detail}</p>` : null}
    ${attempt.late_by_ms > 5_000 ? html`<p class="sub">The step that decided ran ${latency(attempt.late_by_ms)} late; times and book are those of the moment itself.</p>` : null}
  </section>`;
}
