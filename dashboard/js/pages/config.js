import { InForce } from "../components/in-force.js";
import { MarketLists } from "../components/market-lists.js";
import { Page } from "../components/page.js";
import { ResetPaper } from "../components/reset-paper.js";
import { Select } from "../components/field.js";
import { SellRule } from "../components/sell-rule.js";
import { SettingsForm } from "../components/settings-form.js";
import { Tabs } from "../components/tabs.js";
import { goTo, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { overview } from "../resources.js";
import { hashOf } from "../route.js";

const ADDRESS = /^0x[0-9a-f]{40}$/;
const TABS = [
  { id: "copying", label: "Copying, all users", href: hashOf(["config"]) },
  { id: "detection", label: "Detection and start", href: hashOf(["config", "detection"]) },
  { id: "lists", label: "Market lists", href: hashOf(["config", "lists"]) },
  { id: "reset", label: "Reset", href: hashOf(["config", "reset"]) },
];

/** Settings by scope: all users, detection, one user; market lists; and the reset of paper portfolios. */
export function Config({ params, query }) {
  const part = params.part ?? "copying";
  const leaders = useSnapshot(overview()).value?.leaders ?? [];
  const name = leaders.find(({ leader }) => leader === part)?.name;
  const options = [["", "One user…"], ...leaders.map((row) => [row.leader, row.name || row.leader])];
  if (ADDRESS.test(part) && !name) options.push([part, part]);
  const tools = html`<${Tabs} label="Settings" tabs=${TABS} current=${part} />
    <${Select} label="Settings of" name="scope" value=${ADDRESS.test(part) ? part : ""} options=${options} onChange=${(leader) => goTo(leader ? ["config", leader] : ["config"])} />`;
  return html`<${Page} title="Config" sub="Changes are audited and hold for decisions made after them." tools=${tools}><${Part} key=${part} part=${part} name=${name} query=${query} /><//>`;
}

function Part({ part, name, query }) {
  if (part === "detection") return html`<${SettingsForm} scope="system" title="Detection and start" query=${query} beside=${html`<${InForce} />`} />`;
  if (part === "lists") return html`<${MarketLists} />`;
  if (part === "reset") return html`<${ResetPaper} />`;
  const around = { beside: html`<${InForce} />`, below: html`<${SellRule} />` };
  if (ADDRESS.test(part)) return html`<${SettingsForm} scope=${part} title=${name ? `Copying ${name}` : "Copying this user"} query=${query} ...${around} />`;
  if (part === "copying") return html`<${SettingsForm} scope="global" title="Copying, all users" query=${query} ...${around} />`;
  return html`<section class="panel"><p class="message"><strong>There are no settings of that name.</strong> <a href="#/config">All settings</a></p></section>`;
}
