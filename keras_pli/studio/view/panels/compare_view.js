/** What came of a retraining: four maps side by side, one sentence, tables, and the decision. */

import { widestSpan } from "../state/arrays.js";
import { lineChart, scoreTable } from "../elements/charts.js";
import { button, element, refill, twiceButton } from "../elements/dom.js";
import { shortNumber } from "../elements/formatting.js";
import { createScatter } from "../map/scatter.js";
import { themeColor } from "../elements/theme.js";

const TITLES = { baseline: "Before", asked: "As edited", control: "Control", PLI: "PLI" };
const MEANINGS = {
  baseline: "where the classifier puts the samples now",
  asked: "where the plan wanted them",
  control: "trained on without the plan",
  PLI: "trained on with the plan",
};

/**
 * Makes the view, which stands in the map's place while it is open.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {{node: HTMLElement, end: function(): void}}
 */
export function createCompareView({ store, actions }) {
  const { state } = store;
  const words = element("div", { class: "kps-verdict", tabindex: "-1" });
  const maps = element("div", { class: "kps-maps" });
  const findings = element("div", { class: "kps-findings" });
  const tables = element("div", { class: "kps-tables" });
  const figures = element("div", {});
  const bar = element("div", { class: "kps-row kps-decision" },
    button(
      "Keep",
      actions.keep,
      {
        class: "kps-primary",
        title: "The PLI classifier becomes the one you work on; it is saved with the plan and a report",
      },
    ),
    twiceButton(
      "Discard",
      "Discard this retraining?",
      actions.discard,
      { title: "Goes back to the plan; the classifier stays as it was" },
    ),
    button("Report", actions.openReport, { title: "The experiment's page, in a tab of its own" }),
    button("Back to the map", actions.closeComparison, { title: "The decision can wait" }),
  );
  const node = element(
    "section",
    { class: "kps-compare", "aria-label": "Comparison of the retraining", hidden: true },
    words,
    bar,
    maps,
    findings,
    tables,
    figures,
  );
  let scatters = new Map();
  let linked = false;

  function draw() {
    const { compared, comparing } = state;
    const open = Boolean(comparing && compared);
    const opened = open && node.hidden;
    node.hidden = !open;
    if (!open) return endMaps();
    drawWords(compared);
    drawMaps(compared);
    if (opened) words.focus({ preventScroll: true });
  }

  function drawWords({ answer, verdict, advice, table, classes, curves }) {
    refill(words, [element("p", { class: "kps-answer-sentence" }, answer)]);
    refill(findings, [
      verdict && element(
        "div",
        {},
        element("h2", {}, "What was found"),
        verdict.split("\n").map((line) => element("p", {}, prose(line))),
      ),
      advice?.length > 0 && element("div", {}, element("h2", {}, "What to try next"),
        element("ul", { class: "kps-advice" }, advice.map((line) => element("li", {}, prose(line))))),
    ]);
    refill(tables, [
      classes?.length > 0 && element("div", { class: "kps-scroll" }, scoreTable(classes)),
      curvesOf(curves),
    ]);
    refill(
      figures,
      table ? [element(
        "details",
        { class: "kps-fold" },
        element("summary", {}, "Precision, recall and F1 of all runs"),
        dataTable(table),
      )] : [],
    );
  }

  function drawMaps({ maps: names, positions }) {
    for (const of of names) {
      if (!scatters.has(of)) addMap(of);
      const { scatter, shown } = scatters.get(of);
      if (!positions[of] || shown === positions[of]) continue;
      scatter.setPoints(positions[of]);
      scatters.set(of, { scatter, shown: positions[of] });
      drawStyle(scatter);
    }
    if (!linked && names.every((of) => positions[of])) linkMaps(positions);
  }

  function addMap(of) {
    const place = element("div", { class: "kps-small-map" });
    maps.append(
      element(
        "figure",
        {},
        element(
          "figcaption",
          { title: MEANINGS[of] },
          element("b", {}, TITLES[of] ?? of),
          ` ${MEANINGS[of] ?? ""}`,
        ),
        place,
      ),
    );
    const scatter = createScatter(place, { label: `Map: ${TITLES[of] ?? of}`, still: true, theme: state.theme });
    scatters.set(of, { scatter, shown: null });
  }

  /** All maps at one scale: that of the widest, so that none is cut. */
  function linkMaps(positions) {
    linked = true;
    const width = (of) => widestSpan(positions[of]);
    const [widest, ...others] = [...scatters.keys()].sort((a, b) => width(b) - width(a));
    for (const of of others) scatters.get(widest).scatter.linkCamera(scatters.get(of).scatter);
  }

  function drawStyles() {
    for (const { scatter, shown } of scatters.values()) if (shown) drawStyle(scatter);
  }

  function drawStyle(scatter) {
    const { column, theme } = state;
    scatter.setTheme(theme);
    if (!column?.codes) return;
    const kinds = [...column.categories, { color: "#8a8a8a" }];
    scatter.setStyle({
      codes: column.codes.map((code) => Math.min(code, kinds.length - 1)),
      colors: kinds.map((kind) => themeColor(kind, theme)),
      shapes: kinds.map(({ shape }) => shape ?? "o"),
    });
  }

  function endMaps() {
    for (const { scatter } of scatters.values()) scatter.destroy();
    scatters = new Map();
    linked = false;
    maps.replaceChildren();
  }

  store.on(["compared", "comparing"], draw);
  store.on(["column", "theme"], drawStyles);
  return { node, end: endMaps };
}

/** A sentence in which names of code stand between backticks. */
function prose(text) {
  return text.split("`").map((part, i) => (i % 2 ? element("code", {}, part) : part));
}

function dataTable({ columns, rows }) {
  return element(
    "div",
    { class: "kps-scroll" },
    element(
      "table",
      { class: "kps-data" },
      element("caption", {}, "On held-out samples"),
      element(
        "thead",
        {},
        element(
          "tr",
          {},
          element("td", {}),
          columns.slice(rows[0]?.length === columns.length ? 1 : 0).map(
            (name) => element("th", { scope: "col" }, String(name)),
          ),
        ),
      ),
      element("tbody", {}, rows.map(([name, ...values]) =>
        element(
          "tr",
          {},
          element("th", { scope: "row" }, String(name)),
          values.map((value) => element("td", {}, typeof value === "number" ? shortNumber(value) : value ?? "–")),
        ))),
    ),
  );
}

function curvesOf(curves) {
  if (!curves) return null;
  const keys = [...new Set(Object.values(curves).flatMap(Object.keys))].filter(
    (key) => key === "loss" || key === "val_loss",
  );
  const names = { loss: "Loss", val_loss: "Held-out loss" };
  return element(
    "div",
    { class: "kps-curves" },
    keys.map((key) => lineChart(names[key], Object.entries(curves)
      .filter(([, arm]) => arm[key])
      .map(([arm, values]) => ({ name: arm, style: `kps-${arm.toLowerCase()}`, values: values[key] })))),
  );
}
