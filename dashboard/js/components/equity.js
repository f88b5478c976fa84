// What a portfolio was worth over a span, and how far below its height.
import { amount, axisAmount, counted, direction, NONE, signedAmount } from "../format.js";
import { setQuery, useSnapshot } from "../hooks.js";
import { html } from "../html.js";
import { series as seriesOf } from "../resources.js";
import { oneOf } from "../route.js";
import { PointsTable, TimeChart } from "./chart.js";
import { Choices } from "./field.js";
import { Panel } from "./panel.js";

export const SPANS = ["1d", "1h", "7d", "30d", "all"];
const SPAN_NAMES = [["1h", "1 h"], ["1d", "24 h"], ["7d", "7 d"], ["30d", "30 d"], ["all", "All"]];
export const SPAN_WORDS = { "1h": "the last hour", "1d": "the last 24 hours", "7d": "the last 7 days", "30d": "the last 30 days", all: "the whole time" };

/** The span of the address, changed in place. */
export function SpanChoice({ span, name = "span" }) {
  return html`<${Choices} legend="Span of time" name=${name} value=${span} options=${SPAN_NAMES} onChange=${(value) => setQuery({ span: value })} />`;
}

export const spanOf = (query, fallback = "1d") => oneOf(query.span, [fallback, ...SPANS]);

const EQUITY = { label: "Equity", of: (point) => point.equity_micros, format: amount, tone: "accent", area: true };
const DRAWDOWN = { label: "Drawdown", of: (point) => (point.drawdown_micros ? -point.drawdown_micros : 0), format: amount, tone: "loss", area: true };
const EXPOSURE = { label: "Exposure", of: (point) => point.exposure_micros, format: amount, tone: "ink-soft", area: true };

/** Equity, the drawdown under it, and what was at risk. */
export function EquityPanel({ portfolioId, span, title = "Equity" }) {
  const snapshot = useSnapshot(seriesOf(portfolioId, span));
  const points = snapshot.value?.points ?? [];
  return html`<${Panel}
    id="equity"
    title=${title}
    summary=${snapshot.value ? summaryOf(points, span) : null}
    snapshot=${snapshot}
    loadingRows=${7}
    loadingLabel="Loading the equity curve"
    choices=${html`<${SpanChoice} span=${span} />`}
    absent=${html`<p><strong>No equity curve yet.</strong> It begins with the first wallet that is followed.</p>`}
    empty=${points.length < 2 && html`<p><strong>Not enough snapshots yet.</strong> One is taken every minute; the curve of ${SPAN_WORDS[span]} appears with the second.</p>`}
  >
    <${TimeChart} label=${`Equity over ${SPAN_WORDS[span]}: ${spoken(points)}`} points=${points} series=${[EQUITY, EXPOSURE, DRAWDOWN]} drawn=${[EQUITY]} sync=${portfolioId} height=${224} axisFormat=${axisAmount} table=${false} />
    <${TimeChart} label=${`Drawdown over ${SPAN_WORDS[span]}`} points=${points} series=${[DRAWDOWN]} sync=${portfolioId} height=${66} zero axisFormat=${axisAmount} heading=${false} ticksX=${false} title="Drawdown" />
    <${TimeChart} label=${`Exposure over ${SPAN_WORDS[span]}`} points=${points} series=${[EXPOSURE]} sync=${portfolioId} height=${84} zero axisFormat=${axisAmount} heading=${false} title="Exposure" />
    <div class="chart-box"><${PointsTable} caption=${`Equity, exposure and drawdown over ${SPAN_WORDS[span]}`} points=${points} series=${[EQUITY, EXPOSURE, DRAWDOWN]} /></div>
  <//>`;
}

function changeOf(points) {
  return points.length > 1 ? points.at(-1).gain_micros - points[0].gain_micros : null;
}

function summaryOf(points, span) {
  const change = changeOf(points);
  if (change === null) return null;
  const deepest = Math.max(...points.map(({ drawdown_micros: fall }) => fall));
  return html`<span class=${direction(change)}>${signedAmount(change)}</span> over ${SPAN_WORDS[span]}, drawdown at most ${amount(deepest)}.`;
}

function spoken(points) {
  if (points.length < 2) return NONE;
  return `from ${amount(points[0].equity_micros)} to ${amount(points.at(-1).equity_micros)}, ${counted(points.length, "point")}.`;
}
