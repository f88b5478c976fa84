// What the screen shows is in the URL hash, `#/overview?decision=SKIP`, so that it survives a reload
// and can be sent to somebody.

const DECISIONS = ["EXECUTE", "SKIP"];
const PORTFOLIO_ID_LENGTH_MAX = 200;
const ATTEMPT_REF = /^[A-Za-z0-9_-]{1,400}$/;

export function readFilter(hash = location.hash) {
  const parameters = new URLSearchParams(hash.split("?")[1] ?? "");
  const decision = parameters.get("decision");
  const attempt = parameters.get("attempt") ?? "";
  return {
    portfolio: (parameters.get("portfolio") ?? "").slice(0, PORTFOLIO_ID_LENGTH_MAX),
    decision: DECISIONS.includes(decision) ? decision : "",
    attempt: ATTEMPT_REF.test(attempt) ? attempt : "",
  };
}

export function hashOf(filter) {
  const given = Object.entries(filter).filter(([, value]) => value);
  return given.length ? `#/overview?${new URLSearchParams(given)}` : "#/overview";
}

/** Replaces the hash without a history entry: stepping back leaves the page, not one filter. */
export function writeFilter(filter) {
  history.replaceState(null, "", hashOf(filter));
}
