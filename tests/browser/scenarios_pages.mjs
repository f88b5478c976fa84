// The shell and the pages that only show: overview, one user, the global portfolio.
import assert from "node:assert/strict";

import {
  assertNoAxeViolations,
  assertNoSidewaysScroll,
  eventually,
  expectText,
  loaded,
  PHONE,
  POLL_MS,
  REFUSED,
  requestsSoFar,
  rowsOf,
  setState,
  visit,
} from "./stage.mjs";

const ABSENT = /status of 404/;
const CONFLICT = /status of 409/;
const SLOWEST_POLL_MS = 30_000;

const KESTREL = async () => {
  const { createHash } = await import("node:crypto");
  return `0x${createHash("sha256").update("Kestrel").digest("hex").slice(0, 40)}`;
};
const PATHS = async () => ["#/overview", "#/portfolio", `#/users/${await KESTREL()}`];

/** How many places of a drawing carry ink; a canvas without a curve has only its grid. */
const inkOf = (page, chart) =>
  page.locator(chart).first().evaluate((canvas) => {
    const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
    const colours = new Set();
    for (let at = 0; at < data.length; at += 4) if (data[at + 3] > 0) colours.add(`${data[at]},${data[at + 1]},${data[at + 2]}`);
    return colours.size;
  });

async function assertAxe(browser, path) {
  for (const options of [{}, PHONE]) {
    await visit(browser, { options, path }, async (page) => {
      await loaded(page);
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await assertNoAxeViolations(page, `${path}, ${colorScheme}, ${options.isMobile ? "phone" : "desktop"}`);
      }
    });
  }
}

async function assertFits(browser, path) {
  for (const [width, options] of [[390, PHONE], [900, { viewport: { width: 900, height: 800 } }]]) {
    await visit(browser, { path, options }, async (page) => {
      for (const state of ["normal", "hostile", "breakers"]) {
        await setState(state);
        await page.reload();
        await loaded(page);
        await assertNoSidewaysScroll(page, width);
        assert.equal(await page.locator("img, main b").count(), 0);
        assert.equal(await page.evaluate(() => window.pwned), undefined);
      }
    });
  }
}

export const pages = {
  async "overview: figures, curve, leaders, markets, latest trades"(browser) {
    await visit(browser, { path: "" }, async (page) => {
      await loaded(page);
      assert.equal(await page.title(), "Overview · papercopy");
      await expectText(page.locator(".headline"), /Global equity\s*10,075\.59\s*Today\s*\+18\.20\s*\+0\.18\s%\s*7 days\s*\+61\.33[^]*Since start\s*\+75\.59\s*\+0\.76\s%\s*Drawdown\s*31\.20[^]*Win rate\s*56\.0\s%\s*of 184 closed\s*Exposure\s*[\d,.]+\s*\d+\.\d\s% of equity/);
      await expectText(page.locator(".health"), /System\s*ok[^]*Chain socket\s*up\s*block 79,412,004[^]*Fills queued\s*0[^]*Dead letters\s*0/);
      await expectText(page.locator(".panel-equity"), /\+75\.59 over the last 24 hours, drawdown at most[^]*Equity 10,075\.59[^]*Drawdown/);
      assert.equal(await page.locator(".panel-equity canvas").count(), 3);
      await eventually(async () => assert.ok((await inkOf(page, ".panel-equity canvas")) > 8));
      await expectText(rowsOf(page, "top-leaders").first(), /^Kestrel\s*\+12\.41\s*\+44\.98\s*\+71\.20\s*72\s%\s*83\s%$/);
      await expectText(rowsOf(page, "top-leaders").nth(2), /^quiet-otter\s*\u22123\.12\s*\u22128\.00/);
      assert.equal(await rowsOf(page, "exposure").count(), 6);
      await expectText(rowsOf(page, "exposure").first(), /\?[^]*\d+\.\d\d\s*\d+\s%\s*[+\u2212]\d/);
      await expectText(rowsOf(page, "latest").first(), /^\d+ s\s*quiet-otter\s*BUY No[^]*0\.933\s*4,331\.50$/);
      for (const caption of ["Top leaders", "Exposure by market", "Latest trades of the leaders"]) {
        assert.equal(await page.getByRole("table", { name: caption, exact: true }).count(), 1, caption);
      }
    });
  },

  async "overview: the curve's span is in the address, the curve is also a table"(browser) {
    await visit(browser, { path: "#/overview?span=7d" }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".panel-equity"), /over the last 7 days/);
      await page.getByRole("radio", { name: "1 h" }).check({ force: true });
      assert.equal(new URL(page.url()).hash, "#/overview?span=1h");
      await expectText(page.locator(".panel-equity"), /over the last hour/);
      assert.match(await page.locator(".panel-equity [role=img]").first().getAttribute("aria-label"), /^Equity over the last hour: from [\d,.]+ to 10,075\.59, 60 points\.$/);
      await page.locator(".panel-equity summary").click();
      await expectText(page.locator(".panel-equity .chart-table tbody tr").first(), /2026-11-20 10:16\s*10,075\.59/);
    });
  },

  async "overview: before anybody is followed"(browser) {
    await visit(browser, { state: "empty", path: "#/overview", allowed: ABSENT, fakeClock: true }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".panel-equity .freshness"), /^nothing there$/);
      await expectText(page.locator(".panel-equity"), /No equity curve yet\./);
      await expectText(page.locator(".panel-latest"), /No fills yet\./);
      await expectText(page.locator(".panel-top-leaders"), /No wallet is followed yet\./);
      await expectText(page.locator(".panel-top-markets"), /Nothing is held\./);
      await expectText(page.locator(".control"), /Nothing is copied yet/);
      assert.equal(await page.locator(".connection").count(), 0, "an answer of 404 is no connection problem");
      await assertNoAxeViolations(page, "empty overview");
      await setState("normal");
      await page.clock.runFor(SLOWEST_POLL_MS + 100);
      await rowsOf(page, "top-leaders").first().waitFor();
      await expectText(page.locator(".panel-equity .freshness"), /^live$/);
    });
  },

  async "overview: snapshots that are not there yet"(browser) {
    await visit(browser, { state: "quiet", path: "#/overview" }, async (page) => {
      await expectText(page.locator(".panel-equity"), /Not enough snapshots yet\. One is taken every minute/);
    });
  },

  async "overview: a server without these routes"(browser) {
    await visit(browser, { state: "partial", path: "#/overview", allowed: ABSENT }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".headline"), /Global equity\s*–\s*Today\s*–/);
      await rowsOf(page, "latest").first().waitFor();
    });
  },

  async "overview, user, portfolio: loading"(browser) {
    for (const path of await PATHS()) {
      await visit(browser, { state: "stalled", path }, async (page) => {
        await page.locator("main .skeleton").first().waitFor();
        assert.ok((await page.locator("main [aria-busy=true]").count()) >= 3, path);
        await expectText(page.locator("main .panel .freshness").first(), /^loading$/);
        await assertNoAxeViolations(page, `loading ${path}`);
        await setState("normal");
        await loaded(page);
        await page.locator("main canvas").first().waitFor();
      });
    }
  },

  async "overview, user, portfolio: error before any data"(browser) {
    for (const path of await PATHS()) {
      await visit(browser, { state: "error", path, allowed: REFUSED }, async (page) => {
        await expectText(page.locator("main"), /Nothing to show yet\. Service Unavailable \(503\): the store does not answer\./);
        await expectText(page.locator(".connection"), /Cannot load [^]*Since \d\d:\d\d:\d\d \(\d s\), trying again (in \d s|now)/);
        await assertNoAxeViolations(page, `error ${path}`);
        await setState("normal");
        await page.getByRole("button", { name: "Try now" }).click();
        await page.locator("main canvas").first().waitFor();
        await page.locator(".connection").waitFor({ state: "detached" });
      });
    }
  },

  async "overview, user, portfolio: stale data stays and says how old and why"(browser) {
    for (const path of await PATHS()) {
      await visit(browser, { path, fakeClock: true, allowed: REFUSED }, async (page) => {
        await loaded(page);
        const shown = await page.locator(".headline .figure-large").innerText();
        await setState("error");
        for (let waited = 0; waited < 2 * SLOWEST_POLL_MS; waited += POLL_MS) {
          await page.clock.runFor(POLL_MS);
          await page.waitForTimeout(80);
        }
        await expectText(page.locator(".headline-state"), /^stale, \d+ (s|min) old/);
        assert.match(await page.locator(".headline-state .freshness").getAttribute("title"), /Service Unavailable \(503\): the store does not answer\./);
        assert.equal(await page.locator(".headline .figure-large").innerText(), shown);
        await expectText(page.locator(".connection"), /the store does not answer/);
        await setState("normal");
        await page.getByRole("button", { name: "Try now" }).click();
        await expectText(page.locator(".headline-state"), /^live$/);
      });
    }
  },

  async "pausing asks first, and resuming too"(browser) {
    await visit(browser, { path: "#/overview" }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".control"), /Copying/);
      await page.getByRole("button", { name: "Pause", exact: true }).focus();
      await page.keyboard.press("Enter");
      const dialog = page.getByRole("dialog", { name: "Pause copying?" });
      await expectText(dialog, /stops placing orders on both sides/);
      await assertNoAxeViolations(page, "confirm");
      await page.keyboard.press("Escape");
      await dialog.waitFor({ state: "detached" });
      await expectText(page.locator(".control"), /Copying/);
      await eventually(async () => assert.ok(await page.getByRole("button", { name: "Pause", exact: true }).evaluate((button) => button === document.activeElement)));
      await page.getByRole("button", { name: "Pause", exact: true }).click();
      await page.getByRole("button", { name: "Pause copying" }).click();
      await expectText(page.locator(".control"), /Paused since/);
      await expectText(page.locator(".toasts"), /Copying is paused in 4 portfolios\./);
      await page.reload();
      await expectText(page.locator(".control"), /Paused since 12 min/);
      await page.getByRole("button", { name: "Resume", exact: true }).click();
      await page.getByRole("button", { name: "Resume copying" }).click();
      await expectText(page.locator(".control"), /Copying/);
    });
  },

  async "a refused pause changes nothing and says why"(browser) {
    await visit(browser, { state: "refusing", path: "#/portfolio", allowed: CONFLICT }, async (page) => {
      await loaded(page);
      await page.getByRole("button", { name: "Pause", exact: true }).click();
      await page.getByRole("button", { name: "Pause copying" }).click();
      await expectText(page.getByRole("dialog"), /Conflict \(409\): A portfolio kept moving; try again\./);
      await expectText(page.locator(".control-state"), /^Copying$/);
      await page.getByRole("button", { name: "Cancel" }).click();
      await page.getByRole("dialog").waitFor({ state: "detached" });
    });
  },

  async "open breakers are explained where the switch is"(browser) {
    await visit(browser, { state: "breakers", path: "#/portfolio" }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".control"), /Buys stopped[^]*Today's loss reached its limit[^]*reset by hand[^]*Reset breaker/);
      await expectText(rowsOf(page, "limits").filter({ hasText: "Loss today" }), /reached/);
      await page.getByRole("button", { name: "Reset breaker" }).click();
      await expectText(page.getByRole("dialog"), /Purchases are allowed again/);
    });
  },

  async "user: both curves, gap, rates, distributions, skips, positions, attempts"(browser) {
    const kestrel = await KESTREL();
    await visit(browser, { path: `#/users/${kestrel}` }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".page-head"), /Kestrel\s*on\s*0x\w{4}…\w{4}[^]*0xabab…abab[^]*followed since \d+ h, 1,412 trades, last 1 min ago/);
      assert.equal(await page.locator(".page-head a[target]").first().getAttribute("href"), `https://polymarket.com/profile/${kestrel}`);
      assert.equal(await page.locator(".nav [aria-current]").innerText(), "Users");
      await expectText(page.locator(".headline"), /Tracking gap\s*\u22120\.94\s%\s*\+1\.24\s% ours, \+2\.18\s% his\s*Paid beyond his price\s*31\.87[^]*Attempted\s*62\.3\s%\s*879 of 1,412\s*Filled\s*83\.2\s%[^]*In part\s*10\.0\s%/);
      await expectText(page.locator(".panel-curves"), /Copy \+[\d.]+[^]*Shadow of Kestrel \+[\d,.]+/);
      await expectText(page.locator(".panel-rates"), /Filled\s*731\s*52\s%[^]*Skipped\s*533\s*38\s%/);
      await expectText(page.locator(".panel-slippage"), /819 fills[^]*median \+0\.25¢[^]*95 % \+1\.00¢/);
      await expectText(page.locator(".panel-lag"), /420 trades[^]*median 5\.0 s/);
      await expectText(page.locator(".panel-decay"), /whole book \+0\.21¢[^]*214 copies looked back at\. After 15 s, 77\s% would still be filled/);
      await expectText(rowsOf(page, "skips").first(), /The spread is wider than allowed\.\s*SPREAD_TOO_WIDE\s*214\s*40\s%\s*\u221242\.80\s*after 24h/);
      assert.equal(await rowsOf(page, "skips").count(), 6);
      await rowsOf(page, "positions").first().waitFor();
      assert.deepEqual([...new Set(await page.locator(".table-attempts .name").allInnerTexts())], ["Kestrel"]);
      for (const panel of ["curves", "slippage", "lag", "decay"]) assert.ok((await inkOf(page, `.panel-${panel} canvas`)) > 8, panel);
    });
  },

  async "user: what is chosen is in the address"(browser) {
    const kestrel = await KESTREL();
    await visit(browser, { path: `#/users/${kestrel}` }, async (page) => {
      await loaded(page);
      await page.getByRole("radio", { name: "Equity" }).check({ force: true });
      await page.getByRole("radio", { name: "mid" }).check({ force: true });
      await page.getByRole("combobox", { name: "until" }).selectOption("api");
      await page.getByRole("radio", { name: "His", exact: true }).check({ force: true });
      await page.getByRole("radio", { name: "In global" }).check({ force: true });
      await page.getByRole("radio", { name: "30 d" }).check({ force: true });
      const hash = new URL(page.url()).hash;
      for (const part of ["curve=equity", "against=mid", "stage=api", "held=shadow", "purse=global", "span=30d"]) assert.match(hash, new RegExp(part));
      await page.reload();
      await loaded(page);
      await expectText(page.locator(".panel-curves"), /its equity is no gain/);
      await expectText(page.locator(".panel-lag"), /median 6\.3 s/);
      await expectText(page.locator(".panel-positions"), /What the shadow of Kestrel holds/);
      await expectText(page.locator(".panel-rates"), /in the last 30 days/);
      await page.locator(".panel-slippage summary").click();
      await expectText(page.locator(".panel-slippage .chart-table"), /Range\s*fills[^]*¢ to [^]*¢/);
    });
  },

  async "user: followed and nothing measured yet, or never followed"(browser) {
    const kestrel = await KESTREL();
    await visit(browser, { state: "quiet", path: `#/users/${kestrel}` }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".panel-curves"), /Not enough snapshots yet/);
      await expectText(page.locator(".panel-rates"), /No signal of his in the last 7 days/);
      await expectText(page.locator(".panel-slippage"), /No fill to measure yet/);
      await expectText(page.locator(".panel-lag"), /Nothing measured in the last 24 hours/);
      await expectText(page.locator(".panel-decay"), /Not looked back at yet/);
      await expectText(page.locator(".panel-skips"), /Nothing was skipped/);
      await expectText(page.locator(".panel-positions"), /Nothing is held/);
      await assertNoAxeViolations(page, "quiet user");
    });
    await visit(browser, { path: `#/users/0x${"1".repeat(40)}`, allowed: ABSENT }, async (page) => {
      await expectText(page.locator("main"), /This wallet was never followed\./);
    });
    await visit(browser, { path: "#/users/nonsense" }, async (page) => {
      await expectText(page.locator("main"), /There is no page at users\/nonsense/);
    });
  },

  async "portfolio: positions, exposure, limits, drawdown"(browser) {
    await visit(browser, { path: "#/portfolio" }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".headline"), /Equity\s*10,075\.59[^]*Cash\s*[\d,.]+\s*42\.50 reserved[^]*Drawdown\s*31\.20\s*0\.3\s%/);
      await expectText(rowsOf(page, "limits").first(), /All positions\s*1,233\.26\s*7,052\.91\s*17\s%/);
      await expectText(rowsOf(page, "limits").nth(1), /Largest market\s*339\.78\s*503\.78\s*67\s%/);
      await expectText(rowsOf(page, "limits").filter({ hasText: "Bought today" }), /812\.40\s*none/);
      await expectText(rowsOf(page, "limits").filter({ hasText: "Fills this hour" }), /49\s*60\s*82\s% near/);
      await page.getByRole("radio", { name: "Leaders" }).check({ force: true });
      assert.equal(new URL(page.url()).hash, "#/portfolio?by=leaders");
      await expectText(page.locator(".table-exposure-leaders tbody"), /quiet-otter[^]*%[^]*Mme\. Lefèvre[^]*Kestrel/);
      await page.getByRole("radio", { name: "Categories" }).check({ force: true });
      await expectText(page.locator(".table-exposure-categories tbody"), /Politics/);
      const values = (await page.locator(".table-positions td.col-value").allInnerTexts()).map((text) => Number(text.replace(",", "")));
      assert.deepEqual(values, [...values].sort((a, b) => b - a));
      assert.equal(values.length, 15);
      await page.getByRole("button", { name: "Show 5 more" }).click();
      assert.equal(await rowsOf(page, "positions").count(), 20);
      await expectText(page.locator(".panel-positions .panel-foot"), /20 positions shown, that is all of them/);
    });
  },

  async "portfolio: before anybody is followed"(browser) {
    await visit(browser, { state: "empty", path: "#/portfolio", allowed: ABSENT }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".panel-positions"), /There is no global portfolio yet\./);
      await expectText(page.locator(".panel-limits"), /There is no global portfolio yet\./);
      await assertNoAxeViolations(page, "no portfolio");
    });
  },

  async "pages have addresses, titles and the focus"(browser) {
    await visit(browser, { path: "#/overview" }, async (page) => {
      await loaded(page);
      await page.getByRole("navigation", { name: "Pages" }).getByRole("link", { name: "Portfolio" }).focus();
      await page.keyboard.press("Enter");
      await expectText(page.locator("h1"), /^Global portfolio$/);
      assert.equal(await page.title(), "Global portfolio · papercopy");
      assert.equal(await page.evaluate(() => document.activeElement.tagName), "H1");
      assert.equal(await page.locator(".nav [aria-current=page]").innerText(), "Portfolio");
      await page.locator(".table-positions .name").first().click();
      await page.locator(".panel-curves").waitFor();
      assert.match(page.url(), /#\/users\/0x/);
      await page.goBack();
      await page.goBack();
      await expectText(page.locator("h1"), /^Overview$/);
      await page.evaluate(() => (location.hash = "#/nowhere/at-all"));
      await expectText(page.locator("main"), /There is no page at nowhere\/at-all/);
    });
  },

  async "only what is on screen is asked for, and only parts that changed are sent"(browser) {
    await visit(browser, { path: "#/overview", fakeClock: true }, async (page) => {
      const answers = [];
      page.on("response", async (response) => {
        if (response.url().includes("/api/live") && response.status() === 200) answers.push(await response.json().catch(() => null));
      });
      await loaded(page);
      await page.clock.runFor(POLL_MS + 100);
      await eventually(() => assert.ok(answers.some((answer) => answer && Object.values(answer.parts).every(({ body }) => body === null)), "an unchanged part was sent again"));
      const before = await rowsOf(page, "latest").first().innerText();
      await setState("grown");
      await page.clock.runFor(POLL_MS + 100);
      await eventually(async () => assert.notEqual(await rowsOf(page, "latest").first().innerText(), before));
      await page.evaluate(() => (location.hash = "#/nowhere"));
      await expectText(page.locator("h1"), /^No such page$/);
      const left = await requestsSoFar();
      await page.clock.runFor(3 * SLOWEST_POLL_MS);
      const later = await requestsSoFar();
      assert.ok(later.requests["/api/live"] > left.requests["/api/live"]);
      for (const path of ["/api/pnl", "/api/portfolio/global", "/api/portfolios/main.global/snapshots"]) assert.equal(later.requests[path], left.requests[path], path);
    });
  },

  async "overview: axe, light and dark, desktop and phone"(browser) {
    await assertAxe(browser, (await PATHS())[0]);
  },

  async "portfolio: axe, light and dark, desktop and phone"(browser) {
    await assertAxe(browser, (await PATHS())[1]);
  },

  async "user: axe, light and dark, desktop and phone"(browser) {
    await assertAxe(browser, (await PATHS())[2]);
  },

  async "overview: no sideways scroll, strangers' text stays text"(browser) {
    await assertFits(browser, (await PATHS())[0]);
  },

  async "portfolio: no sideways scroll, strangers' text stays text"(browser) {
    await assertFits(browser, (await PATHS())[1]);
  },

  async "user: no sideways scroll, strangers' text stays text"(browser) {
    await assertFits(browser, (await PATHS())[2]);
  },
};
