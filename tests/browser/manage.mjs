// node manage.mjs URL: drives the pages that look things up and change them against the real API of
// `manage_server.py`, one scenario per line of standard input, answered with one line of JSON each.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";

import { openPage, withBrowser } from "./browser.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const SCENARIO_MS_MAX = 110_000;
const WAIT_MS = 12_000;
const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
const FAILURES = /the server responded with a status of (400|403|404|409|503)/;
const url = process.argv[2];
const WANTED = "0x7a3f5d0c9be14260a8f2c6e1d40b97385ce12f64";

async function control(parameters) {
  const response = await fetch(new URL(`api/fixture?${new URLSearchParams(parameters)}`, url), { method: "POST" });
  assert.ok(response.ok, `the fixture refused ${JSON.stringify(parameters)}`);
  return response.json();
}

/** What the API answers the owner, asked past the page. */
async function api(path) {
  const { cookie } = await control({});
  return (await fetch(new URL(path, url), { headers: { cookie } })).json();
}

/** Opens a page of a new world as its owner; nothing may be complained of but `allowed`. */
async function visit(browser, { path, world = "full", answers = "normal", options = {}, fakeClock = false, allowed = null }, use) {
  await control({ world, answers: "normal", tests: "run" });
  const { cookie } = await control({ answers });
  const { page, context, complaints } = await openPage(browser, url, options);
  context.setDefaultTimeout(WAIT_MS);
  const [name, value] = cookie.split("=");
  await context.addCookies([{ name, value, url }]);
  await context.addInitScript(() => localStorage.setItem("papercopy.intro-seen", "yes"));
  if (fakeClock) await page.clock.install();
  await page.goto(new URL(path, url).href);
  try {
    await use(page, context);
  } finally {
    await control({ answers: "normal" });
  }
  assert.deepEqual(complaints.filter((text) => !allowed?.test(text)), []);
  await context.close();
}

/** Waits until a check passes, and fails with what it says last. */
async function eventually(check) {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  }
}

const expectText = (locator, pattern) => eventually(async () => assert.match((await locator.allInnerTexts()).join("\n"), pattern));
const rowsOf = (page, table) => page.locator(`.table-${table} tbody tr`);
const rowOf = (page, table, text) => rowsOf(page, table).filter({ hasText: text });
const settingOf = (page, name) => page.locator(`[data-setting="${name}"]`);

async function assertClean(page, width, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ["violations"] }));
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0].html} (${nodes[0].failureSummary})`), [], what);
  const extent = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(extent <= width, `${what}: ${extent} px wide on a screen of ${width}`);
}

/** Every page: its address, what shows that it has data, and what it says when there is none. */
async function pagesOf() {
  const [market] = (await api("/api/markets")).items;
  const user = (await api("/api/users")).items.find(({ name }) => name.startsWith("quiet-otter"));
  return [
    { path: "#/users", ready: ".table-leaders tbody tr", empty: /No wallet is followed yet/ },
    { path: "#/trades", ready: ".table-fills tbody tr", empty: /No fills yet/ },
    { path: "#/trades?tab=attempts", ready: ".table-attempts tbody tr", empty: /No copy attempts yet/ },
    { path: "#/markets", ready: ".table-markets tbody tr", empty: /No market concerns us yet/ },
    { path: `#/markets/${market.condition_id}`, ready: ".table-book tbody tr", empty: /This market is not known/ },
    { path: "#/config", ready: ".setting", empty: /Nothing set here/ },
    { path: `#/config/${user.leader}`, ready: ".setting", empty: /Nobody of this address was followed/ },
    { path: "#/config/detection", ready: ".setting", empty: /Nothing set here/ },
    { path: "#/config/lists", ready: ".table-lists tbody tr", empty: /Both lists are empty/ },
    { path: "#/config/reset", ready: ".checks label >> nth=2", empty: /There is no portfolio to reset/ },
    { path: "#/system", ready: ".table-sources tbody tr", empty: /Nothing has reported yet[^]*No gap is open[^]*Nothing was changed yet/ },
  ];
}

const main = (page) => page.locator("#main");

const scenarios = {
  async "users: what they made beside what copying them made"(browser) {
    await visit(browser, { path: "#/users" }, async (page) => {
      await rowsOf(page, "leaders").nth(3).waitFor();
      await expectText(rowOf(page, "leaders", "Kestrel"), /Kestrel\s*0x\w{4}…\w{4}[^]*on\s*\d+\s*\d+ min ago\s*[−+][\d.,]+\s*equity [−\d.,]+\s*[−+][\d.,]+ [−+][\d.]+\s%\s*equity [\d.,]+/);
      const { items } = await api("/api/users?state=sell_only");
      await page.getByLabel("Sell only").check();
      await eventually(async () => assert.equal(await rowsOf(page, "leaders").count(), items.length));
      assert.match(page.url(), /#\/users\?state=sell_only$/);
      assert.equal(await rowsOf(page, "leaders").first().locator("a.name").getAttribute("href"), `#/users/${items[0].leader}`);
    });
  },

  async "users: somebody is looked up by name, shown, and only then followed"(browser) {
    await visit(browser, { path: "#/users" }, async (page) => {
      await page.getByLabel("Wallet address or profile name").fill("river-mint");
      await page.keyboard.press("Enter");
      await expectText(page.locator(".preview"), /river-mint[^]*Steady-Heron[^]*Others of that name:\s*river-mint-2[^]*Trades\s*24[^]*Estimate[^]*Name shown here/);
      assert.ok(!(await api("/api/users")).items.some(({ leader }) => leader === WANTED), "a look must not follow");
      await page.getByLabel("Name shown here").fill("mint");
      await page.getByRole("button", { name: "Follow", exact: true }).click();
      await expectText(page.locator(".toasts"), /mint is followed/);
      await rowOf(page, "leaders", "mint").waitFor();
      assert.equal((await api(`/api/users/${WANTED}`)).name, "mint");
      assert.equal(await page.locator(".preview").count(), 0);
    });
  },

  async "users: an unknown name and a refused one are told apart"(browser) {
    await visit(browser, { path: "#/users", allowed: FAILURES }, async (page) => {
      const look = async (text) => {
        await page.getByLabel("Wallet address or profile name").fill(text);
        await page.getByRole("button", { name: "Look up" }).click();
      };
      await look("nobody-of-this-name");
      await expectText(page.locator(".panel-follow"), /Nobody of that name/);
      await look("0x12");
      await expectText(page.locator(".panel-follow"), /Nobody was looked up\. Invalid parameter \(400\): q/);
    });
  },

  async "users: stopping asks first, says what he is then, and can be undone"(browser) {
    await visit(browser, { path: "#/users" }, async (page) => {
      const row = rowOf(page, "leaders", "Kestrel");
      await row.getByRole("button", { name: "Stop" }).click();
      await expectText(page.getByRole("dialog"), /Stop copying Kestrel\?[^]*sell only/);
      await page.getByRole("button", { name: "Cancel" }).click();
      await expectText(row, /Stop/);
      await row.getByRole("button", { name: "Stop" }).click();
      await page.getByRole("dialog").getByRole("button", { name: "Stop copying" }).click();
      await expectText(row, /sell only[^]*Copy again/);
      await row.getByRole("button", { name: "Copy again" }).click();
      await expectText(row, /Stop/);
      const [again, stopped] = (await api("/api/audit")).items;
      assert.deepEqual([stopped.action, again.action], ["leader.unfollow", "leader.follow"]);
    });
  },

  async "trades: the filter is in the address and survives a reload"(browser) {
    await visit(browser, { path: "#/trades?tab=attempts" }, async (page) => {
      await rowsOf(page, "attempts").first().waitFor();
      await page.locator("select[name=reason]").selectOption("SPREAD_TOO_WIDE");
      await page.locator("select[name=portfolio]").selectOption("main/global");
      const wanted = (await api("/api/copy-attempts?reason=SPREAD_TOO_WIDE&portfolio=main/global")).items.length;
      const shown = async () => assert.equal(await rowsOf(page, "attempts").count(), Math.min(12, wanted));
      await eventually(shown);
      await expectText(page.locator(".filter-note"), /SPREAD_TOO_WIDE: The spread is wider than allowed\./);
      assert.match(page.url(), /#\/trades\?tab=attempts&reason=SPREAD_TOO_WIDE&portfolio=main%2Fglobal$/);
      await page.reload();
      await eventually(shown);
      assert.equal(await page.locator("select[name=reason]").inputValue(), "SPREAD_TOO_WIDE");
      await page.getByLabel("Until").fill("2026-11-20T08:01");
      await expectText(page.locator(".panel-attempts"), /No attempt matches this filter/);
      await page.getByRole("button", { name: "Clear filters" }).click();
      await expectText(rowsOf(page, "attempts"), /executed/);
      assert.match(page.url(), /#\/trades\?tab=attempts$/);
    });
  },

  async "trades: both tabs, by user and market, and every reason code is explained"(browser) {
    await visit(browser, { path: "#/trades" }, async (page) => {
      const { items } = await api("/api/users");
      const { leader } = items.find(({ name }) => name === "Kestrel");
      await page.locator("select[name=leader]").selectOption(leader);
      await eventually(async () => {
        const names = await page.locator(".table-fills .col-leader .name").allInnerTexts();
        assert.deepEqual([...new Set(names)], ["Kestrel"]);
      });
      await page.getByRole("link", { name: "Copy attempts" }).click();
      assert.match(page.url(), new RegExp(`#/trades\\?leader=${leader}&tab=attempts$`));
      await page.getByText("What the reason codes mean").click();
      const { components } = await api("/api/openapi.json");
      const codes = await page.locator(".reason-codes dt").allInnerTexts();
      assert.deepEqual(codes.map((code) => code.trim()).sort(), [...components.schemas.Reason.enum].sort());
    });
  },

  async "trades: CSV of the chosen portfolio holds what the API exports"(browser) {
    await visit(browser, { path: "#/trades?tab=attempts&portfolio=main/global&decision=SKIP" }, async (page) => {
      await rowsOf(page, "attempts").first().waitFor();
      await expectText(page.locator(".export"), /all users and markets/);
      const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download CSV" }).click()]);
      assert.equal(download.suggestedFilename(), "papercopy-attempts.csv");
      const text = await readFile(await download.path(), "utf8");
      const { cookie } = await control({});
      const whole = await (await fetch(new URL("/api/exports/attempts?format=csv&portfolio=main/global", url), { headers: { cookie } })).text();
      assert.equal(text, whole);
      await expectText(page.locator(".toasts"), new RegExp(`${whole.trim().split("\n").length - 1} rows saved`));
    });
  },

  async "markets: quotes and slippage, and the blacklist from list and detail"(browser) {
    await visit(browser, { path: "#/markets?status=held" }, async (page) => {
      const { items } = await api("/api/markets?status=held");
      await eventually(async () => assert.equal(await rowsOf(page, "markets").count(), items.length));
      const row = rowOf(page, "markets", "Arsenal vs. Brentford");
      await expectText(row, /held[^]*sports[^]*Arsenal\s*Brentford\s*0\.640\s*0\.340\s*0\.660\s*0\.360\s*2\.00¢/);
      await row.getByRole("button", { name: "Blacklist" }).click();
      await expectText(row, /blacklisted[^]*Off the blacklist/);
      await row.getByRole("link").click();
      await expectText(page.locator(".panel-listing"), /it is on the blacklist[^]*by local:owner/);
      assert.equal(await page.locator(".table-book").count(), 2);
      await expectText(page.locator(".panel-fared"), /worse than the leader[^]*vs leader/);
      await page.getByRole("button", { name: "Take off This market" }).click();
      await expectText(page.locator(".panel-listing"), /it is on no blacklist/);
      await page.getByLabel("Note, kept with the entry").fill("too many of them");
      await page.getByRole("button", { name: "Blacklist Category" }).click();
      await expectText(page.locator(".panel-listing"), /blacklist[^]*too many of them/);
      const { entries } = await api("/api/market-lists");
      assert.ok(entries.some(({ kind, value, note }) => kind === "category" && value === "sports" && note === "too many of them"));
    });
  },

  async "config: every setting there is has a control, its sentence, unit, default and bounds"(browser) {
    await visit(browser, { path: "#/config" }, async (page) => {
      const { leader } = (await api("/api/users")).items[0];
      for (const [path, route] of [["#/config", "global"], [`#/config/${leader}`, `user/${leader}`], ["#/config/detection", "system"]]) {
        const { fields, values } = await api(`/api/config/${route}`);
        await page.goto(new URL(path, url).href);
        await settingOf(page, fields[0].name).waitFor();
        const shown = await page.locator("[data-setting]").evaluateAll((rows) => rows.map((row) => row.dataset.setting));
        assert.deepEqual([...shown].sort(), fields.map(({ name }) => name).sort(), path);
        for (const { name, description, kind, minimum, maximum, unit } of fields) {
          const row = settingOf(page, name);
          const control = row.locator("input, select");
          assert.equal(await control.count(), 1, name);
          assert.ok(await row.locator(`label[for="setting-${name}"]`).innerText(), `${name} has no label`);
          const text = await row.innerText();
          assert.ok(text.includes(description), `${name} does not say what it does`);
          assert.match(text, /Default \S/, name);
          if (minimum !== null && maximum !== null) assert.match(text, / (up )?to [\d,.]+/, `${name} does not say its bounds`);
          if (unit) assert.ok(await row.locator(".field-unit").innerText(), `${name} does not say its unit`);
          const held = kind === "switch" ? String(await control.isChecked()) : await control.inputValue();
          if (kind !== "number") assert.equal(held, String(values[name] ?? ""), name);
        }
      }
    });
  },

  async "config: a change is a draft until it is saved, then it is stored and audited"(browser) {
    await visit(browser, { path: "#/config" }, async (page) => {
      const row = settingOf(page, "copy_fraction");
      await row.locator("input").fill("3.25");
      await expectText(row, /not saved/);
      await expectText(page.locator(".save-bar"), /1 change not saved: Part of his notional/);
      assert.equal((await api("/api/config/global")).values.copy_fraction, "0.02");
      await page.getByRole("link", { name: "Market lists" }).click();
      await page.getByRole("link", { name: "Copying, all users" }).click();
      await expectText(page.locator(".save-bar"), /1 change not saved/);
      await page.getByRole("button", { name: "Save" }).click();
      await expectText(page.locator(".toasts"), /1 setting saved/);
      assert.equal((await api("/api/config/global")).values.copy_fraction, "0.0325");
      await eventually(async () => assert.equal(await page.locator(".save-bar").count(), 0));
      await row.getByRole("button", { name: "Reset" }).click();
      await expectText(row, /will be taken away/);
      assert.equal(await row.locator("input").inputValue(), "1");
      await page.getByRole("button", { name: "Save" }).click();
      await eventually(async () => assert.deepEqual((await api("/api/config/global")).overrides, {}));
      assert.equal((await api("/api/audit")).items[0].action, "settings.change");
    });
  },

  async "config: what cannot be is said at its setting, before and after asking"(browser) {
    await visit(browser, { path: "#/config", allowed: FAILURES }, async (page) => {
      await settingOf(page, "buy_spread_max").locator("input").fill("2");
      await expectText(settingOf(page, "buy_spread_max"), /Outside 0 to 1 per share\./);
      assert.ok(await page.getByRole("button", { name: "Save" }).isDisabled());
      await settingOf(page, "buy_spread_max").getByRole("button", { name: "Undo" }).click();
      await settingOf(page, "price_band_min").locator("input").fill("0.99");
      await page.getByRole("button", { name: "Save" }).click();
      await expectText(page.locator(".save-bar"), /\(400\)[^]*price_band_min must not be above price_band_max/);
      assert.equal(await settingOf(page, "price_band_min").locator("input").inputValue(), "0.99");
      assert.equal((await api("/api/config/global")).version, 1);
    });
  },

  async "config: a conflict overwrites nobody, keeps what was typed, and shows theirs"(browser) {
    await visit(browser, { path: "#/config", allowed: FAILURES }, async (page) => {
      await settingOf(page, "dust_shares").locator("input").fill("0.5");
      await control({ meanwhile: "config" });
      await page.getByRole("button", { name: "Save" }).click();
      await expectText(page.locator(".save-bar"), /Somebody else changed this meanwhile, and nothing of yours was stored[^]*\(409\)/);
      await eventually(async () => assert.equal(await settingOf(page, "buy_cash_min").locator("input").inputValue(), "6"));
      assert.equal(await settingOf(page, "dust_shares").locator("input").inputValue(), "0.5");
      await page.getByRole("button", { name: "Save" }).click();
      await eventually(async () => {
        const { overrides } = await api("/api/config/global");
        assert.deepEqual([overrides.dust_shares, overrides.buy_cash_min, overrides.copy_fraction], ["0.5", "6", "0.02"]);
      });
    });
  },

  async "config: one user's settings lie on top of everybody's"(browser) {
    const { leader } = (await api("/api/users")).items.find(({ name }) => name === "quiet-otter");
    await visit(browser, { path: `#/config/${leader}` }, async (page) => {
      await expectText(settingOf(page, "buy_cash_max"), /this user/);
      await expectText(settingOf(page, "copy_fraction"), /all users/);
      await expectText(settingOf(page, "dust_shares"), /Default 0\.1 shares[^]*default/);
      await settingOf(page, "copy_fraction").locator("input").fill("0.5");
      await page.getByRole("button", { name: "Save" }).click();
      await expectText(settingOf(page, "copy_fraction"), /this user/);
      await settingOf(page, "copy_fraction").getByRole("button", { name: "Reset" }).click();
      assert.equal(await settingOf(page, "copy_fraction").locator("input").inputValue(), "2", "what it falls back to");
      await page.getByLabel("Find").fill("latency");
      await eventually(async () => assert.ok((await page.locator("[data-setting]").count()) <= 5));
      await expectText(settingOf(page, "copy_fraction"), /will be taken away/);
    });
  },

  async "config: a test shows before and after, and stores nothing"(browser) {
    await visit(browser, { path: "#/config" }, async (page) => {
      await control({ tests: "held" });
      const panel = page.locator(".panel-whatif");
      assert.ok(await panel.getByRole("button", { name: "Test" }).isDisabled(), "nothing to test yet");
      await settingOf(page, "buy_spread_max").locator("input").fill("0.08");
      await settingOf(page, "buy_mid_guard").locator("input").fill("0.08");
      await panel.getByRole("button", { name: "Test" }).click();
      await expectText(panel, /Waiting to be played/);
      assert.equal((await control({ tests: "run" })).ran, 1);
      await expectText(panel, /Tested: Purchase above midpoint 0\.08 per share; Widest spread, purchase 0\.08 per share/);
      const [, id] = /test=([\w-]+)/.exec(page.url());
      const { result } = await api(`/api/config/test/${id}`);
      const { before, after } = result.portfolios.find(({ portfolio_id: name }) => name === "main/global");
      assert.ok(after.executed > before.executed && after.skipped < before.skipped, "wider bounds must copy more");
      await expectText(rowOf(page, "whatif", "Global"), new RegExp(`Global\\s*${after.executed}\\s*was ${before.executed}\\s*${after.skipped}\\s*was ${before.skipped}`));
      await expectText(rowOf(page, "whatif-reasons", "SPREAD_TOO_WIDE"), /SPREAD_TOO_WIDE\s*\d+\s*0/);
      assert.equal((await api("/api/config/global")).version, 1);
      await settingOf(page, "buy_mid_guard").locator("input").fill("0.07");
      await expectText(panel, /What is typed now is something else/);
    });
  },

  async "config: the trigger mode, what is in force, and where it comes from"(browser) {
    await visit(browser, { path: "#/config/detection" }, async (page) => {
      await expectText(page.locator(".panel-inforce"), /both, chain and Data API\s*from the default[^]*Chain socket\s*up[^]*Last poll\s*\d+ s ago\s*every 30 s per user/);
      await settingOf(page, "trigger_mode").locator("select").selectOption("api");
      await page.getByRole("button", { name: "Save" }).click();
      await expectText(page.locator(".panel-inforce"), /api, Data API only\s*from the stored setting[^]*every 10 s per user/);
      assert.equal((await api("/api/trigger-mode")).effective, "api");
    });
  },

  async "config: by keyboard alone, with the sell rule beside it"(browser) {
    await visit(browser, { path: "#/config" }, async (page) => {
      await expectText(page.locator(".panel-sellrule"), /our holding of him × his sale ÷ his holding before it[^]*a quarter[^]*we sell 10/);
      await settingOf(page, "skip_maker").locator("input").focus();
      await page.keyboard.press("Space");
      await expectText(settingOf(page, "skip_maker"), /on[^]*not saved/);
      await page.getByRole("button", { name: "Save" }).focus();
      await page.keyboard.press("Enter");
      await eventually(async () => assert.equal((await api("/api/config/global")).values.skip_maker, true));
      await page.goto(new URL("#/config/reset", url).href);
      await page.getByLabel("Global").focus();
      await page.keyboard.press("Space");
      const opener = page.getByRole("button", { name: "Reset 1 portfolio" });
      await opener.focus();
      await page.keyboard.press("Enter");
      await page.getByRole("dialog").waitFor();
      await page.keyboard.press("Escape");
      await eventually(async () => assert.ok(await opener.evaluate((button) => document.activeElement === button), "the focus goes back"));
    });
  },

  async "what strangers call themselves is text on every page"(browser) {
    await control({ world: "hostile" });
    const known = await pagesOf();
    await visit(browser, { path: "#/users", world: "hostile" }, async (page) => {
      for (const { path, ready } of known) {
        await page.goto(new URL(path, url).href);
        await page.locator(ready).first().waitFor();
        assert.equal(await page.locator("#main img, #main b").count(), 0, path);
        assert.equal(await page.evaluate(() => window.pwned), undefined, path);
      }
      await page.goto(new URL("#/users", url).href);
      await expectText(rowsOf(page, "leaders"), /<img src=x/);
    });
  },

  async "config: the lists take entries on and off, and say why not"(browser) {
    await visit(browser, { path: "#/config/lists", allowed: FAILURES }, async (page) => {
      await page.getByLabel("Category, or a market's condition id").fill("crypto!");
      await page.getByRole("button", { name: "Add" }).click();
      await expectText(page.locator(".list-form"), /\(400\): value/);
      await page.getByLabel("Category, or a market's condition id").fill("crypto");
      await page.locator("select[name=listing]").selectOption("whitelist");
      await page.getByRole("button", { name: "Add" }).click();
      await expectText(rowOf(page, "lists", "crypto"), /Category crypto\s*whitelist\s*local:owner/);
      await rowOf(page, "lists", "crypto").getByRole("button", { name: "Take off" }).click();
      await eventually(async () => assert.equal(await rowsOf(page, "lists").count(), 1));
    });
  },

  async "config: a reset asks, needs the admin token, and opens a new epoch"(browser) {
    await visit(browser, { path: "#/config/reset", allowed: FAILURES }, async (page) => {
      await page.getByLabel("Global").check();
      await page.getByRole("button", { name: "Reset 1 portfolio" }).click();
      const dialog = page.getByRole("dialog");
      await expectText(dialog, /Global: cash, positions and figures begin again/);
      await dialog.getByLabel("Admin token").fill("wrong");
      await dialog.getByRole("button", { name: "Reset", exact: true }).click();
      await expectText(dialog, /Forbidden \(403\)/);
      await dialog.getByLabel("Admin token").fill("t".repeat(43));
      await dialog.getByRole("button", { name: "Reset", exact: true }).click();
      await expectText(page.locator(".toasts"), /1 portfolio opened anew/);
      await expectText(page.locator(".checks"), /Global equity 10,000\.00, epoch 2/);
    });
  },

  async "system: what waits, what failed, who changed what, and the way out"(browser) {
    await visit(browser, { path: "#/system" }, async (page) => {
      await expectText(page.locator(".panel-work"), /Fills queued\s*3[^]*Dead letters\s*2[^]*Refused payloads\s*1[^]*Last leader event\s*1 min ago[^]*Last poll\s*\d+ s ago[^]*Backfills open\s*1[^]*Ledgers\s*1 differ/);
      await expectText(page.locator(".panel-errors"), /exchanges the node did not answer[^]*cash differs by 0\.000001/);
      await expectText(rowOf(page, "sources", "Chain watcher"), /up\s*1 s ago\s*5 h\s*1 min ago\s*79,412,004/);
      await expectText(rowOf(page, "sizes", "activity"), /912,300\s*403 MB/);
      await expectText(rowOf(page, "audit", "settings.change").first(), /local:owner\s*settings\.change\s*quiet-otter\s*buy_cash_max 120\s*order_ttl_ms 20000/);
      await page.locator(".session-out").getByRole("button", { name: "Sign out" }).click();
      await expectText(page.locator("main"), /You are signed out/);
      await eventually(async () => assert.equal(await page.locator(".panel-work").count(), 0));
    });
  },

  async "the users and config pages are accessible on both screens, light and dark"(browser) {
    for (const [options, width] of [[{ colorScheme: "dark" }, 1440], [PHONE, 390]]) {
      await visit(browser, { path: "#/config", options }, async (page) => {
        await settingOf(page, "copy_fraction").locator("input").fill("150");
        await settingOf(page, "dust_shares").locator("input").fill("0.5");
        await assertClean(page, width, "config with a draft");
        await page.goto(new URL("#/users", url).href);
        await page.getByLabel("Wallet address or profile name").fill("river-mint");
        await page.keyboard.press("Enter");
        await page.locator(".preview").waitFor();
        await assertClean(page, width, "users with a preview");
      });
    }
  },

  async "each page with data is clean: wide and phone, light and dark"(browser) {
    const screens = [[{}, 1440], [{ colorScheme: "dark" }, 1440], [PHONE, 390], [{ ...PHONE, colorScheme: "dark" }, 390]];
    for (const [options, width] of screens) {
      await visit(browser, { path: "#/users", options }, async (page) => {
        for (const { path, ready } of await pagesOf()) {
          await page.goto(new URL(path, url).href);
          await page.locator(ready).first().waitFor();
          await assertClean(page, width, `${path} at ${width} ${options.colorScheme ?? "light"}`);
        }
      });
    }
  },

  async "each page without data says so"(browser) {
    await control({ world: "full" });
    const known = await pagesOf();
    await visit(browser, { path: "#/users", world: "empty", allowed: FAILURES }, async (page) => {
      for (const { path, empty } of known) {
        await page.goto(new URL(path, url).href);
        await expectText(main(page), empty);
        await assertClean(page, 1440, `${path} without data`);
      }
    });
  },

  async "each page says that it loads, then shows what came"(browser) {
    await control({ world: "full" });
    for (const { path, ready } of await pagesOf()) {
      await visit(browser, { path, answers: "stalled" }, async (page) => {
        await page.locator("#main .skeleton").first().waitFor();
        assert.equal(await page.locator(ready).count(), 0);
        await control({ answers: "normal" });
        await page.locator(ready).first().waitFor();
      });
    }
  },

  async "each page says why there is nothing, and recovers by itself"(browser) {
    await control({ world: "full" });
    for (const { path, ready } of await pagesOf()) {
      await visit(browser, { path, answers: "error", fakeClock: true, allowed: FAILURES }, async (page) => {
        await expectText(main(page), /Nothing to show yet\. Temporarily unavailable \(503\): the store does not answer\./);
        await expectText(page.locator(".connection"), /Cannot load/);
        await assertClean(page, 1440, `${path} without an answer`);
        await control({ answers: "normal" });
        await page.clock.runFor(6_000);
        await page.locator(ready).first().waitFor();
      });
    }
  },

  async "each page keeps old figures and calls them old"(browser) {
    await control({ world: "full" });
    for (const { path, ready } of await pagesOf()) {
      await visit(browser, { path, fakeClock: true, allowed: FAILURES }, async (page) => {
        await page.locator(ready).first().waitFor();
        await control({ answers: "error" });
        for (let turn = 0; turn < 5; turn += 1) {
          await page.clock.runFor(12_000);
          await page.waitForTimeout(60);
        }
        await expectText(page.locator("#main .freshness").first(), /^stale, \d+ s old|^stale, 1 min old/);
        assert.ok((await page.locator(ready).count()) > 0, `${path} dropped what it knew`);
      });
    }
  },
};

async function play(browser, name) {
  const scenario = scenarios[name];
  if (!scenario) return { error: `there is no scenario ${name}` };
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${SCENARIO_MS_MAX / 1_000} s`)), SCENARIO_MS_MAX);
  });
  try {
    await Promise.race([scenario(browser), late]);
    return { ok: true };
  } catch (error) {
    return { error: `${error.message}\n${error.stack?.split("\n").find((line) => line.includes("manage.mjs:") && !line.includes("eventually")) ?? ""}` };
  } finally {
    clearTimeout(timer);
  }
}

await withBrowser(async (browser) => {
  for await (const name of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await play(browser, name)));
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
});
