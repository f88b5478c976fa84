import { useState } from "preact/hooks";

import { postJson } from "../api.js";
import { useChange } from "../change.js";
import { counted } from "../format.js";
import { setQuery, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { config as configOf, configUrl, refresh } from "../resources.js";
import { changesOf, GROUPS, grouped, labelOf } from "../settings.js";
import { Panel } from "./panel.js";
import { SettingRow } from "./setting-row.js";
import { toast } from "./toast.js";
import { WhatIf } from "./what-if.js";

/** What was typed and not saved, by scope: it survives a look at another page. */
const drafts = new Map();
const UNTOUCHED = { draft: {}, base: null };
const NAMED = /^(?:settings[.:] ?)?([a-z_]+): ?(.*)$/s;

/**
 * The settings of one scope as a form: edits are a draft until they are saved, and a save names the
 * version they were read at, so that nobody is overwritten unseen. `beside` and `below` are shown next to it.
 */
export function SettingsForm({ scope, title, query, beside = null, below: under = null }) {
  const poller = configOf(scope);
  const snapshot = useSnapshot(poller);
  const general = useSnapshot(configOf("global"));
  const [{ draft, base }, setEdits] = useState(drafts.get(scope) ?? UNTOUCHED);
  const change = useChange();
  const { value } = snapshot;
  const { changes, errors } = value ? changesOf(value.fields, value, draft) : { changes: {}, errors: {} };
  const refused = refusedSetting(change.failed, value?.fields);
  const edit = (name, text) => {
    change.forget();
    const next = { ...draft, [name]: text };
    if (text === undefined) delete next[name];
    keep({ draft: next, base: Object.keys(draft).length ? base : value.version });
  };
  const keep = (edits) => {
    drafts.set(scope, edits);
    setEdits(edits);
  };
  const discard = () => {
    change.forget();
    keep(UNTOUCHED);
  };
  const save = async () => {
    const stored = await change.run("save", async () => {
      try {
        await postJson(configUrl(scope), { version: base, changes });
        // Until what is stored now was read, the form stays closed: the next draft begins at it.
        await refresh("/api/config", "/api/trigger-mode", "/api/live");
        return true;
      } catch (error) {
        if (error.status !== 409) throw error;
        // Theirs is on screen then, the draft still on top: the next save is made knowing both.
        await poller.pollNow();
        keep({ draft, base: poller.snapshot.value?.version ?? base });
        throw error;
      }
    });
    if (!stored) return;
    keep(UNTOUCHED);
    toast(`${counted(Object.keys(changes).length, "setting")} saved. Decisions follow within seconds.`);
  };
  const behind = value && base !== null && Object.keys(draft).length > 0 && value.version !== base;
  return html`<div class="config-columns">
    <div class="config-main">
      <${Panel} id="settings" title=${title} summary=${value ? summaryOf(value) : null} snapshot=${snapshot} loadingRows=${12} loadingLabel="Loading settings" tools=${value ? html`<${Find} text=${query.find ?? ""} />` : null} absent=${html`<p><strong>Nobody of this address was followed.</strong> <a href="#/users">All users</a></p>`}>
        ${value?.refused ? html`<p class="message failed" role="alert">What is stored cannot be used, and nothing is copied under it: ${value.refused}. The defaults are shown.</p>` : null}
        ${
          value
            ? grouped(value.fields.filter((field) => isFound(field, query.find, draft))).map(
                (group) => html`<section key=${group.id} class="setting-group" aria-labelledby=${`group-${group.id}`}>
                  <header><h3 id=${`group-${group.id}`}>${group.title}</h3><p class="sub">${group.about}</p></header>
                  ${group.fields.map(
                    (field) => html`<${SettingRow}
                      key=${field.name}
                      field=${field}
                      config=${value}
                      inherited=${inheritedOf(field, scope, general.value)}
                      draft=${draft[field.name]}
                      error=${errors[field.name] ?? (refused?.name === field.name ? refused.reason : "")}
                      disabled=${Boolean(change.busy)}
                      change=${(text) => edit(field.name, text)}
                    />`,
                  )}
                </section>`,
              )
            : null
        }
      <//>
      <${SaveBar} draft=${draft} changes=${changes} errors=${errors} change=${change} behind=${behind} save=${save} discard=${discard} />
    </div>
    <aside class="config-aside" aria-label="What is in force, and tests">
      ${beside}
      ${scope === "system" ? null : html`<${WhatIf} scope=${scope} changes=${changes} fields=${value?.fields ?? []} wrong=${Object.keys(errors).length > 0} query=${query} />`}
      ${under}
    </aside>
  </div>`;
}

/** Narrows the rows; what was typed and not saved always stays in sight. */
function Find({ text }) {
  return html`<div class="tools"><label class="select"><span>Find</span><input type="search" name="find" value=${text} placeholder="spread, cap, latency…" onInput=${(event) => setQuery({ find: event.target.value })} /></label></div>`;
}

function isFound(field, text, draft) {
  const sought = (text ?? "").trim().toLowerCase();
  return !sought || field.name in draft || [field.name, labelOf(field.name), field.description, ...(GROUPS[field.group] ?? [])].join(" ").toLowerCase().includes(sought);
}

function summaryOf({ version, overrides }) {
  const set = Object.keys(overrides).length;
  return `${set ? `${counted(set, "setting")} set here` : "Nothing set here"}${version ? `, version ${version}` : ""}`;
}

/** What a setting falls back to when its override here is taken away. */
function inheritedOf(field, scope, below) {
  return scope === "global" || scope === "system" || !below ? field.default : below.values[field.name];
}

/** The setting that a refusal names, and what it says of it. */
function refusedSetting(failed, fields = []) {
  const [, name, reason] = NAMED.exec(failed?.error?.detail ?? "") ?? [];
  return fields.some((field) => field.name === name) ? { name, reason } : null;
}

function SaveBar({ draft, changes, errors, change, behind, save, discard }) {
  const edited = Object.keys(draft).length;
  if (!edited && !change.failed) return null;
  const count = Object.keys(changes).length;
  const wrong = Object.keys(errors);
  const state = wrong.length ? `${wrong.map(labelOf).join(", ")}: not usable as typed` : count ? `${counted(count, "change")} not saved: ${Object.keys(changes).map(labelOf).join(", ")}` : "What was typed is what is stored";
  return html`<div class="save-bar" role="region" aria-label="Changes not saved">
    <div class="save-text">
      <p role="status">${change.busy ? "Saving" : state}</p>
      ${behind && !change.failed ? html`<p class="failed" role="status">Somebody else changed these settings meanwhile. Theirs are shown; the first save is refused, so that you look before you store on top of them.</p>` : null}
      ${change.failed ? html`<p class="failed" role="alert">${change.failed.text}${change.failed.error.status === 409 ? " Theirs are shown above; your changes are kept. Save again to store them on top." : ""}</p>` : null}
    </div>
    <button type="button" disabled=${Boolean(change.busy)} onClick=${discard}>Discard</button>
    <button type="button" class="button-primary" disabled=${Boolean(change.busy) || !count || wrong.length > 0} onClick=${save}>${change.busy ? "Saving" : "Save"}</button>
  </div>`;
}
