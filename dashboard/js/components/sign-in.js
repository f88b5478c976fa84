// What is shown without a session, and the switch between it and the dashboard.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { Poller, unauthorized } from "../api.js";
import { App } from "../app.js";
import { useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { forget } from "../resources.js";
import { redeem, signInUrl, takeToken } from "../session.js";
import { sentenceOf } from "./panel.js";

const NAMES = { github: "GitHub", google: "Google" };
const COMMAND = ".venv/bin/python -m infra.link";

/** The dashboard while there is a session, and the way to one while there is none. */
export function Root({ reason }) {
  const [open, setOpen] = useState(true);
  const [said, setSaid] = useState(reason);
  useEffect(() => {
    const close = () => {
      forget();
      setOpen(false);
    };
    // A link pasted into this tab's address changes the hash and loads nothing.
    const follow = async () => {
      const token = takeToken();
      if (!token) return;
      try {
        await redeem(token);
        setOpen(true);
      } catch (error) {
        setSaid(sentenceOf(error));
      }
    };
    unauthorized.addEventListener("signed-out", close);
    addEventListener("hashchange", follow);
    return () => {
      unauthorized.removeEventListener("signed-out", close);
      removeEventListener("hashchange", follow);
    };
  }, []);
  if (open) return html`<${App} />`;
  const enter = () => {
    setSaid("");
    setOpen(true);
  };
  return html`<${SignIn} reason=${said} enter=${enter} />`;
}

/** The address stays as it is: whoever signs in, here or in another tab, goes on where he was. */
function SignIn({ reason, enter }) {
  const poller = useMemo(() => new Poller("/api/auth/session", isSession), []);
  const { value, error } = useSnapshot(poller);
  const main = useRef(null);
  useEffect(() => {
    poller.start();
    main.current.focus();
    return () => poller.stop();
  }, [poller]);
  useEffect(() => {
    if (value?.signed_in) enter();
  }, [value]);
  return html`<header class="masthead"><h1>papercopy</h1></header>
    <main id="main" class="sign-in" tabindex="-1" ref=${main}>
      <h2>You are signed out</h2>
      ${reason ? html`<p class="sign-in-reason" role="status">${reason}</p>` : null}
      <${Ways} ways=${value?.ways} error=${error} enter=${enter} />
    </main>`;
}

function isSession(value) {
  return typeof value?.signed_in === "boolean" && Array.isArray(value.ways);
}

function Ways({ ways, error, enter }) {
  if (!ways) return html`<p>${error ? `${sentenceOf(error)} It is tried again by itself.` : "One moment."}</p>`;
  if (ways.includes("local")) return html`<${Local} enter=${enter} />`;
  if (!ways.length) return html`<p>Nobody can sign in here yet: no provider is set up.</p>`;
  return html`<p>Sign in with an account that is on the list of this papercopy. You come back to this address.</p>
    <p class="sign-in-ways">
      ${ways.map((way) => html`<a class="button" key=${way} href=${signInUrl(way)}>Sign in with ${NAMES[way] ?? way}</a>`)}
    </p>`;
}

/** On one's own machine: a link of the terminal, opened anywhere in this browser or pasted here. */
function Local({ enter }) {
  const [text, setText] = useState("");
  const [failed, setFailed] = useState("");
  const submit = async (event) => {
    event.preventDefault();
    try {
      await redeem(text);
      enter();
    } catch (error) {
      setText("");
      setFailed(sentenceOf(error));
    }
  };
  return html`<p>Open the link that papercopy printed when it started. Each link works once; this prints another:</p>
    <p><code>${COMMAND}</code></p>
    <form onSubmit=${submit}>
      <label for="sign-in-link">Or paste it here, and this page goes on where it was</label>
      <div class="sign-in-line">
        <input id="sign-in-link" type="text" autocomplete="off" spellcheck="false" required value=${text} onInput=${(event) => setText(event.target.value)} />
        <button type="submit">Sign in</button>
      </div>
      <p class="sign-in-reason" role="status">${failed}</p>
    </form>`;
}
