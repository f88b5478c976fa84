import { useState } from "preact/hooks";

import { useChange } from "../change.js";
import { serverNow } from "../clock.js";
import { clockTime, exactTime, shortHex } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { marketLists, markets } from "../resources.js";
import { hashOf } from "../route.js";
import { Select, TextField } from "./field.js";
import { changeList } from "./market-parts.js";
import { Panel } from "./panel.js";
import { Table } from "./table.js";
import { Tag } from "./values.js";

const CONDITION = /^0x[0-9a-f]{64}$/i;

/** The blacklist and the whitelist, with what takes an entry off and puts one on. */
export function MarketLists() {
  const snapshot = useSnapshot(marketLists());
  const known = useSnapshot(markets()).value?.items ?? [];
  const change = useChange();
  const entries = snapshot.value?.entries ?? [];
  const names = new Map(known.map((row) => [row.condition_id, row.question]));
  const columns = [
    { id: "what", label: "Entry", cell: (row) => html`<${Entry} row=${row} name=${names.get(row.value)} />` },
    { id: "listing", label: "List", cell: (row) => html`<${Tag} tone=${row.listing === "blacklist" ? "warn" : "accent"}>${row.listing}<//>` },
    { id: "by", label: "By", cell: (row) => html`<bdi>${row.by}</bdi><div class="sub" title=${exactTime(row.ts)}>${clockTime(row.ts, serverNow())}</div>` },
    { id: "off", label: "Change", cell: (row) => html`<button type="button" class="row-action" disabled=${Boolean(change.busy)} onClick=${() => change.run(row.value, () => changeList({ ...row, action: "remove", note: "" }, "The entry"))}>${change.busy === row.value ? "Working" : "Take off"}<span class="unseen"> ${names.get(row.value) || row.value}</span></button>` },
  ];
  return html`<${Panel} id="lists" title="Market lists" summary="The blacklist keeps purchases out; with a whitelist nothing else is bought. Sales are always copied." snapshot=${snapshot} loadingRows=${3} loadingLabel="Loading the lists">
    ${entries.length ? html`<${Table} name="lists" caption="Market lists" columns=${columns} rows=${entries} idOf=${(row) => `${row.listing} ${row.kind} ${row.value}`} />` : html`<div class="message"><p><strong>Both lists are empty.</strong> Every market may be copied.</p></div>`}
    <${NewEntry} change=${change} />
  <//>`;
}

function Entry({ row, name }) {
  const what = row.kind === "category" ? html`Category <bdi>${row.value}</bdi>` : html`<a href=${hashOf(["markets", row.value])} title=${row.value}><bdi>${name || shortHex(row.value)}</bdi></a>`;
  return html`${what}${row.note ? html`<div class="sub"><bdi>${row.note}</bdi></div>` : null}`;
}

function NewEntry({ change }) {
  const [listing, setListing] = useState("blacklist");
  const [text, setText] = useState("");
  const [note, setNote] = useState("");
  const value = text.trim().toLowerCase();
  const add = async (event) => {
    event.preventDefault();
    const kind = CONDITION.test(value) ? "market" : "category";
    const done = await change.run("add", () => changeList({ action: "add", listing, kind, value, note: note.trim() }, kind === "market" ? "The market" : `Category “${value}”`));
    if (!done) return;
    setText("");
    setNote("");
  };
  return html`<form class="list-form" onSubmit=${add}>
    <${Select} label="List" name="listing" value=${listing} options=${[["blacklist", "Blacklist"], ["whitelist", "Whitelist"]]} onChange=${setListing} />
    <${TextField} label="Category, or a market's condition id" name="entry" maxlength="80" value=${text} onInput=${setText} placeholder="sports" />
    <${TextField} label="Note" name="note" maxlength="200" value=${note} onInput=${setNote} />
    <button type="submit" disabled=${!value || Boolean(change.busy)}>${change.busy === "add" ? "Adding" : "Add"}</button>
    <p class="failed" role="alert">${change.failed?.text}</p>
  </form>`;
}
