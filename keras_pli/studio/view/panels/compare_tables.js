/** Tables and curves of a comparison. */

import { lineChart, scoreTable } from "../elements/charts.js";
import { element } from "../elements/dom.js";
import { shortNumber } from "../elements/formatting.js";

const LOGGED_CHARTS = [
  {
    title: "Classification loss",
    // With the plan, `loss` is mixed with the way to the targets.
    valuesOf: (logged, arm) => logged.classification_loss ?? (arm === "control" ? logged.loss : null),
  },
  { title: "Held-out loss", valuesOf: (logged) => logged.val_loss },
];

/** F1 by class, and how both arms were trained. */
export function scoresAndCurves({ classes, curves }) {
  return [
    classes?.length > 0 && element("div", { class: "kps-scroll" }, scoreTable(classes)),
    curves && element("div", { class: "kps-curves" }, LOGGED_CHARTS.map((chart) => curveChart(chart, curves))),
  ];
}

/** A curve an arm; null where no arm has it. */
function curveChart({ title, valuesOf }, curves) {
  const arms = Object.entries(curves)
    .map(([arm, logged]) => ({ name: arm, style: `kps-${arm.toLowerCase()}`, values: valuesOf(logged, arm) }))
    .filter(({ values }) => values);
  return arms.length ? lineChart(title, arms) : null;
}

/** The scores of all runs, folded away. */
export function allScores(table) {
  return element(
    "details",
    { class: "kps-fold" },
    element("summary", {}, "Precision, recall and F1 of all runs"),
    dataTable(table),
  );
}

function dataTable({ columns, rows }) {
  const names = columns.slice(rows[0]?.length === columns.length ? 1 : 0);
  return element(
    "div",
    { class: "kps-scroll" },
    element(
      "table",
      { class: "kps-data" },
      element("caption", {}, "On held-out samples"),
      element("thead", {}, element("tr", {}, element("td", {}),
        names.map((name) => element("th", { scope: "col" }, String(name))))),
      element("tbody", {}, rows.map(([name, ...values]) => element(
        "tr",
        {},
        element("th", { scope: "row" }, String(name)),
        values.map((value) => element("td", {}, typeof value === "number" ? shortNumber(value) : value ?? "–")),
      ))),
    ),
  );
}
