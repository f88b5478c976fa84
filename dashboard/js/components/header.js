import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { Tag } from "./values.js";

/** Where the mode in force came from. */
const SOURCES = { default: "by default", setting: "by stored setting", environment: "by environment" };
const MODES = { both: "chain + Data API", api: "Data API only", polygon: "chain only" };

/** Name, what kind of money and venue this is, and which detection mode is in force and why. */
export function Header({ resources, introOpen, setIntroOpen }) {
  const { value } = useSnapshot(resources.health);
  return html`<header class="masthead">
    <h1>papercopy</h1>
    <${Tag} tone="accent" title="Simulated money: no order is sent">paper<//>
    ${value ? html`<${Setup} health=${value} />` : html`<span class="setup"></span>`}
    <button type="button" class="plain" aria-expanded=${introOpen} aria-controls=${introOpen ? "intro" : undefined} onClick=${() => setIntroOpen(!introOpen)}>
      What is this?
    </button>
  </header>`;
}

function Setup({ health }) {
  const { venue, mode, stage, engine, version } = health;
  const simulated = venue === "simulated";
  const overridden = mode?.source === "environment" && mode.stored && mode.stored !== mode.effective;
  return html`<span class="setup">
    <${Tag} tone=${simulated ? "warn" : "plain"} title=${simulated ? "Markets and leaders come from the built-in simulator" : "Real markets and leaders"}>
      ${venue} venue
    <//>
    <span class="mode">
      <span class="mode-word">Mode</span> <strong>${mode?.effective}</strong>
      <span class="dim"> ${MODES[mode?.effective] ?? ""}, ${SOURCES[mode?.source] ?? mode?.source}</span>
      ${overridden ? html`<${Tag} tone="warn" title=${`The stored setting is ${mode.stored}; the environment overrides it`}>overrides stored ${mode.stored}<//>` : null}
    </span>
    <span class="build dim">${stage} · ${engine} · ${version}</span>
  </span>`;
}
