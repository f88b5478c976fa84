// Ages are counted against the server's clock: a browser whose clock is wrong must not make
// fresh data look old, nor old data fresh.

const TICK_MS = 1_000;

let offsetMs = 0;
const listeners = new Set();
let timer = null;

/** Notes the server's own time (ms UTC) from an answer that has just arrived. */
export function observeServerTime(serverMs) {
  if (Number.isFinite(serverMs)) offsetMs = serverMs - Date.now();
}

/** The server's time now, in ms UTC, as well as this browser can tell. */
export function serverNow() {
  return Date.now() + offsetMs;
}

/** Calls the listener about once a second while the page is visible; returns the unsubscriber. */
export function everySecond(listener) {
  listeners.add(listener);
  schedule();
  return () => {
    listeners.delete(listener);
    schedule();
  };
}

function tick() {
  for (const listener of listeners) listener();
}

function schedule() {
  const wanted = listeners.size > 0 && !document.hidden;
  if (wanted && timer === null) timer = setInterval(tick, TICK_MS);
  if (!wanted && timer !== null) {
    clearInterval(timer);
    timer = null;
  }
}

document.addEventListener("visibilitychange", () => {
  if (!document.hidden) tick();
  schedule();
});
