// One followed user: his shadow beside what copying him came to, and why they differ.
import { Attempts } from "../components/attempts.js";
import { bucketsOf, CurveChart, Histogram, TimeChart } from "../components/chart.js";
import { SPAN_WORDS, SpanChoice, spanOf } from "../components/equity.js";
import { Choices, Select } from "../components/field.js";
import { Figures } from "../components/figures.js";
import { Page } from "../components/page.js";
import { Freshness, Panel } from "../components/panel.js";
import { Positions } from "../components/positions.js";
import { SkipTable } from "../components/skips.js";
import { Age, Gain, Money, Tag, Wallet } from "../components/values.js";
import { amount, axisAmount, cents, count, counted, duration, fraction, isAddress, latency, NONE, percent, signedAmount, signedCents, signedFraction } from "../format.js";
import { setQuery, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { performance, series, skipLedger, user } from "../resources.js";
import { oneOf } from "../route.js";
import { Missing } from "./missing.js";

const BLANK = html`<span class="dim">${NONE}</span>`;
const STATES = { on: ["on", "plain", "Buys and sells are copied"], sell_only: ["sell only", "warn", "Only reductions are copied"], off: ["off", "quiet", "Not followed"] };
const PURSES = [["leader", "His own portfolio"], ["global", "In global"]];

export function User({ params, query }) {
  const address = params.leader.toLowerCase();
  if (!isAddress(address)) return html`<${Missing} params=${{ path: `users/${params.leader}` }} />`;
  return html`<${Known} leader=${address} query=${query} />`;
}

function Known({ leader, query }) {
  const span = spanOf(query, "7d");
  const purse = oneOf(query.purse, ["leader", "global"]);
  const snapshot = useSnapshot(user(leader));
  const measured = useSnapshot(performance(leader, span));
  const { value, error } = snapshot;
  if (!value && error?.status === 404) return html`<${Unknown} leader=${leader} />`;
  const name = value?.name || measured.value?.leader_name || "";
  const copied = copyOf(measured.value, purse);
  const [label, tone, hint] = STATES[value?.state] ?? ["", "quiet", ""];
  return html`<${Page}
    title=${name || "User"}
    heading=${html`<bdi>${name || "User"}</bdi>${value ? html`<${Tag} tone=${tone} title=${hint}>${label}<//>` : null}${value && !value.copying ? html`<${Tag} tone="warn" title=${value.settings_refused ?? "His settings say not to copy him"}>not copied<//>` : null}`}
    sub=${html`<${Identity} leader=${leader} value=${value} />`}
    tools=${html`<${Choices} legend="Copied into" name="purse" value=${purse} options=${PURSES} onChange=${(next) => setQuery({ purse: next === "leader" ? "" : next })} /><${SpanChoice} span=${span} />`}
  >
    <${Headline} value=${value} copied=${copied} snapshot=${measured} span=${span} />
    <div class="columns columns-wide">
      <${Curves} leader=${leader} value=${value} error=${error} span=${span} query=${query} name=${name} />
      <${Rates} snapshot=${measured} copied=${copied} span=${span} />
    </div>
    <div class="columns columns-three">
      <${Slippage} snapshot=${measured} copied=${copied} query=${query} />
      <${Lag} snapshot=${measured} query=${query} />
      <${Decay} snapshot=${measured} copied=${copied} />
    </div>
    <${Skips} leader=${leader} snapshot=${measured} copied=${copied} span=${span} />
    <${Held} snapshot=${snapshot} query=${query} name=${name} />
    <${Attempts} query=${query} leader=${leader} title="His trades, copied or not" />
  <//>`;
}

function copyOf(measured, purse) {
  const own = (id) => id !== "main/global";
  return measured?.portfolios.find(({ portfolio_id: id }) => own(id) === (purse === "leader")) ?? null;
}

function Unknown({ leader }) {
  return html`<${Page} title="Unknown user">
    <section class="panel"><div class="message">
      <p><strong>This wallet was never followed.</strong> <${Wallet} address=${leader} /></p>
      <p><a href="#/users">All followed users</a></p>
    </div></section>
  <//>`;
}

function Identity({ leader, value }) {
  const more = (value?.wallets ?? []).filter((wallet) => wallet !== leader);
  return html`<${Wallet} address=${leader} />
    ${more.map((wallet) => html`<${Wallet} key=${wallet} address=${wallet} />`)}
    ${value ? html`<span> followed since <${Age} at=${value.followed_from} suffix="" />, ${counted(value.trades, "trade")}, last <${Age} at=${value.last_trade_at} fallback="none yet" /></span>` : null}`;
}

function Headline({ value, copied, snapshot, span }) {
  const tracking = copied?.tracking;
  const rates = copied?.rates;
  const shadow = snapshot.value?.shadow;
  const purse = copied?.portfolio_id === "main/global" ? "in global" : "alone";
  const returned = (micros) => (micros == null ? BLANK : html`<span class=${micros > 0 ? "gain" : micros < 0 ? "loss" : "flat"}>${signedFraction(micros)}</span>`);
  return html`<div class="headline-row">
    <${Figures}
      label="Copying him at a glance"
      figures=${[
        { name: "Tracking gap", large: true, hint: "Our return per USDC bought, less what the same trades brought him; since the epoch began", value: returned(tracking?.gap_micros), note: tracking ? `${signedFraction(tracking.return_micros)} ours, ${signedFraction(tracking.shadow_return_micros)} his` : "nothing bought yet" },
        { name: "Paid beyond his price", hint: "What worse prices cost us on the same shares", value: tracking?.paid_beyond_his_micros == null ? BLANK : html`<${Money} micros=${tracking.paid_beyond_his_micros} />`, note: tracking ? html`<${Money} micros=${tracking.fees_micros} /> fees` : "" },
        { name: "Copy equity", hint: "His own paper portfolio", value: value?.copy ? html`<${Money} micros=${value.copy.equity_micros} />` : BLANK, note: value?.copy ? signedAmount(value.copy.equity_micros - value.copy.starting_cash_micros) : "" },
        { name: "Shadow gain", hint: "His own trades replicated exactly; since he is followed", value: shadow?.gain_micros == null ? BLANK : html`<${Gain} micros=${shadow.gain_micros} />`, note: shadow?.today_micros == null ? "" : `${signedAmount(shadow.today_micros)} today` },
        { name: "Attempted", hint: `Of his signals in ${SPAN_WORDS[span]}, those executed ${purse}`, value: rates ? fraction(rates.attempt_rate_micros) : BLANK, note: rates ? `${count(rates.executed)} of ${count(rates.attempts)}` : "" },
        { name: "Filled", hint: "Of the executed, those filled whole", value: rates ? fraction(rates.fill_rate_micros) : BLANK, note: rates ? `${count(rates.filled)} of ${count(rates.executed)}` : "" },
        { name: "In part", hint: "Of the executed, those filled in part", value: rates ? fraction(rates.partial_rate_micros) : BLANK, note: rates ? `${count(rates.partial)} of ${count(rates.executed)}` : "" },
        { name: "Win rate", hint: "Of his reduced or settled positions, those with a gain: the shadow's", value: shadow ? fraction(shadow.win_rate_micros) : BLANK, note: shadow ? `his, of ${count(shadow.closings)}` : "" },
      ]}
    />
    <div class="headline-state"><${Freshness} snapshot=${snapshot} /></div>
  </div>`;
}

const CURVES = [["gain", "Gain"], ["equity", "Equity"]];

function Curves({ value, error, span, query, name }) {
  const kind = oneOf(query.curve, ["gain", "equity"]);
  const body = { kind, span, name };
  const choices = html`<${Choices} legend="Figure" name="curve" value=${kind} options=${CURVES} onChange=${(curve) => setQuery({ curve: curve === "gain" ? "" : curve })} />`;
  if (!value || !value.copy || !value.shadow) {
    const snapshot = { value: value && null, error: value ? { status: 404 } : error, confirmedAt: null, intervalMs: 0 };
    return html`<${Panel} id="curves" title="Shadow and copy" snapshot=${snapshot} loadingRows=${7} loadingLabel="Loading both curves" choices=${choices} absent=${html`<p><strong>There is no pair of portfolios to compare.</strong> A shadow and an executable portfolio open when he is followed.</p>`} />`;
  }
  return html`<${BothCurves} ...${body} choices=${choices} copy=${value.copy.portfolio_id} shadow=${value.shadow.portfolio_id} />`;
}

function BothCurves({ kind, span, name, choices, copy, shadow }) {
  const ours = useSnapshot(series(copy, span));
  const his = useSnapshot(series(shadow, span));
  const snapshot = !ours.value || ours.error ? ours : his;
  const points = usePairs(ours.value?.points, his.value?.points, kind);
  const curves = [
    { label: "Copy", of: (point) => point.ours, format: kind === "gain" ? signedAmount : amount, tone: "accent", scale: "left" },
    { label: name ? `Shadow of ${name}` : "Shadow", of: (point) => point.his, format: kind === "gain" ? signedAmount : amount, tone: "ink", dashed: true, scale: "right" },
  ];
  return html`<${Panel}
    id="curves"
    title="Shadow and copy"
    summary=${kind === "gain" ? `Gained in ${SPAN_WORDS[span]}. Copy on the left scale, shadow on the right; zero is one line.` : "Copy on the left scale, shadow on the right. A shadow opens with his holdings and no cash, so its equity is no gain."}
    snapshot=${snapshot}
    loadingRows=${7}
    loadingLabel="Loading both curves"
    choices=${choices}
    empty=${points.length < 2 && html`<p><strong>Not enough snapshots yet.</strong> One is taken every minute.</p>`}
  >
    <${TimeChart} key=${kind} label=${spoken(points, kind, span)} points=${points} series=${curves} height=${250} axisFormat=${axisAmount} />
  <//>`;
}

const pairs = new WeakMap();

/** Both series by time, gains counted from the span's first point; the same array for the same answers. */
function usePairs(ours, his, kind) {
  if (!ours || !his) return NO_POINTS;
  const known = pairs.get(ours);
  if (known && known.his === his && known.kind === kind) return known.points;
  const figure = kind === "gain" ? "gain_micros" : "equity_micros";
  const rows = new Map();
  for (const [name, points] of [["ours", ours], ["his", his]]) {
    const base = kind === "gain" && points.length ? points[0][figure] : 0;
    for (const point of points) {
      const row = rows.get(point.ts) ?? { ts: point.ts, ours: null, his: null };
      row[name] = point[figure] - base;
      rows.set(point.ts, row);
    }
  }
  const points = [...rows.values()].sort((a, b) => a.ts - b.ts);
  pairs.set(ours, { his, kind, points });
  return points;
}

const NO_POINTS = [];

function spoken(points, kind, span) {
  const last = (name) => points.findLast((point) => point[name] !== null)?.[name];
  const what = kind === "gain" ? "Gain" : "Equity";
  return `${what} over ${SPAN_WORDS[span]}: copy ${signedAmount(last("ours"))}, shadow ${signedAmount(last("his"))}.`;
}

const ENDS = [
  ["filled", "Filled", "accent"],
  ["partial", "Filled in part", "soft"],
  ["no_fill", "Nothing filled", "soft"],
  ["failed", "Failed", "warn"],
  ["skipped", "Skipped", "soft"],
];

/** How attempts ended, each as a part of all. */
function Rates({ snapshot, copied, span }) {
  const rates = copied?.rates;
  return html`<${Panel}
    id="rates"
    title="How copies ended"
    summary=${rates ? `${counted(rates.attempts, "signal")} in ${SPAN_WORDS[span]}.` : null}
    snapshot=${snapshot}
    loadingRows=${5}
    loadingLabel="Loading rates"
    absent=${NEVER}
    empty=${!rates?.attempts && html`<p><strong>No signal of his in ${SPAN_WORDS[span]}.</strong> Each group of his fills becomes one attempt.</p>`}
  >
    <dl class="rates">
      ${rates
        ? ENDS.map(
            ([key, label, tone]) => html`<div key=${key} class="rate">
              <dt>${label}</dt>
              <dd><span class="meter" aria-hidden="true"><span class=${`meter-fill meter-${tone}`} style=${{ width: `${rates.attempts ? (100 * rates[key]) / rates.attempts : 0}%` }}></span></span></dd>
              <dd class="numeric">${count(rates[key])}</dd>
              <dd class="numeric dim">${percent(rates[key], rates.attempts, 0)}</dd>
            </div>`,
          )
        : null}
    </dl>
    ${copied?.tracking ? html`<dl class="purse-facts">
      <div><dt>Bought</dt><dd><${Money} micros=${copied.tracking.bought_micros} /></dd></div>
      <div><dt>Sold</dt><dd><${Money} micros=${copied.tracking.sold_micros} /></dd></div>
      <div><dt>Fees</dt><dd><${Money} micros=${copied.tracking.fees_micros} /></dd></div>
    </dl>` : null}
  <//>`;
}

const NEVER = html`<p><strong>Nothing is measured of this wallet.</strong> It was never followed.</p>`;
const AGAINST = [["leader", "his price"], ["mid", "mid"], ["arrival", "arrival"]];

function Slippage({ snapshot, copied, query }) {
  const against = oneOf(query.against, AGAINST.map(([kind]) => kind));
  const found = copied?.slippage[against];
  const buckets = useBuckets(copied?.slippage.bounds_micros, found?.counts);
  return html`<${Panel}
    id="slippage"
    title="Slippage"
    snapshot=${snapshot}
    loadingRows=${5}
    loadingLabel="Loading slippage"
    choices=${html`<${Choices} legend="Against" name="against" value=${against} options=${AGAINST} onChange=${(next) => setQuery({ against: next === "leader" ? "" : next })} />`}
    absent=${NEVER}
    empty=${!found?.count && html`<p><strong>No fill to measure yet.</strong> Slippage is taken from filled copies.</p>`}
  >
    <${Histogram}
      label=${`Slippage per share: median ${signedCents(found?.p50_micros)}, 95th percentile ${signedCents(found?.p95_micros)}`}
      buckets=${buckets}
      format=${signedCents}
      what="fills"
      tone=${({ to, from }) => (to <= 0 ? "gain" : from >= 0 ? "loss" : "accent")}
      marks=${found ? [{ name: "median", text: signedCents(found.p50_micros) }, { name: "95 %", text: signedCents(found.p95_micros) }] : []}
    />
    <p class="chart-note">Cents per share that we paid more or got less; left of zero we did better.</p>
  <//>`;
}

const STAGES = [["chain", "Seen by chain"], ["api", "Seen by API"], ["first_seen", "First seen"], ["decided", "Decided"], ["placed", "Placed"], ["first_fill", "First fill"], ["done", "Done"]];

function Lag({ snapshot, query }) {
  const delays = snapshot.value?.delays;
  const chosen = oneOf(query.stage, ["placed", ...STAGES.map(([stage]) => stage)]);
  const stage = delays?.stages.find((each) => each.stage === chosen);
  const buckets = useBuckets(delays?.bounds_ms, stage?.counts);
  return html`<${Panel}
    id="lag"
    title="Lag"
    snapshot=${snapshot}
    loadingRows=${5}
    loadingLabel="Loading lags"
    choices=${html`<${Select} label="until" name="stage" value=${chosen} options=${STAGES} onChange=${(next) => setQuery({ stage: next === "placed" ? "" : next })} />`}
    absent=${NEVER}
    empty=${!stage?.count && html`<p><strong>Nothing measured in the last 24 hours.</strong> Delays are taken from trades two minutes after their block.</p>`}
  >
    <${Histogram}
      label=${`Lag: median ${latency(stage?.p50_ms)}, 95th percentile ${latency(stage?.p95_ms)}`}
      buckets=${buckets}
      format=${lagText}
      what="trades"
      marks=${stage ? [{ name: "median", text: latency(stage.p50_ms) }, { name: "95 %", text: latency(stage.p95_ms) }] : []}
    />
    <p class="chart-note">From his block's time, over the last 24 hours; block times are whole seconds.</p>
  <//>`;
}

const lagText = (ms) => (ms < 1_000 ? `${ms} ms` : ms < 60_000 ? `${Number((ms / 1_000).toFixed(2))} s` : duration(ms));

const emptied = new Map();

/** The same array for the same counts, so that a chart is only redrawn for new ones. */
function useBuckets(bounds, counts) {
  const key = JSON.stringify([bounds, counts]);
  if (!emptied.has(key)) {
    if (emptied.size > 40) emptied.clear();
    emptied.set(key, bounds && counts ? bucketsOf(bounds, counts) : []);
  }
  return emptied.get(key);
}

const DEPTH_NAMES = { 100: "whole book", 50: "half", 25: "quarter" };
const DEPTH_TONES = { 100: "accent", 50: "ink", 25: "warn" };

function Decay({ snapshot, copied }) {
  const decay = copied?.decay ?? [];
  const points = useDecay(decay);
  const depths = decay[0]?.depths ?? [];
  const curves = depths.map(({ depth_percent: depth }, index) => ({
    label: DEPTH_NAMES[depth] ?? `${depth} % of the book`,
    of: (point) => point.beyond[index],
    format: signedCents,
    tone: DEPTH_TONES[depth] ?? "ink",
    dashed: index > 0,
  }));
  const seen = Math.max(0, ...decay.map((point) => point.count));
  const first = decay[0]?.depths[0];
  const last = decay.at(-1)?.depths[0];
  return html`<${Panel}
    id="decay"
    title="What delay costs"
    snapshot=${snapshot}
    loadingRows=${5}
    loadingLabel="Loading the decay curve"
    absent=${NEVER}
    empty=${(!decay.length || !seen) && html`<p><strong>Not looked back at yet.</strong> A while after a copy, the recorded book tells what the same order would have cost later or in a thinner book.</p>`}
  >
    <${CurveChart}
      label=${`Cost beyond his price by delay: ${signedCents(first?.beyond_leader_micros)} at once, ${signedCents(last?.beyond_leader_micros)} after ${latency(decay.at(-1)?.latency_ms)}`}
      points=${points}
      series=${curves}
      axisFormat=${(micros) => (micros === 0 ? "0" : signedCents(micros))}
      xFormat=${lagText}
      xHead="after"
      height=${168}
    />
    <p class="chart-note">Cents per share beyond his price, by how much later the order arrives and how much of the book is there; ${counted(seen, "copy", "copies")} looked back at.${last && last.shares_micros < decay.at(-1).target_shares_micros ? ` After ${lagText(decay.at(-1).latency_ms)}, ${percent(last.shares_micros, decay.at(-1).target_shares_micros, 0)} would still be filled.` : ""}</p>
  <//>`;
}

const decays = new WeakMap();

function useDecay(decay) {
  if (!decays.has(decay)) decays.set(decay, decay.map((point) => ({ x: point.latency_ms, beyond: point.depths.map((depth) => depth.beyond_leader_micros) })));
  return decays.get(decay);
}

function Skips({ leader, snapshot, copied, span }) {
  const ledger = useSnapshot(skipLedger(copied?.portfolio_id ?? "main/global", leader));
  const skips = copied?.skips ?? [];
  return html`<${Panel}
    id="skips"
    title="Why not copied"
    summary=${copied ? `${counted(copied.rates.skipped, "signal")} skipped in ${SPAN_WORDS[span]}; one may have several reasons.` : null}
    snapshot=${snapshot}
    loadingRows=${5}
    loadingLabel="Loading skips"
    absent=${NEVER}
    empty=${skips.length === 0 && html`<p><strong>Nothing was skipped.</strong> Every signal of his in ${SPAN_WORDS[span]} was executed.</p>`}
  >
    <${SkipTable} skips=${skips} total=${copied?.rates.skipped ?? 0} forgone=${ledger.value?.total ?? []} unjudged=${ledger.value?.unjudged ?? 0} />
  <//>`;
}

const SIDES = [["copy", "Ours"], ["shadow", "His"]];

function Held({ snapshot, query, name }) {
  const side = oneOf(query.held, ["copy", "shadow"]);
  const held = snapshot.value?.positions[side];
  return html`<${Panel}
    id="positions"
    title="Positions"
    summary=${held ? (side === "copy" ? "What his own paper portfolio holds." : `What the shadow of ${name} holds: his shares as they are known here.`) : null}
    snapshot=${snapshot}
    loadingRows=${6}
    loadingLabel="Loading positions"
    choices=${html`<${Choices} legend="Whose positions" name="held" value=${side} options=${SIDES} onChange=${(next) => setQuery({ held: next === "copy" ? "" : next })} />`}
    absent=${NEVER}
    empty=${held && held.items.length === 0 && html`<p><strong>Nothing is held.</strong> ${side === "copy" ? "Positions appear with the first copied buy." : "He holds nothing that is known here."}</p>`}
  >
    ${held ? html`<${Positions} key=${side} rows=${held.items} more=${held.more} withLeader=${false} />` : null}
  <//>`;
}
