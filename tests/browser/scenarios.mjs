// node scenarios.mjs URL: drives the dashboard against the fixture server, one scenario per line of
// standard input (its name), and answers each with one line of JSON: {"ok": true} or {"error": "…"}.
// Time is the browser's fake clock wherever a scenario has to wait, so nothing really waits.
import assert from "node:assert/strict";
import { createInterface } from "node:readline";

import { withBrowser } from "./browser.mjs";
import { pages } from "./scenarios_pages.mjs";
import {
  assertNoAxeViolations,
  assertNoSidewaysScroll,
  eventually,
  expectText,
  loaded,
  MEASURED_MS,
  PHONE,
  POLL_MS,
  REFUSED,
  requestsSoFar,
  rowsOf,
  setState,
  UNAUTHORIZED,
  url,
  visit,
} from "./stage.mjs";

const ABSENT = /status of 404/;
const ATTEMPTS = "#/trades?tab=attempts";
const SCENARIO_MS_MAX = 25_000;

async function assertExplanationIsClean(browser, options) {
  const cases = await (await fetch(new URL("fixture/cases", url))).json();
  for (const name of ["filled in two", "recording broke off", "killed remainder", "spread too wide"]) {
    await visit(browser, { state: "gallery", path: `#/trades?tab=attempts&attempt=${cases[name]}`, options }, async (page) => {
      await page.locator("dialog .chart svg").waitFor();
      for (const colorScheme of ["light", "dark"]) {
        await page.emulateMedia({ colorScheme });
        await assertNoAxeViolations(page, `${name}, ${colorScheme}, ${options.isMobile ? "phone" : "desktop"}`);
      }
      const extent = await page.locator("dialog").evaluate((box) => box.scrollWidth - box.clientWidth);
      assert.ok(extent <= 0, `${name} scrolls sideways by ${extent} px`);
    });
  }
}

const scenarios = {
  ...pages,

  async "trades and attempts"(browser) {
    await visit(browser, {}, async (page) => {
      await loaded(page);
      await expectText(rowsOf(page, "fills").first(), /10:15:43\s*2\d s ago\s*quiet-otter[^]*BUY\s*4,642\.55\s*0\.933\s*4,331\.50\s*maker\s*\+1\.4 s chain first\s*not seen by api\s*chain only/);
      assert.match(await page.locator(".table-fills time").first().getAttribute("title"), /^2026-11-20 10:15:43\.000 UTC$/);
      assert.equal(await page.getByRole("table", { name: "Latest fills of the leaders", exact: true }).count(), 1);
      await page.getByRole("link", { name: "Copy attempts", exact: true }).click();
      await expectText(rowsOf(page, "attempts").nth(2), /global[^]*executed\s*filled[^]*13\.80\s*of 13\.80[^]*\u22120\.40¢\s*worse[^]*snapshot/);
      await expectText(rowsOf(page, "attempts").nth(4), /skipped\s*NO_POSITION\s*We hold nothing of this leader/);
      assert.equal(await page.getByRole("table", { name: "Latest copy attempts", exact: true }).count(), 1);
    });
  },

  async "all portfolios beside each other"(browser) {
    await visit(browser, { path: "#/portfolio" }, async (page) => {
      await loaded(page);
      await expectText(rowsOf(page, "portfolios").first(), /Global\s*all leaders[^]*10,075\.59\s*\+75\.59\s*\+0\.76/);
      await expectText(rowsOf(page, "portfolios").nth(3), /quiet-otter\s*executable[^]*\u221210\.75/);
    });
  },

  async "what the machinery says"(browser) {
    await visit(browser, { path: "#/system", allowed: ABSENT }, async (page) => {
      await loaded(page);
      await expectText(page.locator(".masthead"), /papercopy\s*paper[^]*simulated venue\s*Mode both, by default[^]*System ok/);
      assert.equal(await page.locator(".warnings").count(), 0);
      await expectText(page.locator(".health"), /Chain socket\s*up\s*block 79,412,004, \d s ago[^]*last poll \d s ago[^]*48,211/);
      for (const caption of ["Completeness per leader", "Latency per leader"]) {
        assert.equal(await page.getByRole("table", { name: caption, exact: true }).count(), 1, caption);
      }
    });
  },

  async "explains paper mode on the first visit only"(browser) {
    await visit(browser, {}, async (page) => {
      await expectText(page.locator(".intro"), /no order is sent, no money moves/);
      await page.getByRole("button", { name: "Got it" }).click();
      await page.reload();
      await loaded(page);
      assert.equal(await page.locator(".intro").count(), 0);
      await page.getByRole("button", { name: "What is this?" }).click();
      await page.locator(".intro").waitFor();
    });
  },

  async "follows new data without a reload"(browser) {
    await visit(browser, { fakeClock: true }, async (page) => {
      await loaded(page);
      const newest = rowsOf(page, "fills").first();
      const before = await newest.innerText();
      assert.equal(await page.locator(".is-new").count(), 0, "nothing is new on the first load");
      await setState("grown");
      await page.clock.runFor(2 * POLL_MS + 100);
      await expectText(page.locator(".panel-fills .summary"), /1,707 trades/);
      await page.locator(".table-fills .is-new").waitFor();
      assert.notEqual(await newest.innerText(), before);
      assert.equal(await page.locator(".table-fills .is-new").count(), 1);
    });
  },

  async "asks conditionally, and not at all while hidden"(browser) {
    await visit(browser, { fakeClock: true }, async (page) => {
      await loaded(page);
      const before = await requestsSoFar();
      for (let polls = 0; polls < 4; polls += 1) {
        await page.clock.runFor(POLL_MS + 100);
        await page.waitForTimeout(80);
      }
      await eventually(async () => {
        const { not_modified: answers } = await requestsSoFar();
        assert.ok(answers >= before.not_modified + 3, `${answers - before.not_modified} of three answers were 304`);
      });
      await page.evaluate(() => {
        Object.defineProperty(document, "hidden", { value: true, configurable: true });
        document.dispatchEvent(new Event("visibilitychange"));
      });
      const asleep = await requestsSoFar();
      await page.clock.runFor(10 * POLL_MS);
      await page.waitForTimeout(100);
      assert.deepEqual((await requestsSoFar()).requests, asleep.requests);
      await page.evaluate(() => {
        delete document.hidden;
        document.dispatchEvent(new Event("visibilitychange"));
      });
      await expectText(page.locator(".panel-fills .freshness"), /^live$/);
      const awake = await requestsSoFar();
      assert.ok(awake.requests["/api/trades"] > asleep.requests["/api/trades"]);
    });
  },

  async "empty"(browser) {
    await visit(browser, { state: "empty", fakeClock: true }, async (page) => {
      await expectText(page.locator(".panel-fills"), /No fills yet\. When a followed wallet trades/);
      await assertNoAxeViolations(page, "empty");
      await setState("normal");
      await page.clock.runFor(POLL_MS + 100);
      await rowsOf(page, "fills").first().waitFor();
    });
    await visit(browser, { state: "empty", path: ATTEMPTS }, async (page) => {
      await expectText(page.locator(".panel-attempts"), /No copy attempts yet\./);
    });
    await visit(browser, { state: "empty", path: "#/system", allowed: ABSENT }, async (page) => {
      await expectText(page.locator(".panel-completeness"), /Nothing measured yet\./);
      await expectText(page.locator(".panel-latency"), /No delays measured yet\./);
    });
  },

  async "loading"(browser) {
    await visit(browser, { state: "stalled" }, async (page) => {
      await page.locator(".panel-fills .skeleton").waitFor();
      assert.equal(await page.locator("[aria-busy=true]").count(), 1);
      await expectText(page.locator(".panel-fills .freshness"), /^loading$/);
      await setState("normal");
      await loaded(page);
    });
  },

  async "error before any data"(browser) {
    await visit(browser, { state: "error", allowed: REFUSED }, async (page) => {
      await expectText(page.locator(".panel-fills"), /Nothing to show yet\. Service Unavailable \(503\): the store does not answer\./);
      await expectText(page.locator(".connection"), /Cannot load [^]*fills\.[^]*Since \d\d:\d\d:\d\d \(\d s\), trying again (in \d s|now)/);
      await assertNoAxeViolations(page, "error");
      await setState("normal");
      await page.getByRole("button", { name: "Try now" }).click();
      await loaded(page);
      await page.locator(".connection").waitFor({ state: "detached" });
    });
  },

  async "error after data: keeps it, says how old, backs off"(browser) {
    await visit(browser, { fakeClock: true, allowed: REFUSED }, async (page) => {
      await loaded(page);
      await setState("error");
      await page.clock.runFor(POLL_MS + 100);
      await expectText(page.locator(".panel-fills .freshness"), /^retrying, \d+ s old/);
      assert.equal(await rowsOf(page, "fills").count(), 12);
      await page.clock.runFor(POLL_MS + 100);
      await page.waitForTimeout(150);
      const before = (await requestsSoFar()).requests["/api/trades"];
      await page.clock.runFor(POLL_MS + 100);
      await page.waitForTimeout(100);
      assert.equal((await requestsSoFar()).requests["/api/trades"], before, "the second retry waits longer");
      await expectText(page.locator(".panel-fills .freshness"), /^stale, \d+ s old/);
      await expectText(page.locator(".connection"), /\(\d+ s\), trying again/);
      await setState("normal");
      await page.getByRole("button", { name: "Try now" }).click();
      await expectText(page.locator(".panel-fills .freshness"), /^live$/);
    });
  },

  async "stale while answers hang"(browser) {
    await visit(browser, { path: ATTEMPTS, fakeClock: true }, async (page) => {
      await loaded(page);
      await setState("stalled");
      await page.clock.runFor(POLL_MS + 100);
      await page.clock.runFor(2 * POLL_MS + 2_000);
      await expectText(page.locator(".panel-attempts .freshness"), /^stale, \d+ s old/);
      await expectText(page.locator(".connection"), /No answer: Nothing came back within 10 s\./);
      await setState("normal");
    });
  },

  async "degraded health"(browser) {
    await visit(browser, { state: "degraded", path: "#/system", allowed: ABSENT }, async (page) => {
      await expectText(page.locator(".health"), /degraded\s*The chain socket is down; fills are detected by the Data API only/);
      await expectText(page.locator(".health"), /Chain socket\s*down\s*connection refused, block 79,412,004, 1 min ago/);
      await expectText(page.locator(".health"), /Dead letters\s*2\s*5 recorded failures/);
      await expectText(page.locator(".health"), /Completeness\s*degraded\s*measured 1\d s ago/);
      await assertNoAxeViolations(page, "degraded");
    });
  },

  async "an overridden setting is said loudly"(browser) {
    await visit(browser, { state: "overridden" }, async (page) => {
      await expectText(page.locator(".warnings"), /The environment overrides the stored setting: mode api is in force, both is stored\./);
      await expectText(page.locator(".masthead"), /Mode api, by environment\s*overrides stored both/);
      await assertNoAxeViolations(page, "overridden");
    });
  },

  async "completeness per leader and hour"(browser) {
    await visit(browser, { path: "#/system", allowed: ABSENT }, async (page) => {
      await loaded(page);
      const leaders = rowsOf(page, "completeness");
      assert.equal(await leaders.count(), 3);
      assert.equal(await leaders.first().locator(".hour").count(), 24);
      await expectText(leaders.first(), /Kestrel\s*1,\d{3}\s*\d+\s*0\s*0\s*0\s*0\s*2 min ago/);
      assert.match(await leaders.first().locator(".strip").getAttribute("aria-label"), /^Kestrel, 24 hours measured: nothing missed or counted twice$/);
      assert.equal(await leaders.nth(2).locator(".hour-unknown").count(), 18);
      assert.equal(await page.locator(".table-completeness .hour-trouble").count(), 0);
      const fold = page.getByRole("button", { name: "Hour by hour" });
      assert.equal(await fold.getAttribute("aria-expanded"), "false");
      await fold.focus();
      await page.keyboard.press("Enter");
      await expectText(rowsOf(page, "hours").first(), /^10:00\s*Kestrel\s*\d+[^]*\d+ \/ \d+\s*13 min$/);
      await expectText(rowsOf(page, "hours").nth(3), /^09:00[^]*whole hour$/);
      await assertNoAxeViolations(page, "hours");
    });
    await visit(browser, { state: "degraded", path: "#/system", allowed: ABSENT }, async (page) => {
      await loaded(page);
      const kestrel = rowsOf(page, "completeness").first();
      await expectText(kestrel.locator(".col-missed"), /^2$/);
      assert.equal(await kestrel.locator(".hour-trouble").count(), 1);
      assert.match(await kestrel.locator(".strip").getAttribute("aria-label"), /10:00: \d+ live, \d+ recovered, 2 missed, 0 duplicated$/);
    });
  },

  async "latency per stage"(browser) {
    await visit(browser, { path: "#/system", allowed: ABSENT }, async (page) => {
      await loaded(page);
      const rows = rowsOf(page, "latency");
      assert.equal(await rows.count(), 4);
      await expectText(rows.first(), /^All leaders\s*2\.0 s\s*3\.2 s · 5\.0 s\s*6\.3 s\s*12\.5 s · 25\.0 s/);
      await expectText(rows.nth(3), /^Mme\. Lefèvre\s*–\s*–/);
    });
  },

  async "each trade says when it was seen, where it stands and why it was not copied"(browser) {
    await visit(browser, {}, async (page) => {
      await loaded(page);
      await expectText(rowsOf(page, "fills").first(), /79,412,000 · log 7/);
      await expectText(rowsOf(page, "fills").nth(9), /backfill\s*not copied: SKIP_BACKFILL/);
    });
    await visit(browser, { path: ATTEMPTS }, async (page) => {
      await expectText(rowsOf(page, "attempts").nth(2).locator(".col-placed"), /^\+\d+\.\d s decided\s*\+\d+\.\d s placed\s*\+\d+\.\d s first fill\s*\+\d+\.\d s done\s*snapshot$/);
    });
  },

  async "the filter lives in the hash and survives a reload"(browser) {
    await visit(browser, { path: ATTEMPTS }, async (page) => {
      await loaded(page);
      await page.getByRole("combobox", { name: "Decision" }).selectOption({ label: "Skipped" });
      await page.getByRole("combobox", { name: "Portfolio" }).selectOption({ label: "Global" });
      await expectText(page.locator(".table-attempts .col-decision").nth(1), /skipped/);
      assert.equal(new URL(page.url()).hash, "#/trades?tab=attempts&decision=SKIP&portfolio=main%2Fglobal");
      const assertFiltered = async () => {
        await rowsOf(page, "attempts").first().waitFor();
        const decisions = await page.locator(".table-attempts td.col-decision").allInnerTexts();
        const portfolios = await page.locator(".table-attempts td.col-leader .sub").allInnerTexts();
        assert.deepEqual([...new Set(decisions)], ["skipped"]);
        assert.deepEqual([...new Set(portfolios)], ["global"]);
      };
      await assertFiltered();
      await page.reload();
      await assertFiltered();
      assert.equal(await page.getByRole("combobox", { name: "Portfolio" }).inputValue(), "main/global");
      await setState("empty");
      await page.getByRole("combobox", { name: "Decision" }).selectOption({ label: "Executed" });
      await expectText(page.locator(".panel-attempts"), /No attempt matches/);
      await setState("normal");
      await page.getByRole("button", { name: "Show all" }).click();
      await expectText(page.locator(".table-attempts .col-decision"), /executed[^]*skipped/);
      assert.equal(new URL(page.url()).hash, ATTEMPTS);
    });
  },

  async "older rows on request"(browser) {
    await visit(browser, {}, async (page) => {
      await loaded(page);
      const older = page.locator(".panel-fills").getByRole("button", { name: "Show older" });
      for (const expected of [62, 112, 130]) {
        await older.click();
        await expectText(page.locator(".panel-fills .panel-foot"), new RegExp(`^${expected} rows shown`));
      }
      await expectText(page.locator(".panel-fills .panel-foot"), /that is all of them/);
      assert.equal(await older.count(), 0);
    });
  },

  async "copies the whole transaction hash"(browser) {
    await visit(browser, { options: { permissions: ["clipboard-read", "clipboard-write"] } }, async (page) => {
      await loaded(page);
      await page.locator(".table-fills .copy").first().click();
      await expectText(page.locator(".table-fills .unseen[role=status]").first(), /Copied/);
      assert.match(await page.evaluate(() => navigator.clipboard.readText()), /^0x[0-9a-f]{64}$/);
    });
  },

  async "axe, light and dark, desktop and phone"(browser) {
    for (const options of [{}, PHONE]) {
      for (const path of ["#/trades", ATTEMPTS, "#/system"]) {
        await visit(browser, { options, path, allowed: ABSENT }, async (page) => {
          await loaded(page);
          for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme });
            await assertNoAxeViolations(page, `${path}, ${colorScheme}, ${options.isMobile ? "phone" : "desktop"}`);
          }
        });
      }
    }
  },

  async "phone: no sideways scroll"(browser) {
    await visit(browser, { options: PHONE }, async (page) => {
      for (const state of ["normal", "hostile", "empty", "degraded"]) {
        await setState(state);
        await page.reload();
        await expectText(page.locator(".panel-fills .freshness"), /^live$/);
        await assertNoSidewaysScroll(page, 390);
      }
    });
    await visit(browser, { options: { viewport: { width: 900, height: 800 } } }, async (page) => {
      await loaded(page);
      await assertNoSidewaysScroll(page, 900);
    });
  },

  async "nothing moves when data arrives again"(browser) {
    await visit(browser, { fakeClock: true }, async (page) => {
      await loaded(page);
      const tops = () => page.locator(".panel").evaluateAll((panels) => panels.map((panel) => panel.getBoundingClientRect().top));
      const before = await tops();
      await setState("grown");
      await page.clock.runFor(POLL_MS + 100);
      await page.locator(".table-fills .is-new").waitFor();
      const after = await tops();
      assert.deepEqual(after.slice(0, 1), before.slice(0, 1));
    });
  },

  async "foreign text stays text"(browser) {
    await visit(browser, { state: "hostile"}, async (page) => {
      await loaded(page);
      await expectText(rowsOf(page, "fills").first(), /<img src=x/);
      await page.getByRole("link", { name: "Copy attempts", exact: true }).click();
      await expectText(rowsOf(page, "attempts").nth(4), /<img src=x/);
      assert.equal(await page.locator("img, main b").count(), 0);
      assert.equal(await page.evaluate(() => window.pwned), undefined);
    });
  },

  async "the policy refuses injected scripts"(browser) {
    await visit(browser, { allowed: /Content Security Policy|Trusted(HTML|Script)/ }, async (page) => {
      await loaded(page);
      const outcome = await page.evaluate(() => {
        try {
          document.body.insertAdjacentHTML("beforeend", "<img src=x onerror='window.pwned=1'>");
          return "inserted";
        } catch (error) {
          return error.name;
        }
      });
      assert.equal(outcome, "TypeError");
      await assert.rejects(page.addScriptTag({ content: "window.pwned = 1" }));
      assert.equal(await page.evaluate(() => window.pwned), undefined);
    });
  },

  async "works by keyboard"(browser) {
    await visit(browser, {}, async (page) => {
      await loaded(page);
      await page.keyboard.press("Tab");
      await page.keyboard.press("Enter");
      assert.equal(await page.evaluate(() => document.activeElement.id), "main");
      assert.equal(new URL(page.url()).hash, "#/trades");
      await page.getByRole("link", { name: "Copy attempts", exact: true }).focus();
      await page.keyboard.press("Enter");
      await page.getByRole("combobox", { name: "Decision" }).focus();
      await page.keyboard.press("e");
      await expectText(page.locator(".table-attempts td.col-decision").first(), /executed/);
      assert.match(page.url(), /decision=EXECUTE/);
    });
  },

  async "an attempt of every kind is explained"(browser) {
    const cases = await (await fetch(new URL("fixture/cases", url))).json();
    const told = {
      filled: [/Copied\. All 33\.19 shares were filled\.[^]*Kestrel bought 3,400\.00 Yes at 0\.412/, "band", "mark-fill", "line-ask"],
      "filled in two": [/then 2 times while it rested, for 0\.4199 on average, 0\.79¢ worse than the leader/, "mark-fill", "mark-print"],
      "resting partly filled": [/Still resting\. 7\.00 of 33\.19 shares are filled so far\.[^]*waits at our limit for \d+ s more; its fate is known up to/, "limit"],
      "resting unfilled": [/Still resting\. Nothing is filled so far\.[^]*Nothing was filled so far/, "band"],
      "on its way": [/On its way\.[^]*The order has not met a book yet/, "gap-lines"],
      "expired in part": [/Copied in part\. 7\.00 of 33\.19[^]*REMAINDER_CANCELLED/, "mark-fill"],
      "expired unfilled": [/Tried, and nothing was filled\.[^]*NO_LIQUIDITY_WITHIN_BOUNDS[^]*rested for 30\.0 s, until its time was up/, "band"],
      "recording broke off": [/TAPE_INCOMPLETE[^]*rested for 12\.\d s, until the recording broke off\.[^]*Not recorded/, "gap-lines"],
      "killed remainder": [/REMAINDER_KILLED[^]*No tape: the book was not recorded then\. The order was filled or killed on one snapshot/, "gap-lines"],
      "snapshot filled": [/Copied\. All[^]*No tape:/, "mark-fill"],
      failed: [/Failed\. The order could not be executed/, "band"],
      sold: [/sold 3,400\.00 Yes at 0\.411[^]*selling for at least/, "line-bid"],
      "worse than leader": [/Not copied\.[^]*WORSE_THAN_LEADER[^]*would be 0\.405/, "limit"],
      "beyond mid": [/BEYOND_MID[^]*SPREAD_TOO_WIDE/, "limit"],
      "price moved": [/PRICE_MOVED/, "limit"],
      "outside band": [/OUTSIDE_PRICE_BAND/, "limit"],
      "spread too wide": [/The spread is wider than allowed\.[^]*Spread\s*0\.023\s*at most 0\.020\s*failed/, "limit"],
      "depth too thin": [/DEPTH_TOO_THIN[^]*Shares inside the limit\s*4\.00\s*at least 41\.49\s*failed/, "limit"],
      "book missing": [/BOOK_MISSING[^]*No tape: the book was not recorded then\.[^]*Age of our book[^]*failed[^]*not reached/],
      "book stale": [/BOOK_STALE[^]*7\.4 s\s*at most 5\.0 s\s*failed[^]*not reached/, "mark-leader"],
      "book too late": [/BOOK_TOO_LATE/, "mark-leader"],
      "closes soon": [/closing soon[^]*MARKET_CLOSES_SOON/, "mark-leader"],
      halted: [/halted[^]*MARKET_CLOSED/, "mark-leader"],
      unhealthy: [/POLYGON_UNHEALTHY[^]*At the decision: The chain socket is down\./, "mark-leader"],
      "no position": [/NO_POSITION[^]*We hold of him\s*0\.00\s*more than 0\s*failed/, "mark-leader"],
      "too small": [/LEADER_TRADE_TOO_SMALL/, "mark-leader"],
      "too old": [/TOO_OLD[^]*5 min\s*at most 5 min\s*failed/, "limit"],
    };
    assert.deepEqual(Object.keys(told).sort(), Object.keys(cases).sort());
    await visit(browser, { state: "gallery" }, async (page) => {
      await loaded(page);
      for (const [name, [pattern, ...marks]] of Object.entries(told)) {
        await page.evaluate((ref) => (location.hash = `#/trades?tab=attempts&attempt=${ref}`), cases[name]);
        await page.locator("dialog .tape :is(.chart, .tape-note)").first().waitFor();
        await expectText(page.locator("dialog"), pattern);
        for (const mark of marks) assert.ok((await page.locator(`dialog .chart .${mark}`).count()) > 0, `${name} draws no ${mark}`);
        await page.getByRole("button", { name: "Close" }).click();
        await page.locator("dialog").waitFor({ state: "detached" });
      }
    });
  },

  async "an attempt opens from its row, by mouse and by keyboard"(browser) {
    await visit(browser, { state: "gallery", path: ATTEMPTS }, async (page) => {
      await loaded(page);
      const row = rowsOf(page, "attempts").nth(4);
      await row.locator(".col-market").click();
      await expectText(page.locator("dialog h2"), /BUY\s*33\.19\s*Yes/);
      assert.match(page.url(), /attempt=/);
      await page.keyboard.press("Escape");
      await page.locator("dialog").waitFor({ state: "detached" });
      assert.doesNotMatch(page.url(), /attempt=/);
      assert.ok(await row.locator(".opener").evaluate((link) => link === document.activeElement), "the focus did not come back");
      await page.keyboard.press("Enter");
      await page.locator("dialog .chart svg").waitFor();
      const before = await page.locator("dialog .verdict").innerText();
      await page.getByRole("button", { name: "Older", exact: true }).click();
      await page.locator("dialog .chart svg").waitFor();
      await eventually(async () => assert.notEqual(await page.locator("dialog .verdict").innerText(), before));
      await page.reload();
      await page.locator("dialog .chart svg").waitFor();
      await page.getByRole("button", { name: "Close" }).click();
      await page.locator("dialog").waitFor({ state: "detached" });
    });
  },

  async "the book can be read at any moment"(browser) {
    const cases = await (await fetch(new URL("fixture/cases", url))).json();
    await visit(browser, { state: "gallery", path: `#/trades?tab=attempts&attempt=${cases["filled in two"]}` }, async (page) => {
      const slider = page.getByRole("slider", { name: "Moment" });
      await slider.waitFor();
      await expectText(page.locator(".ladder"), /Book at \+1\.0 s[^]*0\.412\s*7\.00/);
      await slider.focus();
      await page.keyboard.press("Home");
      await expectText(page.locator(".ladder"), /Book at \u22125\.0 s[^]*0\.412\s*60\.00/);
      assert.match(await slider.getAttribute("aria-valuetext"), /^\u22125\.0 s from the decision: bid 0\.410, ask 0\.412$/);
      await page.getByText("The drawing as a table").click();
      await expectText(rowsOf(page, "moments"), /leader's trade[^]*decided[^]*placed[^]*filled 7\.00[^]*filled 20\.00[^]*filled 6\.19[^]*ended/);
      assert.match(await page.locator(".chart svg").getAttribute("aria-label"), /our buy order at 0\.422, 3 fills, 33\.19 shares/);
    });
  },

  async "an attempt that cannot be shown says so"(browser) {
    await visit(browser, { path: "#/trades?tab=attempts&attempt=bm9uc2Vuc2U", allowed: /status of 404/ }, async (page) => {
      await expectText(page.locator("dialog"), /There is no such attempt\./);
      await assertNoAxeViolations(page, "no such attempt");
    });
    const cases = await (await fetch(new URL("fixture/cases", url))).json();
    const path = `#/trades?tab=attempts&attempt=${cases.filled}`;
    await visit(browser, { state: "stalled", path }, async (page) => {
      await page.locator("dialog .skeleton").waitFor();
      await setState("normal");
      await page.locator("dialog .chart svg").waitFor();
    });
    await visit(browser, { state: "error", path, allowed: REFUSED }, async (page) => {
      await expectText(page.locator("dialog"), /The attempt did not load\. Service Unavailable \(503\)/);
      await setState("normal");
      await page.locator("dialog").getByRole("button", { name: "Try now" }).click();
      await expectText(page.locator("dialog .verdict"), /Copied\./);
    });
  },

  async "a resting attempt is followed, one that is over is not asked again"(browser) {
    const cases = await (await fetch(new URL("fixture/cases", url))).json();
    for (const [name, again] of [["resting unfilled", true], ["filled", false]]) {
      await visit(browser, { state: "gallery", path: `#/trades?tab=attempts&attempt=${cases[name]}`, fakeClock: true }, async (page) => {
        await page.locator("dialog .chart svg").waitFor();
        const asked = async () => (await requestsSoFar()).requests[`/api/copy-attempts/${cases[name]}`];
        const before = await asked();
        const listed = (await requestsSoFar()).requests["/api/copy-attempts"];
        await page.clock.runFor(POLL_MS + 100);
        await eventually(async () => assert.ok((await requestsSoFar()).requests["/api/copy-attempts"] > listed));
        if (again) await eventually(async () => assert.ok((await asked()) > before));
        else assert.equal(await asked(), before);
      });
    }
  },

  async "the explanation: axe, light and dark, desktop"(browser) {
    await assertExplanationIsClean(browser, {});
  },

  async "the explanation: axe, light and dark, phone"(browser) {
    await assertExplanationIsClean(browser, PHONE);
  },

  async "markets say where they stand in their life"(browser) {
    await visit(browser, {}, async (page) => {
      await loaded(page);
      await expectText(page.locator(".table-fills .col-market"), /closing soon/);
    });
    await visit(browser, { path: ATTEMPTS }, async (page) => {
      await expectText(page.locator(".table-attempts .col-market"), /closed/);
    });
    await visit(browser, { state: "gallery", path: "#/users" }, async (page) => {
      await expectText(page.locator(".panel-leaders .panel-foot").first(), /Not copyable by life cycle, of the latest attempts: Kestrel 1 of 14, quiet-otter 1 of 13/);
    });
  },

  async "signed out on this machine: says how to get in, and goes on at the same address"(browser) {
    await visit(browser, { state: "signed-out", path: "#/overview?decision=SKIP", allowed: UNAUTHORIZED }, async (page) => {
      await expectText(page.locator("#main"), /You are signed out[^]*python -m infra\.link/);
      assert.equal(await page.locator(".panel").count(), 0);
      const box = page.getByLabel("Or paste it here");
      await box.fill("http://127.0.0.1:8000/#/sign-in?token=used-token");
      await box.press("Enter");
      await expectText(page.locator(".sign-in-reason"), /This link was used before/);
      await box.fill("http://127.0.0.1:8000/#/sign-in?token=good-token");
      await page.getByRole("button", { name: "Sign in" }).click();
      await loaded(page);
      assert.equal(new URL(page.url()).hash, "#/overview?decision=SKIP");
    });
  },

  async "a link signs in and its token leaves the address"(browser) {
    await visit(browser, { state: "signed-out", path: "#/sign-in?token=good-token" }, async (page) => {
      await loaded(page);
      assert.equal(new URL(page.url()).hash, "#/overview");
      assert.equal(await page.evaluate(() => performance.getEntries().some(({ name }) => /token/.test(name.split("#")[0]))), false);
    });
    await visit(browser, { state: "signed-out", path: "#/sign-in?token=used-token", allowed: UNAUTHORIZED }, async (page) => {
      await expectText(page.locator("#main"), /You are signed out\s*This link was used before/);
      assert.doesNotMatch(page.url(), /token/);
      await page.evaluate(() => (location.hash = "#/sign-in?token=good-token"));
      await loaded(page);
      assert.doesNotMatch(page.url(), /token/);
    });
  },

  async "signed out elsewhere: buttons of the providers that come back here"(browser) {
    const path = "?sign_in=not_allowed#/overview?decision=SKIP";
    await visit(browser, { state: "signed-out-deployed", path, allowed: UNAUTHORIZED }, async (page) => {
      await expectText(page.locator("#main"), /This account is not on the list[^]*Sign in with GitHub\s*Sign in with Google/);
      assert.equal(new URL(page.url()).search, "");
      const target = new URL(await page.getByRole("link", { name: "Sign in with GitHub" }).getAttribute("href"), page.url());
      assert.equal(target.pathname, "/api/auth/login");
      assert.equal(target.searchParams.get("provider"), "github");
      assert.equal(target.searchParams.get("return_to"), "/#/overview?decision=SKIP");
      await assertNoSidewaysScroll(page, 1440);
    });
  },

  async "a session that ends shows the way back, and another tab's sign-in is noticed"(browser) {
    await visit(browser, { fakeClock: true, allowed: UNAUTHORIZED }, async (page) => {
      await loaded(page);
      await page.getByRole("button", { name: "Sign out" }).click();
      await expectText(page.locator("#main"), /You are signed out/);
      const before = (await requestsSoFar()).requests["/api/trades"];
      await page.clock.runFor(3 * POLL_MS);
      assert.equal((await requestsSoFar()).requests["/api/trades"], before);
      await setState("normal");
      await page.clock.runFor(POLL_MS + 100);
      await loaded(page);
      await setState("signed-out");
      await page.clock.runFor(POLL_MS + 100);
      await expectText(page.locator("#main"), /You are signed out/);
    });
  },

  async "signed out: axe, light and dark, desktop and phone"(browser) {
    for (const options of [{}, PHONE]) {
      for (const state of ["signed-out", "signed-out-deployed"]) {
        await visit(browser, { state, options, allowed: UNAUTHORIZED }, async (page) => {
          await expectText(page.locator("#main"), /sign in|Sign in/);
          for (const colorScheme of ["light", "dark"]) {
            await page.emulateMedia({ colorScheme });
            await assertNoAxeViolations(page, `${state}, ${colorScheme}`);
          }
          await assertNoSidewaysScroll(page, options.isMobile ? 390 : 1440);
        });
      }
    }
  },
};

async function run(browser, name) {
  let timer;
  const tooLong = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`not done after ${SCENARIO_MS_MAX} ms`)), SCENARIO_MS_MAX);
  });
  try {
    await Promise.race([scenarios[name](browser), tooLong]);
    return { ok: true };
  } catch (error) {
    return { error: error.stack };
  } finally {
    clearTimeout(timer);
    await Promise.all(browser.contexts().map((context) => context.close()));
  }
}

await withBrowser(async (browser) => {
  for await (const name of createInterface({ input: process.stdin })) {
    console.log(JSON.stringify(await run(browser, name)));
  }
});
