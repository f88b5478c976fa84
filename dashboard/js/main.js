import { render } from "preact";

import { Root } from "./components/sign-in.js";
import { html } from "./html.js";
import { redeem, takeReason, takeToken } from "./session.js";

const token = takeToken();
let reason = takeReason();
if (token) await redeem(token).catch((error) => (reason = error.detail || error.message));
const root = document.getElementById("app");
root.replaceChildren();
render(html`<${Root} reason=${reason} />`, root);
