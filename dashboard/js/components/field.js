// Form fields with their label, hint and error tied together for screen readers.
import { useId } from "preact/hooks";

import { html } from "../html.js";

/** `children(attributes)` renders the control itself with what it must carry. */
export function Field({ label, hint = "", error = "", unit = "", children }) {
  const id = useId();
  const described = [hint && `${id}-hint`, error && `${id}-error`].filter(Boolean).join(" ");
  const attributes = { id, "aria-describedby": described || undefined, "aria-invalid": error ? "true" : undefined };
  return html`<div class=${`field ${error ? "field-wrong" : ""}`}>
    <label for=${id}>${label}</label>
    <div class="field-line">${children(attributes)}${unit ? html`<span class="field-unit">${unit}</span>` : null}</div>
    ${hint ? html`<p class="field-hint" id=${`${id}-hint`}>${hint}</p>` : null}
    ${error ? html`<p class="field-error" id=${`${id}-error`}>${error}</p>` : null}
  </div>`;
}

/** A line of text. */
export function TextField({ label, value, onInput, hint, error, unit, ...rest }) {
  return html`<${Field} label=${label} hint=${hint} error=${error} unit=${unit}>
    ${(attributes) => html`<input type="text" autocomplete="off" spellcheck="false" ...${attributes} ...${rest} value=${value} onInput=${(event) => onInput(event.target.value)} />`}
  <//>`;
}

/** A choice from a list; `options` are `[value, label]`. */
export function Select({ label, value, options, onChange, name }) {
  return html`<label class="select">
    <span>${label}</span>
    <select name=${name} value=${value} onChange=${(event) => onChange(event.target.value)}>
      ${options.map(([each, text]) => html`<option key=${each} value=${each} selected=${each === value}>${text}</option>`)}
    </select>
  </label>`;
}

/** A few choices side by side; `options` are `[value, label]`. */
export function Choices({ legend, name, value, options, onChange, quiet = true }) {
  return html`<fieldset class="choice-set">
    <legend class=${quiet ? "unseen" : ""}>${legend}</legend>
    <div class="choices">
      ${options.map(
        ([each, text]) => html`<label key=${each}>
          <input type="radio" name=${name} value=${each} checked=${each === value} onChange=${() => onChange(each)} />
          <span>${text}</span>
        </label>`,
      )}
    </div>
  </fieldset>`;
}
