// A whole export as one file: the API gives it in parts, each naming the next.
import { ApiError, REQUEST_TIMEOUT_MS, unauthorized } from "./api.js";
import { query } from "./resources.js";

export const PARTS_MAX = 100;
const PART_TIMEOUT_MS = 3 * REQUEST_TIMEOUT_MS;
const NEXT = "x-next-cursor";

/**
 * Rows of `kind` (trades, attempts, fills, ledger) as CSV, saved as a file. `filter` is
 * `{portfolio, from, until}`; `told(parts)` hears how far it came. Gives `{rows, complete}`: after
 * PARTS_MAX parts the file ends and is not complete. Throws an ApiError.
 */
export async function downloadCsv(kind, filter, told) {
  const parts = [];
  let cursor = null;
  do {
    const part = await partOf(kind, filter, cursor);
    parts.push(part.text);
    cursor = part.next;
    told(parts.length);
  } while (cursor && parts.length < PARTS_MAX);
  save(`papercopy-${kind}.csv`, parts);
  return { rows: lines(parts) - 1, complete: !cursor };
}

async function partOf(kind, filter, cursor) {
  const url = query(`/api/exports/${kind}`, { format: "csv", ...filter, cursor });
  let response;
  try {
    response = await fetch(url, { cache: "no-store", credentials: "same-origin", signal: AbortSignal.timeout(PART_TIMEOUT_MS) });
  } catch {
    throw new ApiError("No answer", { detail: "The server cannot be reached." });
  }
  if (response.status === 401) unauthorized.dispatchEvent(new Event("signed-out"));
  if (!response.ok) {
    const problem = await response.json().catch(() => ({}));
    throw new ApiError(problem.title || "The server refused", { detail: problem.detail ?? "", status: response.status });
  }
  return { text: await response.text(), next: response.headers.get(NEXT) };
}

/** Rows of CSV text; a line break inside a quoted cell is none. */
function lines(parts) {
  let count = 0;
  let quoted = false;
  for (const part of parts) {
    for (const character of part) {
      if (character === '"') quoted = !quoted;
      else if (character === "\n" && !quoted) count += 1;
    }
  }
  return count;
}

function save(name, parts) {
  const url = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
  const link = Object.assign(document.createElement("a"), { href: url, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}
