import { useEffect, useRef, useState } from "preact/hooks";

import { ApiError, fetchJson, REQUEST_TIMEOUT_MS } from "./api.js";
import { everySecond } from "./clock.js";
import { appendOlderPage, mergeFirstPage } from "./feed.js";
import { hashOf, hashWith, readRoute } from "./route.js";

/** The poller's current snapshot, re-rendering on every new one; it polls while somebody shows it. */
export function useSnapshot(poller) {
  const [, redraw] = useState(0);
  useEffect(() => {
    const shown = poller.snapshot;
    const unsubscribe = poller.subscribe(() => redraw((turn) => turn + 1));
    const release = poller.hold();
    if (poller.snapshot !== shown) redraw((turn) => turn + 1);
    return () => {
      unsubscribe();
      release();
    };
  }, [poller]);
  return poller.snapshot;
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

const routeChanges = new EventTarget();

/** The route in the URL hash, wherever it is changed. */
export function useRoute() {
  const [route, setRoute] = useState(readRoute);
  useEffect(() => {
    const follow = () => setRoute(readRoute());
    addEventListener("hashchange", follow);
    routeChanges.addEventListener("change", follow);
    return () => {
      removeEventListener("hashchange", follow);
      routeChanges.removeEventListener("change", follow);
    };
  }, []);
  return route;
}

/** Changes filters of the present page without a history entry: stepping back leaves the page. */
export function setQuery(query) {
  history.replaceState(null, "", hashWith(query));
  routeChanges.dispatchEvent(new Event("change"));
}

/** The filters in the address and the function that changes some of them. */
export function useQuery() {
  return [useRoute().query, setQuery];
}

/** Goes to another page. */
export function goTo(path, query = {}) {
  location.hash = hashOf(path, query);
}

/** The value of a media query, following its changes. */
export function useMedia(media) {
  const [matches, setMatches] = useState(() => matchMedia(media).matches);
  useEffect(() => {
    const list = matchMedia(media);
    const follow = () => setMatches(list.matches);
    follow();
    list.addEventListener("change", follow);
    return () => list.removeEventListener("change", follow);
  }, [media]);
  return matches;
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
    const { items, next_cursor: cursor } = snapshot.value;
    // A first page that ends before its first match says nothing about the older rows.
    const unread = items.length === 0 && cursor && current.rows.length > 0;
    const { rows, restarted } = unread ? { rows: current.rows } : mergeFirstPage(current.rows, items, idOf);
    current.rows = rows;
    current.page = snapshot.value;
    if (restarted) current.cursor = cursor;
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
