import { useEffect, useRef, useState } from "preact/hooks";

import { ApiError, fetchJson, REQUEST_TIMEOUT_MS } from "./api.js";
import { everySecond } from "./clock.js";
import { appendOlderPage, mergeFirstPage } from "./feed.js";
import { readFilter, writeFilter } from "./route.js";

/** The poller's current snapshot, re-rendering on every new one. */
export function useSnapshot(poller) {
  const [snapshot, setSnapshot] = useState(poller.snapshot);
  useEffect(() => {
    setSnapshot(poller.snapshot);
    return poller.subscribe(setSnapshot);
  }, [poller]);
  return snapshot;
}

/** A text computed from the time; re-renders only in the second in which it changes. */
export function useTicking(compute) {
  const [, redraw] = useState(0);
  const text = compute();
  const shown = useRef(text);
  const latest = useRef(compute);
  shown.current = text;
  latest.current = compute;
  useEffect(
    () =>
      everySecond(() => {
        if (latest.current() !== shown.current) redraw((turn) => turn + 1);
      }),
    [],
  );
  return text;
}

/** The filter in the URL hash, and its setter. */
export function useFilter() {
  const [filter, setFilter] = useState(readFilter);
  useEffect(() => {
    const follow = () => setFilter(readFilter());
    addEventListener("hashchange", follow);
    return () => removeEventListener("hashchange", follow);
  }, []);
  const change = (part) => {
    const next = { ...filter, ...part };
    writeFilter(next);
    setFilter(next);
  };
  return [filter, change];
}

/**
 * Rows of a feed: the polled first page over the older pages asked for so far.
 * `isNew(id)` is true for rows that arrived after the first answer to the current query.
 */
export function useFeed(snapshot, idOf, olderUrl) {
  const feed = useRef({ url: null, page: null, rows: [], first: null, cursor: null });
  const [older, setOlder] = useState({ busy: false, error: null });
  const state = feed.current;

  if (state.url !== snapshot.url) {
    feed.current = { url: snapshot.url, page: null, rows: [], first: null, cursor: null };
  }
  const current = feed.current;
  if (snapshot.value && current.page !== snapshot.value) {
    const { rows, restarted } = mergeFirstPage(current.rows, snapshot.value.items, idOf);
    current.rows = rows;
    current.page = snapshot.value;
    if (restarted) current.cursor = snapshot.value.next_cursor;
    current.first ??= new Set(rows.map(idOf));
  }

  useEffect(() => setOlder({ busy: false, error: null }), [snapshot.url]);

  const fetchOlder = async () => {
    const asked = feed.current;
    if (!asked.cursor || older.busy) return;
    setOlder({ busy: true, error: null });
    try {
      const { value } = await fetchJson(olderUrl(asked.cursor), { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
      if (!Array.isArray(value?.items)) throw new ApiError("Unexpected answer");
      asked.rows = appendOlderPage(asked.rows, value.items, idOf);
      asked.cursor = value.next_cursor;
      for (const row of value.items) asked.first?.add(idOf(row));
      setOlder({ busy: false, error: null });
    } catch (error) {
      setOlder({ busy: false, error });
    }
  };

  return {
    rows: current.rows,
    isNew: (id) => current.first !== null && !current.first.has(id),
    hasOlder: Boolean(current.cursor),
    older,
    fetchOlder,
  };
}
