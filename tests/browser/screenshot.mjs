// node screenshot.mjs URL OUT.png [--width 1440] [--height 900] [--dark] [--first-visit] [--full] [--scale 2]
import { parseArgs } from "node:util";

import { openPage, withBrowser } from "./browser.mjs";

const SETTLE_MS = 1_200;

const { positionals, values } = parseArgs({
  allowPositionals: true,
  options: {
    width: { type: "string", default: "1440" },
    height: { type: "string", default: "900" },
    dark: { type: "boolean", default: false },
    scale: { type: "string", default: "2" },
    full: { type: "boolean", default: false },
    "first-visit": { type: "boolean", default: false },
  },
});
const [url, out] = positionals;
if (!url || !out) throw new Error("usage: screenshot.mjs URL OUT.png [--width n] [--height n] [--dark] [--first-visit] [--full] [--scale n]");

await withBrowser(async (browser) => {
  const { page, context } = await openPage(browser, url, {
    viewport: { width: Number(values.width), height: Number(values.height) },
    colorScheme: values.dark ? "dark" : "light",
    reducedMotion: "reduce",
    deviceScaleFactor: Number(values.scale),
  });
  if (!values["first-visit"]) {
    await context.addInitScript(() => localStorage.setItem("papercopy.intro-seen", "yes"));
  }
  await page.goto(url);
  await page.waitForTimeout(SETTLE_MS);
  await page.screenshot({ path: out, fullPage: values.full });
});
