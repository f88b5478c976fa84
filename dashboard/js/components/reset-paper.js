import { useState } from "preact/hooks";

import { postJson } from "../api.js";
import { amount, counted } from "../format.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { overview, refresh } from "../resources.js";
import { Confirm } from "./confirm.js";
import { TextField } from "./field.js";
import { Panel } from "./panel.js";
import { toast } from "./toast.js";

const nameOf = (row) => (row.kind === "global" ? "Global" : `Only ${row.leader_name}`);

/** Opening paper portfolios anew: chosen, confirmed, and only with the admin token. */
export function ResetPaper() {
  const snapshot = useSnapshot(overview());
  const portfolios = (snapshot.value?.portfolios ?? []).filter(({ kind }) => kind !== "shadow").sort((a, b) => (a.kind === "global" ? -1 : b.kind === "global" ? 1 : nameOf(a).localeCompare(nameOf(b))));
  const [chosen, setChosen] = useState(new Set());
  const [asked, setAsked] = useState(null);
  const [token, setToken] = useState("");
  const wanted = portfolios.filter((row) => chosen.has(row.portfolio_id));
  const turn = (id) => setChosen(new Set(chosen.has(id) ? [...chosen].filter((each) => each !== id) : [...chosen, id]));
  const all = portfolios.length > 0 && wanted.length === portfolios.length;
  const close = () => {
    setAsked(null);
    setToken("");
  };
  const act = async () => {
    // The epochs are those that were shown when the question was asked: asking twice does no harm.
    const epochs = Object.fromEntries(asked.map((row) => [row.portfolio_id, row.epoch]));
    const { items } = await postJson("/api/admin/reset-paper", { portfolios: epochs }, { "x-admin-token": token.trim() });
    toast(`${counted(items.length, "portfolio")} opened anew.`);
    setChosen(new Set());
    await refresh("/api/overview", "/api/portfolio/global");
  };
  return html`<${Panel} id="reset" title="Reset paper portfolios" summary="Opens a new epoch with fresh cash; the old one is kept and can be exported" snapshot=${snapshot} loadingRows=${2} loadingLabel="Loading portfolios" empty=${portfolios.length === 0 && html`<p><strong>There is no portfolio to reset.</strong></p>`}>
    <div class="panel-body">
      <fieldset class="checks">
        <legend>Portfolios</legend>
        <label><input type="checkbox" checked=${all} onChange=${() => setChosen(new Set(all ? [] : portfolios.map((row) => row.portfolio_id)))} /> <span>All of them</span></label>
        ${portfolios.map((row) => html`<label key=${row.portfolio_id}><input type="checkbox" name="reset" value=${row.portfolio_id} checked=${chosen.has(row.portfolio_id)} onChange=${() => turn(row.portfolio_id)} /> <span><bdi>${nameOf(row)}</bdi> <span class="sub">equity ${amount(row.equity_micros)}, epoch ${row.epoch}</span></span></label>`)}
      </fieldset>
      <button type="button" class="button-danger" disabled=${!wanted.length} onClick=${() => setAsked(wanted)}>Reset ${wanted.length ? counted(wanted.length, "portfolio") : "portfolios"}</button>
    </div>
    ${
      asked
        ? html`<${Confirm} title=${`Reset ${counted(asked.length, "portfolio")}?`} confirm="Reset" busy="Resetting" tone="danger" act=${act} close=${close}>
            <p>${asked.map(nameOf).join(", ")}: cash, positions and figures begin again. Orders under way are cancelled. Trades and the old epoch's ledger are kept.</p>
            <${TextField} label="Admin token" name="admin-token" type="password" value=${token} onInput=${setToken} required hint="Besides your session. Locally it is in a file that only its owner can read; deployed it is a SecureString parameter." />
          <//>`
        : null
    }
  <//>`;
}
