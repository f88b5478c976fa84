import { choiceOf, boundsOf, labelOf, readable, spanOf, textOf, unitOf, valueOf } from "../settings.js";
import { html } from "../html.js";
import { Tag } from "./values.js";

const ORIGINS = {
  default: { label: "default", tone: "quiet", hint: "Nothing overrides the default" },
  global: { label: "all users", tone: "quiet", hint: "Set for all users" },
  user: { label: "this user", tone: "accent", hint: "Set for this user alone" },
  system: { label: "set", tone: "accent", hint: "Overrides the default" },
};

/**
 * One setting: what it does, its control with unit, default and bounds, and where its value comes from.
 * `draft` is what was typed, undefined while nothing was, null for "take the override away".
 */
export function SettingRow({ field, config, inherited, draft, error, disabled, change }) {
  const { name } = field;
  const removed = draft === null;
  const text = removed ? textOf(field, inherited) : (draft ?? textOf(field, config.values[name]));
  const overridden = name in config.overrides;
  const edited = draft !== undefined;
  const origin = ORIGINS[config.scope === "global" && config.origins[name] === "global" ? "system" : config.origins[name]];
  const id = `setting-${name}`;
  const described = [`${id}-about`, `${id}-bounds`, error && `${id}-error`].filter(Boolean).join(" ");
  const attributes = { id, name, disabled, "aria-describedby": described, "aria-invalid": error ? "true" : undefined };
  return html`<div class=${`setting ${edited ? "setting-edited" : ""} ${error ? "field-wrong" : ""}`} data-setting=${name}>
    <div class="setting-text">
      <label for=${id} title=${name}>${labelOf(name)}</label>
      <p class="sub" id=${`${id}-about`}>${field.description}</p>
    </div>
    <div class="setting-control">
      <div class="field-line"><${Control} field=${field} text=${text} attributes=${attributes} change=${change} /><span class="field-unit">${unitOf(field)}</span></div>
      ${error ? html`<p class="field-error" id=${`${id}-error`}>${error}</p>` : html`<${Spoken} field=${field} text=${text} />`}
    </div>
    <div class="setting-facts sub" id=${`${id}-bounds`}>
      <div>Default ${readable(field, field.default)}</div>
      ${boundsOf(field) ? html`<div>${boundsOf(field)}</div>` : null}
    </div>
    <div class="setting-origin">
      ${removed ? html`<${Tag} tone="warn" title="Not stored yet">will be taken away<//>` : edited ? html`<${Tag} tone="warn" title=${`Stored: ${readable(field, config.values[name])}`}>not saved<//>` : html`<${Tag} tone=${origin.tone} title=${origin.hint}>${origin.label}<//>`}
      ${edited ? html`<button type="button" class="inline" disabled=${disabled} onClick=${() => change(undefined)}>Undo<span class="unseen"> ${labelOf(name)}</span></button>` : overridden ? html`<button type="button" class="inline" disabled=${disabled} onClick=${() => change(null)} title=${`Back to ${readable(field, inherited)}`}>Reset<span class="unseen"> ${labelOf(name)}</span></button>` : null}
    </div>
  </div>`;
}

function Control({ field, text, attributes, change }) {
  if (field.kind === "switch") {
    return html`<span class="switch"><input type="checkbox" role="switch" ...${attributes} checked=${text === "true"} onChange=${(event) => change(String(event.target.checked))} /><span aria-hidden="true">${text === "true" ? "on" : "off"}</span></span>`;
  }
  if (field.kind === "choice") {
    return html`<select ...${attributes} value=${text} onChange=${(event) => change(event.target.value)}>
      ${field.choices.map((each) => html`<option key=${each} value=${each} selected=${each === text}>${choiceOf(each)}</option>`)}
    </select>`;
  }
  return html`<input type="text" inputmode="decimal" autocomplete="off" spellcheck="false" ...${attributes} value=${text} placeholder=${field.optional ? "automatic" : ""} onInput=${(event) => change(event.target.value)} />`;
}

/** Milliseconds as people say them, where that is another figure. */
function Spoken({ field, text }) {
  if (field.unit !== "milliseconds" && field.unit !== "seconds") return null;
  const { value, error } = valueOf(field, text);
  if (error || value === null || (field.unit === "milliseconds" ? value < 1_000 : value < 60)) return null;
  return html`<p class="sub">= ${spanOf(field.unit === "seconds" ? value * 1_000 : value)}</p>`;
}
