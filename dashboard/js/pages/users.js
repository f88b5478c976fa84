import { Follow } from "../components/follow.js";
import { Leaders } from "../components/leaders.js";
import { Page } from "../components/page.js";
import { html } from "../html.js";

/** Whom we follow: what each made and what copying him made; somebody new is looked up first. */
export function Users({ query }) {
  return html`<${Page} title="Users" sub="The wallets that are followed: what they did, and what copying them came to.">
    <${Leaders} query=${query} />
    <${Follow} />
  <//>`;
}
