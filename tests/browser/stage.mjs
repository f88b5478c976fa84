// What the scenarios share: a page in a state of the fixture server, and what is asserted of it.
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";

import { openPage } from "./browser.mjs";

const AXE = await readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
export const POLL_MS = 5_000;
export const MEASURED_MS = 20_000;
export const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true };
export const REFUSED = /the server responded with a status of 503/;
export const UNAUTHORIZED = /the server responded with a status of 40[13]/;

export const url = process.argv[2];

export async function setState(state) {
  const response = await fetch(new URL(`fixture?state=${state}`, url), { method: "POST" });
  assert.ok(response.ok, `the fixture refused state ${state}`);
}

export async function requestsSoFar() {
  return (await fetch(new URL("fixture", url))).json();
}

/** Opens the dashboard in a state; `use` gets the page. Nothing may be complained of but `allowed`. */
export async function visit(browser, { state = "normal", path = "#/trades", options = {}, fakeClock = false, allowed = null }, use) {
  await setState(state);
  const { page, context, complaints } = await openPage(browser, url, options);
  if (fakeClock) await page.clock.install();
  await page.goto(new URL(path, url).href);
  await use(page, context);
  assert.deepEqual(complaints.filter((text) => !allowed?.test(text)), []);
  await context.close();
}

/** Waits until an expression about the page holds, and fails with what it was instead. */
export async function expectText(locator, pattern) {
  const deadline = Date.now() + 4_000;
  let text = "";
  while (Date.now() < deadline) {
    text = (await locator.allInnerTexts()).join("\n");
    if (pattern.test(text)) return;
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  assert.match(text, pattern);
}

/** Waits until a check passes, and fails with what it says last. */
export async function eventually(check) {
  const deadline = Date.now() + 4_000;
  for (;;) {
    try {
      return await check();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 40));
    }
  }
}

export const rowsOf = (page, table) => page.locator(`.table-${table} tbody tr`);

/** Waits until every part of the page has its answer. */
export async function loaded(page) {
  await page.locator("main .panel").first().waitFor();
  await eventually(async () => assert.equal(await page.locator("main [aria-busy=true]").count(), 0));
}

export async function assertNoAxeViolations(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() =>
    window.axe.run(document, { resultTypes: ["violations"] }),
  );
  const found = violations.map(({ id, nodes }) => `${id}: ${nodes[0].html} (${nodes[0].failureSummary})`);
  assert.deepEqual(found, [], what);
}

export async function assertNoSidewaysScroll(page, width) {
  const extent = await page.evaluate(() => document.documentElement.scrollWidth);
  assert.ok(extent <= width, `the page is ${extent} px wide on a screen of ${width}`);
}
