// The first page of a feed is polled; older pages are fetched when asked for and kept below it.

/** Rows kept of one feed; beyond it the oldest leave. */
export const FEED_ROWS_MAX = 500;

/**
 * Puts a fresh first page on top of the rows known so far.
 * If the page shares no row with them, rows may be missing in between: the known ones are dropped
 * rather than shown with a silent gap, and `restarted` says so.
 */
export function mergeFirstPage(known, page, idOf) {
  const fresh = new Set(page.map(idOf));
  const overlap = known.some((row) => fresh.has(idOf(row)));
  if (!overlap) return { rows: page, restarted: true };
  const older = known.filter((row) => !fresh.has(idOf(row)));
  return { rows: [...page, ...older].slice(0, FEED_ROWS_MAX), restarted: false };
}

/** Appends an older page, skipping rows that are already there. */
export function appendOlderPage(known, page, idOf) {
  const present = new Set(known.map(idOf));
  return [...known, ...page.filter((row) => !present.has(idOf(row)))].slice(0, FEED_ROWS_MAX);
}
