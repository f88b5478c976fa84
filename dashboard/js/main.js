import { render } from "preact";

import { App } from "./app.js";
import { html } from "./html.js";
import { createResources } from "./resources.js";
import { readFilter } from "./route.js";

const resources = createResources(readFilter());
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${App} resources=${resources} />`, root);
for (const poller of Object.values(resources)) poller.start();
