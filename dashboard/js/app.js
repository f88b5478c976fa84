import { useEffect } from "preact/hooks";

import { Attempts } from "./components/attempts.js";
import { Completeness } from "./components/completeness.js";
import { ConnectionBar } from "./components/connection.js";
import { Fills } from "./components/fills.js";
import { Header } from "./components/header.js";
import { Headline } from "./components/headline.js";
import { HealthStrip } from "./components/health.js";
import { Intro, useIntro } from "./components/intro.js";
import { Latency } from "./components/latency.js";
import { Leaders } from "./components/leaders.js";
import { Portfolios } from "./components/portfolios.js";
import { Warnings } from "./components/warnings.js";
import { useFilter } from "./hooks.js";
import { html } from "./html.js";
import { attemptsUrl } from "./resources.js";

export function App({ resources }) {
  const [filter, setFilter] = useFilter();
  const [introOpen, setIntroOpen] = useIntro();
  useEffect(() => resources.attempts.setUrl(attemptsUrl(filter)), [filter]);
  return html`<a class="skip" href="#main" onClick=${skipToMain}>Skip to the content</a>
    <${Header} resources=${resources} introOpen=${introOpen} setIntroOpen=${setIntroOpen} />
    <main id="main" tabindex="-1">
      ${introOpen ? html`<${Intro} close=${() => setIntroOpen(false)} />` : null}
      <${Warnings} resources=${resources} />
      <${HealthStrip} resources=${resources} />
      <${Headline} resources=${resources} />
      <div class="columns">
        <${Portfolios} resources=${resources} />
        <${Leaders} resources=${resources} />
      </div>
      <${Completeness} resources=${resources} />
      <${Latency} resources=${resources} />
      <${Fills} resources=${resources} />
      <${Attempts} resources=${resources} filter=${filter} setFilter=${setFilter} />
    </main>
    <${ConnectionBar} resources=${resources} />`;
}

/** The hash holds the route and its filter, so the skip link moves the focus instead of the hash. */
function skipToMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
