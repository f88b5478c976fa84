import { useEffect, useRef } from "preact/hooks";

import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { PAGES } from "../pages/index.js";
import { live } from "../resources.js";
import { LEVELS } from "./health.js";
import { SignOut } from "./sign-out.js";
import { Tag } from "./values.js";

/** Where the mode in force came from. */
const SOURCES = { default: "by default", setting: "by stored setting", environment: "by environment" };
const MODES = { both: "chain + Data API", api: "Data API only", polygon: "chain only" };

/** Name, pages, which detection mode is in force and why, and whether the system works. */
export function Header({ current, introOpen, setIntroOpen }) {
  const { value } = useSnapshot(live());
  return html`<header class="masthead">
    <a class="brand" href="#/overview">papercopy</a>
    <${Tag} tone="accent" title="Simulated money: no order is sent">paper<//>
    <${Navigation} current=${current} />
    ${value?.system ? html`<${Setup} system=${value.system} />` : html`<span class="setup"></span>`}
    <button type="button" class="plain" aria-expanded=${introOpen} aria-controls=${introOpen ? "intro" : undefined} onClick=${() => setIntroOpen(!introOpen)}>
      What is this?
    </button>
    <${SignOut} />
  </header>`;
}

function Navigation({ current }) {
  const box = useRef(null);
  const section = current.path.split("/")[0];
  useEffect(() => {
    const active = box.current.querySelector("[aria-current]");
    if (active) box.current.scrollLeft = active.offsetLeft - box.current.clientWidth / 2 + active.offsetWidth / 2;
  }, [section]);
  return html`<nav class="nav" aria-label="Pages" ref=${box}>
    ${PAGES.filter(({ nav }) => nav).map(
      ({ path, nav }) => html`<a key=${path} href=${`#/${path}`} aria-current=${path === section ? (current.path === path ? "page" : "true") : undefined}>${nav}</a>`,
    )}
  </nav>`;
}

function Setup({ system }) {
  const { mode, status, venue } = system;
  const simulated = venue === "simulated";
  const overridden = mode?.source === "environment" && mode.stored && mode.stored !== mode.effective;
  return html`<span class="setup">
    ${venue ? html`<${Tag} tone=${simulated ? "warn" : "plain"} title=${simulated ? "Markets and leaders come from the built-in simulator" : "Real markets and leaders"}>${venue} venue<//>` : null}
    <span class="mode" title=${`Detection by ${MODES[mode?.effective] ?? mode?.effective}`}>
      <span class="mode-word">Mode</span> <strong>${mode?.effective}</strong><span class="dim mode-source">, ${SOURCES[mode?.source] ?? mode?.source}</span>
      ${overridden ? html`<${Tag} tone="warn" title=${`The stored setting is ${mode.stored}; the environment overrides it`}>overrides stored ${mode.stored}<//>` : null}
    </span>
    <a class=${`status level-${LEVELS[status] ?? ""}`} href="#/system"><span class="lamp" aria-hidden="true"></span>System ${status}</a>
  </span>`;
}
