// Starts Chromium and gives a script one watched page.
import { spawnSync } from "node:child_process";

import { chromium } from "playwright-core";

const NAMES = ["chromium", "chromium-browser", "google-chrome"];
const WAIT_MS = 5_000;
const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** $CHROMIUM, or the first known name on the PATH. */
function executablePath() {
  if (process.env.CHROMIUM) return process.env.CHROMIUM;
  for (const name of NAMES) {
    const found = spawnSync("which", [name], { encoding: "utf8" });
    if (found.status === 0) return found.stdout.trim();
  }
  throw new Error(`no Chromium: set CHROMIUM, or install one of ${NAMES.join(", ")}`);
}

/** Runs `use` with a browser and closes it whatever happens. */
export async function withBrowser(use) {
  const browser = await chromium.launch({ executablePath: executablePath(), args: ARGS });
  try {
    return await use(browser);
  } finally {
    await browser.close();
  }
}

/**
 * Opens a page and records what must not happen on it: console errors, exceptions and requests to
 * other origins. `options` are those of a browser context; `origin` is the only one allowed.
 */
export async function openPage(browser, origin, options = {}) {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, timezoneId: "UTC", ...options });
  context.setDefaultTimeout(WAIT_MS);
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(`console: ${message.text()}`);
  });
  page.on("pageerror", (error) => complaints.push(`exception: ${error.message}`));
  page.on("request", (request) => {
    if (new URL(request.url()).origin !== new URL(origin).origin) complaints.push(`request to ${request.url()}`);
  });
  return { page, context, complaints };
}
