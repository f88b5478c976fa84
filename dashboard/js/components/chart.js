// Charts on one canvas library: curves over time, curves over numbers, and bars of a distribution.
// Each has a sentence for screen readers, the figures at the pointer, and its data as a table.
import uPlot from "uplot";
import { useEffect, useRef, useState } from "preact/hooks";

import { exactTime, NONE } from "../format.js";
import { useMedia } from "../hooks.js";
import { html } from "../html.js";

const DAY_S = 86_400;
const TABLE_ROWS_MAX = 24;
const GRID_WIDTH = 1;
const FONT = '11px -apple-system, BlinkMacSystemFont, "Segoe UI", Roboto, "Liberation Sans", sans-serif';

/** A custom property of the page's theme, as the canvas needs it. */
const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

/** The same colour, fainter: for areas under curves. */
function wash(color, share) {
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
  return `rgb(${r} ${g} ${b} / ${share})`;
}

/**
 * Draws and redraws: `optionsOf(width)` gives the library's options, `data` its columns. The figures
 * at the pointer go to `show(index)`; the pointer of charts with the same `sync` moves together.
 */
function Canvas({ data, optionsOf, height, sync, show, shape }) {
  const box = useRef(null);
  const plot = useRef(null);
  const dark = useMedia("(prefers-color-scheme: dark)");
  const latest = useRef(show);
  latest.current = show;
  useEffect(() => {
    const element = box.current;
    const width = () => Math.max(120, Math.floor(element.clientWidth));
    const options = {
      legend: { show: false },
      padding: [6, null, 2, null],
      ...optionsOf(),
      width: width(),
      height,
      hooks: { setCursor: [(u) => latest.current(u.cursor.idx ?? null)] },
    };
    options.cursor = { y: false, drag: { x: false, y: false }, points: { size: 6 }, ...(sync ? { sync: { key: sync } } : {}), ...options.cursor };
    plot.current = new uPlot(options, data, element);
    const observer = new ResizeObserver(() => {
      const wide = width();
      if (wide !== plot.current.width) plot.current.setSize({ width: wide, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      plot.current.destroy();
      plot.current = null;
    };
  }, [dark, height, shape]);
  useEffect(() => plot.current?.setData(data), [data]);
  return html`<div class="canvas" ref=${box} aria-hidden="true"></div>`;
}

function axis(extra) {
  return {
    stroke: token("--ink-soft"),
    font: FONT,
    grid: { stroke: token("--line"), width: GRID_WIDTH },
    ticks: { stroke: token("--line"), width: GRID_WIDTH, size: 4 },
    ...extra,
  };
}

const DAY = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/** Times of day within two days, dates beyond. */
function timeLabels(_, splits) {
  const across = splits.length > 1 ? splits.at(-1) - splits[0] : 0;
  return splits.map((s) => {
    const iso = new Date(s * 1_000).toISOString();
    return across > 2 * DAY_S || s % DAY_S === 0 ? DAY.format(s * 1_000) : iso.slice(11, 16);
  });
}

/** A range that holds zero when `zero` is set, with air above and below, never of no height. */
function rangeOf(zero) {
  return (_, low, high) => {
    let [bottom, top] = [low ?? 0, high ?? 0];
    if (zero) [bottom, top] = [Math.min(bottom, 0), Math.max(top, 0)];
    const air = (top - bottom || Math.abs(top) || 1) * 0.08;
    return [zero && bottom === 0 ? 0 : bottom - air, zero && top === 0 ? 0 : top + air];
  };
}

/** Ranges of two scales whose zeros lie on one line. */
function alignedRange(own, other) {
  const reach = (values) => [Math.min(0, ...values.filter(Number.isFinite)), Math.max(0, ...values.filter(Number.isFinite))];
  return () => {
    const [low, high] = reach(own());
    const [otherLow, otherHigh] = reach(other());
    const size = high - low || 1;
    const otherSize = otherHigh - otherLow || 1;
    const below = Math.max(-low / size, -otherLow / otherSize);
    const above = Math.max(high / size, otherHigh / otherSize);
    return [-below * size * 1.08, (above || 1) * size * 1.08];
  };
}

/**
 * Curves over time.
 *
 * `points` are rows with `ts` in ms, oldest first; `series` are
 * `{label, of(point), format(value), tone, area?, dashed?, scale?}` with tones of the theme (`accent`,
 * `ink`, `loss`, `warn`). `zero` keeps zero in sight; two `scale`s (`"left"`, `"right"`) share its line.
 * `drawn` are those of them in this drawing, where the others have a drawing below with the same
 * `sync`; such a one has no `heading`.
 */
export function TimeChart({ label, points, series: told, drawn: series = told, height = 200, zero = false, sync, axisFormat, axisWidth = 64, heading = true, table = heading, title = "", ticksX = true }) {
  const [at, setAt] = useState(null);
  const data = useData(points, series);
  const two = series.some(({ scale }) => scale === "right");
  const columns = useRef(data);
  columns.current = data;
  const valuesOf = (scale) => () => series.flatMap((each, index) => ((each.scale ?? "left") === scale ? columns.current[index + 1] : []));
  const ranges = two
    ? { left: { range: alignedRange(valuesOf("left"), valuesOf("right")) }, right: { range: alignedRange(valuesOf("right"), valuesOf("left")) } }
    : { left: { range: rangeOf(zero) } };
  const optionsOf = () => ({
    tzDate: (ts) => uPlot.tzDate(new Date(ts * 1_000), "Etc/UTC"),
    scales: { x: { time: true }, ...ranges },
    series: [{}, ...series.map(seriesOptions)],
    axes: [
      axis(ticksX ? { values: timeLabels, space: 64, size: 26 } : { values: () => [], space: 64, size: 6 }),
      axis({ scale: "left", size: axisWidth, values: (_, splits) => splits.map(axisFormat ?? series[0].format), space: height < 120 ? 20 : 34 }),
      ...(two ? [axis({ scale: "right", side: 1, size: axisWidth, grid: { show: false }, values: (_, splits) => splits.map(axisFormat ?? series[0].format), space: 34 })] : []),
    ],
  });
  const shown = at ?? (points.length ? points.length - 1 : null);
  const shape = series.map(({ label: name, scale, tone }) => `${name}/${scale}/${tone}`).join();
  return html`<figure class="chart-box">
    ${title ? html`<p class="chart-title" aria-hidden="true">${title}</p>` : null}
    ${heading ? html`<${Legend} series=${told} point=${points[shown]} when=${at === null || shown === null ? null : exactTime(points[shown]?.ts).slice(0, 16)} />` : null}
    <div role="img" aria-label=${label}>
      <${Canvas} data=${data} optionsOf=${optionsOf} height=${height} sync=${sync} show=${setAt} shape=${shape} />
    </div>
    ${table ? html`<${PointsTable} caption=${label} points=${points} series=${told} />` : null}
  </figure>`;
}

/** Curves over time as a table, for several drawings together. */
export function PointsTable({ caption, points, series }) {
  return html`<${TableOf} caption=${caption} points=${points} series=${series} head="Time, UTC" rowHead=${(point) => exactTime(point.ts).slice(0, 16)} />`;
}

/** The library's columns: seconds, then each curve's values; a new array only for new points. */
function useData(points, series) {
  const kept = useRef({});
  const shape = series.map(({ label }) => label).join();
  if (kept.current.points !== points || kept.current.shape !== shape) {
    kept.current = { points, shape, data: [points.map(({ ts }) => ts / 1_000), ...series.map(({ of }) => points.map(of))] };
  }
  return kept.current.data;
}

function seriesOptions({ tone, area, dashed, scale = "left" }) {
  const stroke = token(`--${tone}`);
  return {
    scale,
    stroke,
    width: 1.5,
    fill: area ? wash(stroke, 0.12) : undefined,
    fillTo: 0,
    dash: dashed ? [5, 4] : undefined,
    points: { show: false },
    spanGaps: false,
  };
}

/** Each curve's name, sign and figure: at the pointer, or the latest. */
function Legend({ series, point, when }) {
  return html`<figcaption class="chart-legend">
    ${series.map(
      ({ label, of, format, tone, dashed }) => html`<span key=${label} class="chart-key">
        <span class=${`swatch swatch-${tone} ${dashed ? "swatch-dashed" : ""}`} aria-hidden="true"></span>${label}${" "}
        <strong>${point && of(point) != null ? format(of(point)) : NONE}</strong>
      </span>`,
    )}
    <span class="chart-when dim">${when ?? (point ? "latest" : "")}</span>
  </figcaption>`;
}

/** The drawing as a table, thinned to a screenful. */
function TableOf({ caption, points, series, head, rowHead }) {
  const [open, setOpen] = useState(false);
  const step = Math.max(1, Math.ceil(points.length / TABLE_ROWS_MAX));
  const rows = open ? points.filter((_, index) => (points.length - 1 - index) % step === 0).reverse() : [];
  return html`<details class="chart-table" onToggle=${(event) => setOpen(event.target.open)}>
    <summary>The drawing as a table</summary>
    <table>
      <caption class="unseen">${caption}</caption>
      <thead><tr><th scope="col">${head}</th>${series.map(({ label }) => html`<th key=${label} scope="col" class="numeric">${label}</th>`)}</tr></thead>
      <tbody>${rows.map((point, index) => html`<tr key=${index}><th scope="row">${rowHead(point)}</th>${series.map(({ label, of, format }) => html`<td key=${label} class="numeric">${of(point) == null ? NONE : format(of(point))}</td>`)}</tr>`)}</tbody>
    </table>
  </details>`;
}

/**
 * Bars of a distribution.
 *
 * `buckets` are `{from, to, count}` in order, `format(bound)` names a bound, `tone(bucket)` may colour
 * one (`gain`, `loss`, `accent`); `what` is what is counted, in plural.
 */
export function Histogram({ label, buckets, format, what, tone = () => "accent", height = 150, marks = [] }) {
  const [at, setAt] = useState(null);
  const total = buckets.reduce((sum, { count }) => sum + count, 0);
  const data = useRef({});
  if (data.current.buckets !== buckets) {
    data.current = { buckets, columns: [buckets.map((_, index) => index), buckets.map(({ count }) => count)] };
  }
  const optionsOf = () => ({
    scales: { x: { time: false, range: () => [-0.5, buckets.length - 0.5] }, left: { range: (_, low, high) => [0, (high || 1) * 1.1] } },
    cursor: { points: { show: false } },
    series: [
      {},
      {
        scale: "left",
        width: 0,
        points: { show: false },
        paths: uPlot.paths.bars({
          size: [0.86, 48],
          disp: { fill: { unit: 3, values: () => buckets.map((bucket) => token(`--${tone(bucket)}`)) } },
        }),
      },
    ],
    axes: [
      axis({ size: 26, grid: { show: false }, splits: () => boundsShown(buckets), values: (_, splits) => splits.map((index) => boundLabel(buckets, index, format)) }),
      axis({ scale: "left", size: 44, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000], values: (_, splits) => splits, space: 30 }),
    ],
  });
  const bucket = buckets[at];
  const shown = bucket ? `${rangeText(bucket, format)}: ${bucket.count} of ${total} ${what}` : `${total} ${what}`;
  return html`<figure class="chart-box">
    <figcaption class="chart-legend">
      <span>${shown}</span>
      ${marks.map(({ name, text }) => html`<span key=${name} class="chart-key">${name}${" "}<strong>${text}</strong></span>`)}
    </figcaption>
    <div role="img" aria-label=${label}>
      <${Canvas} data=${data.current.columns} optionsOf=${optionsOf} height=${height} show=${setAt} shape=${`${label}/${buckets.length}/${buckets[0]?.to}`} />
    </div>
    <${TableOf}
      caption=${label}
      points=${buckets.filter(({ count }) => count > 0)}
      head="Range"
      rowHead=${(each) => rangeText(each, format)}
      series=${[{ label: what, of: (each) => each.count, format: (value) => String(value) }]}
    />
  </figure>`;
}

const LABELS_MAX = 9;

/** The places between buckets that are named: a few, evenly spread. */
function boundsShown(buckets) {
  const step = Math.max(1, Math.ceil((buckets.length - 1) / LABELS_MAX));
  return buckets.slice(0, -1).map((_, index) => index + 0.5).filter((_, index) => index % step === 0);
}

function boundLabel(buckets, place, format) {
  const { to } = buckets[Math.floor(place)] ?? {};
  return Number.isFinite(to) ? format(to) : "";
}

function rangeText({ from, to }, format) {
  if (!Number.isFinite(from)) return `up to ${format(to)}`;
  return Number.isFinite(to) ? `${format(from)} to ${format(to)}` : `above ${format(from)}`;
}

/** Buckets of counts by their upper bounds, without the empty ones at either end. */
export function bucketsOf(bounds, counts) {
  const all = Array.from({ length: bounds.length + 1 }, (_, index) => ({
    from: index === 0 ? -Infinity : bounds[index - 1],
    to: index < bounds.length ? bounds[index] : Infinity,
    count: counts[index] ?? 0,
  }));
  const first = all.findIndex(({ count }) => count > 0);
  const last = all.findLastIndex(({ count }) => count > 0);
  if (first < 0) return [];
  return all.slice(Math.max(0, first - 1), last + 2);
}

/** Curves over numbers: `points` are rows with `x`; the rest as for TimeChart. */
export function CurveChart({ label, points, series, height = 180, axisFormat, xFormat, xHead }) {
  const [at, setAt] = useState(null);
  const kept = useRef({});
  if (kept.current.points !== points) kept.current = { points, data: [points.map((_, index) => index), ...series.map(({ of }) => points.map(of))] };
  const optionsOf = () => ({
    scales: { x: { time: false, range: () => [-0.15, points.length - 0.85] }, left: { range: rangeOf(true) } },
    series: [{}, ...series.map((each) => ({ ...seriesOptions(each), points: { show: true, size: 5 } }))],
    axes: [
      axis({ size: 26, splits: () => points.map((_, index) => index), values: (_, splits) => splits.map((index) => xFormat(points[index].x)) }),
      axis({ scale: "left", size: 58, values: (_, splits) => splits.map(axisFormat ?? series[0].format), space: 30 }),
    ],
  });
  const shown = at ?? 0;
  return html`<figure class="chart-box">
    <${Legend} series=${series} point=${points[shown]} when=${points.length ? `${xHead} ${xFormat(points[shown].x)}` : ""} />
    <div role="img" aria-label=${label}>
      <${Canvas} data=${kept.current.data} optionsOf=${optionsOf} height=${height} show=${setAt} shape=${`${series.length}/${points.length}`} />
    </div>
    <${TableOf} caption=${label} points=${points} series=${series} head=${xHead} rowHead=${(point) => xFormat(point.x)} />
  </figure>`;
}
