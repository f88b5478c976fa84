// Price levels over time. Attributes only, no inline styles: the page's policy refuses those.
import { useEffect, useMemo, useRef, useState } from "preact/hooks";

import { amount, latency } from "../format.js";
import { html } from "../html.js";
import { price } from "./attempt-words.js";

const HEIGHT = 300;
const PAD = { left: 6, right: 58, top: 30, bottom: 24 };
const SHADES = 5;
const BAND_PX_MIN = 8;
const PX_PER_TIME_LABEL = 90;
const PX_PER_PRICE_LABEL = 34;
const NICE_STEPS_MS = [500, 1_000, 2_000, 5_000, 10_000, 20_000, 60_000, 120_000];

export function TapeChart({ tape, tick, target, at, setAt }) {
  const [box, width] = useWidth();
  const scale = useMemo(() => scaleOf(tape, tick, width), [tape, tick, width]);
  const shades = useMemo(() => shadesOf(tape, scale), [tape, scale]);
  const { x, y, inner } = scale;
  const point = (event) => {
    const left = event.currentTarget.getBoundingClientRect().left;
    const share = (event.clientX - left - PAD.left) / (inner.right - PAD.left);
    setAt(Math.round(tape.ts_from + Math.min(1, Math.max(0, share)) * (tape.ts_until - tape.ts_from)));
  };
  return html`<div ref=${box} class="chart">
    <svg width=${width} height=${HEIGHT} viewBox=${`0 0 ${width} ${HEIGHT}`} role="img" aria-label=${labelOf(tape)} onPointerMove=${at == null ? undefined : point} onPointerDown=${at == null ? undefined : point}>
      <${Axes} tape=${tape} scale=${scale} />
      <clipPath id="chart-inside"><rect x=${PAD.left} y=${PAD.top} width=${Math.max(0, inner.right - PAD.left)} height=${inner.bottom - PAD.top} /></clipPath>
      <g clip-path="url(#chart-inside)">${shades.map(({ side, shade, d }) => html`<path key=${`${side}${shade}`} class=${`depth-${side} depth-${shade}`} d=${d} />`)}</g>
      ${tape.gaps.map(([from, until]) => html`<${Gap} key=${from} from=${x(from)} until=${x(until)} inner=${inner} wide=${until - from > 0.2 * (tape.ts_until - tape.ts_from)} />`)}
      <path class="line-bid" d=${stepsOf(tape, "bid_micros", scale)} />
      <path class="line-ask" d=${stepsOf(tape, "ask_micros", scale)} />
      ${tape.snapshot && !tape.recorded ? html`<${Snapshot} snapshot=${tape.snapshot} scale=${scale} />` : null}
      ${tape.prints.map((print, index) => html`<path key=${index} class="mark-print" d=${`M${x(print.ts) - 3} ${y(print.price_micros) - 3}l6 6m0-6l-6 6`} />`)}
      <${Order} tape=${tape} scale=${scale} />
      <${Leader} tape=${tape} scale=${scale} />
      ${tape.fills.map((fill, index) => html`<circle key=${index} class="mark-fill" cx=${x(fill.ts)} cy=${y(fill.price_micros)} r=${target ? 4 + 4 * Math.sqrt(Math.min(1, fill.shares_micros / target)) : 5} />`)}
      ${at == null ? null : html`<line class="cursor" x1=${x(at)} x2=${x(at)} y1=${PAD.top} y2=${inner.bottom} />`}
    </svg>
  </div>`;
}

function useWidth() {
  const box = useRef(null);
  const [width, setWidth] = useState(720);
  useEffect(() => {
    const observer = new ResizeObserver(([entry]) => setWidth(Math.max(260, Math.floor(entry.contentRect.width))));
    observer.observe(box.current);
    return () => observer.disconnect();
  }, []);
  return [box, width];
}

/** Everything that has a price must fit; the book far from it may not push it together. */
function scaleOf(tape, tick, width) {
  const own = [tape.limit_micros, tape.leader.price_micros, tape.snapshot?.bid_micros, tape.snapshot?.ask_micros, ...tape.fills.map((fill) => fill.price_micros)];
  const best = tape.best.flatMap(({ bid_micros: bid, ask_micros: ask }) => [bid, ask]);
  const prices = [...own, ...best].filter((value) => value != null);
  const pad = Math.max(2 * tick, 0.12 * (Math.max(...prices) - Math.min(...prices)));
  const low = Math.max(0, Math.min(...prices) - pad);
  const high = Math.min(1_000_000, Math.max(...prices) + pad);
  const inner = { right: width - PAD.right, bottom: HEIGHT - PAD.bottom };
  const x = (ts) => PAD.left + ((ts - tape.ts_from) / (tape.ts_until - tape.ts_from)) * (inner.right - PAD.left);
  const y = (value) => inner.bottom - ((value - low) / (high - low)) * (inner.bottom - PAD.top);
  const tickPx = ((inner.bottom - PAD.top) * tick) / (high - low);
  return { x, y, low, high, tick, tickPx, inner, width };
}

/** One path per side and shade: rectangles from when a level took its size until it changed. */
function shadesOf(tape, { x, y, low, high, tickPx, inner }) {
  const most = Math.max(1, ...tape.depth.flatMap(({ bids, asks }) => [...bids, ...asks].map(([, shares]) => shares)));
  const height = Math.min(18, Math.max(1.5, tickPx - 1));
  const paths = new Map();
  const open = new Map();
  const close = (key, until) => {
    const { side, level, shares, from } = open.get(key);
    open.delete(key);
    const left = x(from);
    const width = Math.min(inner.right, x(until)) - left;
    if (width <= 0 || level < low || level > high) return;
    const shade = Math.max(1, Math.ceil(SHADES * Math.sqrt(shares / most)));
    const path = `${side} ${shade}`;
    const d = `M${left.toFixed(1)} ${(y(level) - height / 2).toFixed(1)}h${width.toFixed(1)}v${height.toFixed(1)}h${(-width).toFixed(1)}z`;
    paths.set(path, (paths.get(path) ?? "") + d);
  };
  const endOfRecord = (ts) => Math.min(tape.ts_until, ...tape.gaps.map(([from]) => from).filter((from) => from >= ts));
  let before = null;
  for (const moment of tape.depth) {
    const broken = before !== null && endOfRecord(before) < moment.ts ? endOfRecord(before) : null;
    const now = new Map();
    for (const [side, levels] of [["bid", moment.bids], ["ask", moment.asks]]) {
      for (const [level, shares] of levels) now.set(`${side}${level}`, { side, level, shares });
    }
    for (const [key, run] of [...open]) if (broken !== null || now.get(key)?.shares !== run.shares) close(key, broken ?? moment.ts);
    for (const [key, run] of now) if (!open.has(key)) open.set(key, { ...run, from: moment.ts });
    before = moment.ts;
  }
  if (before !== null) for (const key of [...open.keys()]) close(key, endOfRecord(before));
  return [...paths].map(([path, d]) => ({ side: path.split(" ")[0], shade: path.split(" ")[1], d }));
}

/** Best price as steps; a point without one lifts the pen. */
function stepsOf(tape, field, { x, y }) {
  let d = "";
  let drawing = false;
  tape.best.forEach((point, index) => {
    const value = point[field];
    if (value == null) {
      drawing = false;
      return;
    }
    const until = x(tape.best[index + 1]?.ts ?? endAfter(tape, point.ts));
    d += `${drawing ? "V" : `M${x(point.ts).toFixed(1)} `}${y(value).toFixed(1)}H${until.toFixed(1)}`;
    drawing = true;
  });
  return d;
}

function endAfter(tape, ts) {
  return Math.min(tape.ts_until, ...tape.gaps.map(([from]) => from).filter((from) => from >= ts));
}

function Axes({ tape, scale }) {
  const { x, y, inner, low, high, tick, width } = scale;
  const span = tape.ts_until - tape.ts_from;
  const perLabel = (span * PX_PER_TIME_LABEL) / (inner.right - PAD.left);
  const step = NICE_STEPS_MS.find((one) => one >= perLabel) ?? NICE_STEPS_MS.at(-1);
  const times = [];
  for (let ts = tape.ts_decided - Math.floor((tape.ts_decided - tape.ts_from) / step) * step; ts <= tape.ts_until; ts += step) times.push(ts);
  const pricesWanted = Math.max(1, (inner.bottom - PAD.top) / PX_PER_PRICE_LABEL);
  const every = [1, 2, 5, 10, 20, 50, 100, 200, 500].map((n) => n * tick).find((one) => (high - low) / one <= pricesWanted) ?? high - low;
  const prices = [];
  for (let value = Math.ceil(low / every) * every; value <= high; value += every) prices.push(value);
  return html`<g class="axes" aria-hidden="true">
    ${prices.map((value) => html`<g key=${value}><line x1=${PAD.left} x2=${inner.right} y1=${y(value)} y2=${y(value)} /><text x=${width - PAD.right + 8} y=${y(value) + 4}>${price(value)}</text></g>`)}
    ${times.map((ts) => html`<text key=${ts} x=${x(ts)} y=${HEIGHT - 7} text-anchor=${x(ts) < 20 ? "start" : "middle"}>${labelAt(ts - tape.ts_decided)}</text>`)}
  </g>`;
}

function labelAt(ms) {
  const seconds = ms / 1_000;
  if (seconds === 0) return "decided";
  return `${seconds > 0 ? "+" : "\u2212"}${Math.abs(seconds)} s`;
}

function Gap({ from, until, inner, wide }) {
  const width = Math.max(0, until - from);
  const lines = [];
  for (let left = from - (inner.bottom - PAD.top); left < until; left += 9) {
    const x0 = Math.max(left, from);
    const x1 = Math.min(left + inner.bottom - PAD.top, until);
    if (x1 > x0) lines.push(`M${x0} ${inner.bottom - (x0 - left)}L${x1} ${inner.bottom - (x1 - left)}`);
  }
  return html`<g class="gap" aria-hidden="true">
    <rect class="gap-ground" x=${from} y=${PAD.top} width=${width} height=${inner.bottom - PAD.top} />
    <path class="gap-lines" d=${lines.join("")} />
    ${wide && width > 90 ? html`<text x=${from + width / 2} y=${PAD.top + 16} text-anchor="middle">not recorded</text>` : null}
  </g>`;
}

function Snapshot({ snapshot, scale: { x, y } }) {
  const at = x(snapshot.ts);
  return html`<g>
    ${snapshot.bid_micros == null ? null : html`<path class="line-bid" d=${`M${at - 12} ${y(snapshot.bid_micros)}h24`} />`}
    ${snapshot.ask_micros == null ? null : html`<path class="line-ask" d=${`M${at - 12} ${y(snapshot.ask_micros)}h24`} />`}
  </g>`;
}

/** Our order from its placement to its end, and where it would go on while it rests. */
function Order({ tape, scale: { x, y, tickPx, inner } }) {
  const { ts_decided: decided, ts_placed: placed, ts_end: end, ts_expiry: expiry, limit_micros: limit, rests } = tape;
  const line = (ts) => html`<line class="event" x1=${x(ts)} x2=${x(ts)} y1=${PAD.top - 4} y2=${inner.bottom} />`;
  if (limit == null) return html`<g>${line(decided)}</g>`;
  const height = Math.max(BAND_PX_MIN, Math.min(16, tickPx));
  if (placed == null) {
    return html`<g>${line(decided)}
      <line class="limit" x1=${x(decided)} x2=${inner.right} y1=${y(limit)} y2=${y(limit)} />
      <${Label} x=${inner.right - 4} y=${y(limit) - 5} anchor="end" text=${`our limit would be ${price(limit)}`} />
    </g>`;
  }
  const left = x(placed);
  const right = Math.max(left + 10, Math.min(inner.right, x(Math.min(end, tape.ts_until))));
  const narrow = inner.right - left < 120;
  const under = tape.side === "SELL";
  return html`<g>
    ${line(decided)}${line(placed)}
    <${Label} x=${left + 5} y=${PAD.top - 8} anchor="start" text="placed" />
    ${end > placed && x(end) - left > 70 ? html`${line(end)}<${Label} x=${x(end) - 5} y=${PAD.top - 8} anchor="end" text=${rests ? "known up to" : "ended"} />` : null}
    <rect class="band" x=${left} y=${y(limit) - height / 2} width=${right - left} height=${height} rx="2" />
    ${rests && expiry > end ? html`<line class="limit" x1=${right} x2=${inner.right} y1=${y(limit)} y2=${y(limit)} />` : null}
    <${Label} x=${narrow ? left - 5 : left + 4} y=${under ? y(limit) + height / 2 + 13 : y(limit) - height / 2 - 5} anchor=${narrow ? "end" : "start"} text=${`our limit ${price(limit)}`} strong />
  </g>`;
}

/** His trade; one that lies before the drawing begins stands at its edge. */
function Leader({ tape: { leader, ts_from: from }, scale: { x, y } }) {
  const outside = leader.ts < from;
  const at = outside ? PAD.left + 8 : x(leader.ts);
  const level = y(leader.price_micros);
  return html`<g>
    <path class="mark-leader" d=${outside ? `M${at - 6} ${level}l9-6v12z` : `M${at} ${level - 6}l6 6-6 6-6-6z`} />
    <${Label} x=${at + 10} y=${level + 4} anchor="start" text=${`leader ${price(leader.price_micros)}${outside ? `, ${latency(from - leader.ts)} earlier` : ""}`} />
  </g>`;
}

/** Text on a halo of the ground, so that it can be read over anything. */
function Label({ x, y, anchor, text, strong = false }) {
  return html`<text class=${strong ? "label strong" : "label"} x=${x} y=${y} text-anchor=${anchor}>${text}</text>`;
}

function labelOf({ side, fills, limit_micros: limit, ts_placed: placed, leader }) {
  const order = placed == null ? "no order placed" : `our ${side === "BUY" ? "buy" : "sell"} order at ${price(limit)}`;
  const filled = fills.length ? `${fills.length} ${fills.length === 1 ? "fill" : "fills"}, ${amount(fills.reduce((sum, fill) => sum + fill.shares_micros, 0))} shares` : "no fills";
  return `Prices over time around the decision: leader's price ${price(leader.price_micros)}, ${order}, ${filled}. The table below has the figures.`;
}
