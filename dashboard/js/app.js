import { useEffect, useRef } from "preact/hooks";

import { ConnectionBar } from "./components/connection.js";
import { Header } from "./components/header.js";
import { Intro, useIntro } from "./components/intro.js";
import { Toasts } from "./components/toast.js";
import { Warnings } from "./components/warnings.js";
import { useRoute } from "./hooks.js";
import { html } from "./html.js";
import { pageOf } from "./pages/index.js";

export function App() {
  const route = useRoute();
  const [introOpen, setIntroOpen] = useIntro();
  const { page, params } = pageOf(route.path);
  useArrival(route.path.join("/"));
  return html`<a class="skip" href="#main" onClick=${skipToMain}>Skip to the content</a>
    <${Header} current=${page} introOpen=${introOpen} setIntroOpen=${setIntroOpen} />
    <main id="main" tabindex="-1" class=${`page-${page.id}`}>
      ${introOpen ? html`<${Intro} close=${() => setIntroOpen(false)} />` : null}
      <${Warnings} />
      <${page.View} key=${route.path.join("/")} params=${params} query=${route.query} />
    </main>
    <${Toasts} />
    <${ConnectionBar} />`;
}

/** A new page begins at its top, and with the focus where a screen reader reads it. */
function useArrival(path) {
  const before = useRef(path);
  useEffect(() => {
    if (before.current === path) return;
    before.current = path;
    scrollTo(0, 0);
    document.querySelector("main h1")?.focus({ preventScroll: true });
  }, [path]);
}

/** The hash holds the route and its filter, so the skip link moves the focus instead of the hash. */
function skipToMain(event) {
  event.preventDefault();
  document.getElementById("main").focus();
}
