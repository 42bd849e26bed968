/** Small charts of a retraining: curves of two arms, and scores by class against the control. */

import { curvePath, linearScale, numberSpan, roundTicks } from "./chart_scale.js";
import { element, svgElement } from "./dom.js";
import { shortNumber, signedNumber } from "./formatting.js";

const WIDTH = 300;
const HEIGHT = 120;
const MARGIN = { left: 38, right: 8, top: 8, bottom: 20 };

/**
 * Curves over epochs.
 *
 * @param {string} title
 * @param {Array<{name: string, values: number[], style: string}>} curves `style` is the class of the line.
 * @param {{epochs?: number, first?: number}} options `epochs` is how far the axis reaches; `first` the epoch of
 *   the first value.
 * @returns {HTMLElement} A figure, whose numbers are told to screen readers in words.
 */
export function lineChart(title, curves, { epochs = 0, first = 1 } = {}) {
  const longest = Math.max(epochs, first + 1, ...curves.map(({ values }) => values.length - 1 + first));
  const span = numberSpan(curves.flatMap(({ values }) => values));
  const x = linearScale([first, longest], [MARGIN.left, WIDTH - MARGIN.right]);
  const y = linearScale(span, [HEIGHT - MARGIN.bottom, MARGIN.top]);
  const last = curves.map(({ name, values }) => `${name} ${shortNumber(values.at(-1))}`).join(", ");
  return element(
    "figure",
    { class: "kps-chart" },
    element(
      "figcaption",
      {},
      element("b", {}, title),
      curves.map(({ name, style, values }) =>
        element("span", { class: `kps-key ${style}` }, `${name} ${shortNumber(values.at(-1))}`)),
    ),
    svgElement(
      "svg",
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${title} after each epoch; last: ${last}.` },
      roundTicks(...span, 3).map((tick) => rule(tick, y(tick))),
      roundTicks(first, longest, 5)
        .filter(Number.isInteger)
        .map((tick) => axisText(tick, x(tick), HEIGHT - 6, "middle")),
      curves.map(({ values, style }) =>
        svgElement("path", {
          class: `kps-curve ${style}`,
          d: curvePath(values.map((value, i) => [i + first, value]), x, y),
        })),
      curves.flatMap(({ values, style }) =>
        Number.isFinite(values.at(-1))
          ? [svgElement(
            "circle",
            { class: `kps-dot ${style}`, cx: x(values.length - 1 + first), cy: y(values.at(-1)), r: 2.5 },
          )]
          : []),
    ),
  );
}

function rule(tick, y) {
  return svgElement(
    "g",
    {},
    svgElement("line", { class: "kps-rule", x1: MARGIN.left, x2: WIDTH - MARGIN.right, y1: y, y2: y }),
    axisText(shortNumber(tick), MARGIN.left - 5, y + 3, "end"),
  );
}

function axisText(text, x, y, anchor) {
  return svgElement("text", { x, y, "text-anchor": anchor }, String(text));
}

/**
 * Scores by class, PLI against the control, as a table with bars of the difference.
 *
 * @param {Array<{name: string, control: number|null, pli: number|null, before?: number|null}>} classes F1 on
 *   held-out samples.
 */
export function scoreTable(classes) {
  const differences = classes.map(({ pli, control }) => (pli ?? Number.NaN) - (control ?? Number.NaN));
  const largest = Math.max(0.01, ...differences.filter(Number.isFinite).map(Math.abs));
  const withBefore = classes.some(({ before }) => Number.isFinite(before));
  return element(
    "table",
    { class: "kps-scores" },
    element("caption", {}, "F1 on held-out samples, by class"),
    element(
      "thead",
      {},
      element("tr", {}, headCells(withBefore)),
    ),
    element(
      "tbody",
      {},
      classes.map((entry, i) =>
        element(
          "tr",
          {},
          element("th", { scope: "row", title: entry.name }, entry.name),
          withBefore && element("td", {}, threeDigits(entry.before)),
          element("td", {}, threeDigits(entry.control)),
          element("td", {}, threeDigits(entry.pli)),
          element("td", {}, element("span", { class: "kps-difference" }, differenceBar(differences[i], largest))),
        )),
    ),
  );
}

function headCells(withBefore) {
  const names = ["Class", ...(withBefore ? ["before"] : []), "control", "PLI", "PLI − control"];
  return names.map((name) => element("th", { scope: "col" }, name));
}

function differenceBar(value, largest) {
  if (!Number.isFinite(value)) return "–";
  const share = Math.round((50 * Math.abs(value)) / largest);
  const kind = value < 0 ? "kps-worse" : "kps-better";
  return [
    element("span", { class: `kps-bar ${kind}`, style: { "--share": `${share}%` } }),
    element("span", { class: "kps-bar-number" }, signedNumber(value)),
  ];
}

function threeDigits(value) {
  return Number.isFinite(value) ? value.toFixed(3) : "–";
}

/**
 * Probabilities as bars.
 *
 * @param {Array<{name: string, p: number}>} entries
 * @param {string} label
 */
export function probabilityBars(entries, label) {
  return element(
    "ul",
    { class: "kps-probabilities", "aria-label": label },
    entries.map(({ name, p }) =>
      element(
        "li",
        { style: { "--share": `${Math.round(100 * p)}%` } },
        element("span", { class: "kps-name" }, name),
        element("span", { class: "kps-value" }, p >= 0.9995 ? "1.000" : p.toFixed(3)),
      )),
  );
}
