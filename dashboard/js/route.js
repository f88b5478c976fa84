// What the screen shows is in the URL hash, `#/users/0xab…?span=7d`: a page, what it is about, and its
// filters, so that it survives a reload and can be sent to somebody.

const PARTS_MAX = 4;
const VALUE_LENGTH_MAX = 400;
const QUERY_NAMES_MAX = 24;
const HOME = "overview";

/** `#/users/0xab?span=7d` → `{path: ["users", "0xab"], query: {span: "7d"}}`; no path is the first page. */
export function readRoute(hash = location.hash) {
  const [path, search = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const parts = path.split("/").filter(Boolean).slice(0, PARTS_MAX).map(decode);
  const given = [...new URLSearchParams(search)].slice(0, QUERY_NAMES_MAX);
  return {
    path: parts.length ? parts : [HOME],
    query: Object.fromEntries(given.map(([name, value]) => [name, value.slice(0, VALUE_LENGTH_MAX)])),
  };
}

/** The hash of a path and its filters; empty filters are left out. */
export function hashOf(path, query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== "" && value != null);
  const search = given.length ? `?${new URLSearchParams(given)}` : "";
  return `#/${path.map(encodeURIComponent).join("/")}${search}`;
}

/** The route with some filters changed, an empty value taking one away. */
export function hashWith(query) {
  const route = readRoute();
  return hashOf(route.path, { ...route.query, ...query });
}

/** A filter that can only be one of a few; anything else is the first. */
export function oneOf(value, choices) {
  return choices.includes(value) ? value : choices[0];
}

/** `pattern` is `users/:leader`; the parameters by name, or null where the path is another one. */
export function match(pattern, path) {
  const wanted = pattern.split("/");
  if (wanted.length !== path.length) return null;
  const params = {};
  for (const [index, part] of wanted.entries()) {
    if (part.startsWith(":")) params[part.slice(1)] = path[index];
    else if (part !== path[index]) return null;
  }
  return params;
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}
