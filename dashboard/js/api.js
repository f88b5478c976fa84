// Polling of one JSON resource: conditional requests, one request at a time, back-off on failure,
// and silence while nobody looks at the page.
import { observeServerTime, serverNow } from "./clock.js";

export const POLL_INTERVAL_MS = 5_000;
export const RETRY_DELAY_MS_MAX = 60_000;
export const REQUEST_TIMEOUT_MS = 10_000;
/** Data that no answer has confirmed for this long after it was due is called stale. */
export const STALE_AFTER_DUE_MS = 10_000;

/** What the API said, or why nothing was heard, in words that can be shown. */
export class ApiError extends Error {
  constructor(title, { detail = "", status = null, retryAfterMs = 0 } = {}) {
    super(title);
    this.name = "ApiError";
    this.detail = detail;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

/** Is told `signed-out` when an answer says that a session is needed. */
export const unauthorized = new EventTarget();

async function problemOf(response) {
  const retryAfterMs = 1_000 * (Number(response.headers.get("retry-after")) || 0);
  let problem = {};
  try {
    problem = await response.json();
  } catch {
    // A proxy may answer with a page of its own; the status alone then has to do.
  }
  const title = problem?.title || response.statusText || "The server refused";
  return new ApiError(String(title), {
    detail: String(problem?.detail ?? ""),
    status: response.status,
    retryAfterMs,
  });
}

/**
 * Fetches JSON; `null` means "not modified since `etag`".
 * The browser's own cache is bypassed so that a 304 reaches us and an old copy never does.
 */
export async function fetchJson(url, { etag = null, signal } = {}) {
  const headers = { accept: "application/json" };
  if (etag) headers["if-none-match"] = etag;
  let response;
  try {
    response = await fetch(url, { headers, signal, cache: "no-store", credentials: "same-origin" });
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw new ApiError("No answer", { detail: "The server cannot be reached." });
  }
  if (response.status === 304) return null;
  if (response.status === 401) unauthorized.dispatchEvent(new Event("signed-out"));
  if (!response.ok) throw await problemOf(response);
  try {
    return { value: await response.json(), etag: response.headers.get("etag") };
  } catch (cause) {
    if (signal?.aborted) throw signal.reason;
    throw new ApiError("Unreadable answer", { detail: "The answer is not JSON.", status: response.status });
  }
}

/** Sends JSON, with further headers where given, and returns the JSON of the answer; throws an ApiError. */
export async function postJson(url, body, headers = {}) {
  const init = {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS),
    credentials: "same-origin",
  };
  let response;
  try {
    response = await fetch(url, init);
  } catch {
    throw new ApiError("No answer", { detail: "The server cannot be reached." });
  }
  if (response.status === 401) unauthorized.dispatchEvent(new Event("signed-out"));
  if (!response.ok) throw await problemOf(response);
  return response.json();
}

const EMPTY = { value: null, confirmedAt: null, error: null };

/** Pollers at work, and `change` whenever that set or what one of them knows changes. */
export const polling = Object.assign(new EventTarget(), { pollers: new Set() });

/**
 * Keeps one resource current.
 *
 * `url` may be a function of the value known so far, and `fold(before, answer)` makes the next value;
 * `name` says in a sentence what it is. `snapshot` is `{url, intervalMs, value, confirmedAt, error}`: the last good value stays while requests fail;
 * `confirmedAt` is this browser's time of the last answer that proved it current, and `error` is
 * `{title, detail, status, since, failures, retryAt}` with `since` in server time.
 */
export class Poller {
  #url;
  #isValid;
  #intervalMs;
  #isFinal;
  #etag = null;
  #timer = null;
  #request = null;
  #running = false;
  #listeners = new Set();
  #holders = 0;
  #fold;

  constructor(url, isValid, { name = "", intervalMs = POLL_INTERVAL_MS, isFinal = () => false, fold = (before, answer) => answer } = {}) {
    this.name = name;
    this.#url = url;
    this.#fold = fold;
    this.#isValid = isValid;
    this.#intervalMs = intervalMs;
    this.#isFinal = isFinal;
    this.snapshot = { url, intervalMs, ...EMPTY };
  }

  #onVisibility = () => {
    if (document.hidden) this.#clearTimer();
    else if (this.#running && !this.#request && !this.#isOver()) this.pollNow();
  };

  subscribe(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  start() {
    if (this.#running) return;
    this.#running = true;
    polling.pollers.add(this);
    document.addEventListener("visibilitychange", this.#onVisibility);
    this.pollNow();
  }

  /** Polls until the returned function was called by everybody who holds it. */
  hold() {
    this.#holders += 1;
    this.start();
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#holders -= 1;
      if (this.#holders === 0) this.stop();
    };
  }

  get isHeld() {
    return this.#holders > 0;
  }

  /** Ends polling; a request under way is given up, what is known stays. */
  stop() {
    this.#running = false;
    polling.pollers.delete(this);
    polling.dispatchEvent(new Event("change"));
    document.removeEventListener("visibilitychange", this.#onVisibility);
    this.#clearTimer();
    this.#request?.abort();
    this.#request = null;
  }

  /** Asks at once, replacing a request that is under way. */
  async pollNow() {
    this.#clearTimer();
    this.#request?.abort();
    const request = new AbortController();
    this.#request = request;
    const timeout = setTimeout(
      () => request.abort(new ApiError("No answer", { detail: `Nothing came back within ${REQUEST_TIMEOUT_MS / 1_000} s.` })),
      REQUEST_TIMEOUT_MS,
    );
    try {
      const url = typeof this.#url === "function" ? this.#url(this.snapshot.value) : this.#url;
      const answer = await fetchJson(url, { etag: this.#etag, signal: request.signal });
      if (this.#request === request) this.#accept(answer);
    } catch (error) {
      if (this.#request === request) this.#fail(error);
    } finally {
      clearTimeout(timeout);
      if (this.#request === request) {
        this.#request = null;
        this.#schedule();
      }
    }
  }

  #accept(answer) {
    if (answer && !this.#isValid(answer.value)) {
      throw new ApiError("Unexpected answer", { detail: "The answer has not the documented shape." });
    }
    if (answer) {
      this.#etag = answer.etag;
      observeServerTime(answer.value.now);
    }
    const before = this.snapshot.value;
    const value = answer ? this.#fold(before, answer.value) : before;
    this.#publish({ ...this.snapshot, value, confirmedAt: Date.now(), error: null });
  }

  #fail(error) {
    const before = this.snapshot.error;
    const failures = (before?.failures ?? 0) + 1;
    // What is not there is an answer: it may be there at the next turn.
    const backOffMs = error.status === 404 ? this.#intervalMs : Math.min(POLL_INTERVAL_MS * 2 ** (failures - 1), RETRY_DELAY_MS_MAX);
    const delayMs = Math.min(Math.max(backOffMs, error.retryAfterMs ?? 0), RETRY_DELAY_MS_MAX);
    this.#publish({
      ...this.snapshot,
      error: {
        title: error.message || "Failed",
        detail: error.detail ?? "",
        status: error.status ?? null,
        since: before?.since ?? serverNow(),
        failures,
        retryAt: Date.now() + delayMs,
      },
    });
  }

  #schedule() {
    if (!this.#running || document.hidden || this.#isOver()) return;
    const { error } = this.snapshot;
    const delayMs = error ? error.retryAt - Date.now() : this.#intervalMs;
    this.#timer = setTimeout(() => this.pollNow(), Math.max(0, delayMs));
  }

  /** Whether the last answer is one that nothing can change any more. */
  #isOver() {
    const { value, error } = this.snapshot;
    return !error && value !== null && this.#isFinal(value);
  }

  #clearTimer() {
    clearTimeout(this.#timer);
    this.#timer = null;
  }

  #publish(snapshot) {
    this.snapshot = snapshot;
    for (const listener of this.#listeners) listener(snapshot);
    polling.dispatchEvent(new Event("change"));
  }
}
