// A change that was asked for: under way, done, or refused in the server's own words.
import { useRef, useState } from "preact/hooks";

import { sentenceOf } from "./components/panel.js";

const saidOf = (error) => sentenceOf({ title: error.message, detail: error.detail, status: error.status });

/** A refused change in words; a conflict says that somebody else was faster. */
export function refusalOf(error) {
  const said = saidOf(error);
  return error.status === 409 ? `Somebody else changed this meanwhile, and nothing of yours was stored. ${said}` : said;
}

/**
 * `{busy, failed, run}`: `busy` is the key of what is under way, empty when nothing is; `failed` is
 * `{key, text, said, error}` of the last refusal, `said` being the server's words alone. `run(key, act)` gives what `act()` gave, null when it was
 * refused or another change is under way.
 */
export function useChange() {
  const [state, setState] = useState({ busy: "", failed: null });
  const running = useRef(false);
  const run = async (key, act) => {
    if (running.current) return null;
    running.current = true;
    setState({ busy: key, failed: null });
    try {
      const done = await act();
      setState({ busy: "", failed: null });
      return done;
    } catch (error) {
      setState({ busy: "", failed: { key, text: refusalOf(error), said: saidOf(error), error } });
      return null;
    } finally {
      running.current = false;
    }
  };
  const forget = () => setState({ busy: "", failed: null });
  return { ...state, run, forget };
}
