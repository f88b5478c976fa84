// Signing in and out, and what the address says about it. A link's token is in the hash, which is
// sent to nobody; it is taken out of the address before anything else happens.
import { postJson, unauthorized } from "./api.js";

const TOKEN = /^#\/sign-in\?token=([\w.-]+)$/;
const RETURN_LENGTH_MAX = 1_000;

/** Why the way back from a provider ended here without a session. */
const REASONS = {
  declined: "The sign-in was not confirmed.",
  not_allowed: "This account is not on the list of who may sign in here.",
  state: "That sign-in began in another browser, or too long ago.",
  provider: "The provider does not answer now. Try again in a minute.",
  throttled: "There were too many attempts. Try again in a minute.",
  refused: "That way to sign in is not possible here.",
};

/** The token of a link that was opened, taken out of the address; empty without one. */
export function takeToken() {
  const token = TOKEN.exec(location.hash)?.[1] ?? "";
  if (token) history.replaceState(null, "", `${location.pathname}${location.search}#/overview`);
  return token;
}

/** Why a sign-in failed, as the address tells it, taken out of the address; empty when it did not. */
export function takeReason() {
  const url = new URL(location.href);
  const code = url.searchParams.get("sign_in");
  if (code === null) return "";
  url.searchParams.delete("sign_in");
  history.replaceState(null, "", `${url.pathname}${url.search}${url.hash}`);
  return REASONS[code] ?? REASONS.refused;
}

/** Signs in with a token, or with the link that holds it. Throws an ApiError. */
export async function redeem(text) {
  const token = /token=([\w.-]+)/.exec(text)?.[1] ?? text.trim();
  await postJson("/api/auth/local", { token });
}

/** Ends the session. Throws an ApiError when it did not end. */
export async function signOut() {
  await postJson("/api/auth/logout", {});
  unauthorized.dispatchEvent(new Event("signed-out"));
}

/** Where a provider's sign-in begins; it ends at the present address. */
export function signInUrl(provider) {
  const here = `${location.pathname}${location.search}${location.hash}`;
  const back = here.length > RETURN_LENGTH_MAX ? "/" : here;
  return `/api/auth/login?${new URLSearchParams({ provider, return_to: back })}`;
}
