/** The maps of a comparison, side by side at one scale, with one legend. */

import { element, refill } from "../elements/dom.js";
import { classMark } from "../elements/icons.js";
import { themeColor } from "../elements/theme.js";
import { createScatter } from "../map/scatter.js";
import { widestSpan } from "../state/arrays.js";
import { categoryPlaces } from "../state/class_places.js";
import { colourScatter } from "./map_colours.js";

const TITLES = { baseline: "Before", asked: "As edited", control: "Control", PLI: "PLI" };
const MEANINGS = {
  baseline: "where the classifier put the samples before",
  asked: "where the plan wanted them",
  control: "trained on without the plan",
  PLI: "trained on with the plan",
};
// Names of more categories would lie over all points.
const MOST_NAMED = 20;

/**
 * Makes the maps.
 *
 * @param {Object} store
 * @returns {{node: HTMLElement, draw: function(Object): void, end: function(): void}} `draw` takes what is compared.
 */
export function createCompareMaps(store) {
  const { state } = store;
  const legend = element("ul", { class: "kps-chips", "aria-label": "Colours of the maps" });
  const maps = element("div", { class: "kps-maps" });
  const node = element("div", { class: "kps-maps-all" }, legend, maps);
  const scatters = new Map();
  let linked = false;

  function draw({ maps: names, positions }) {
    drawLegend();
    for (const of of names) {
      if (!scatters.has(of)) addMap(of);
      const { scatter, shown } = scatters.get(of);
      if (!positions[of] || shown === positions[of]) continue;
      scatter.setPoints(positions[of]);
      scatters.set(of, { scatter, shown: positions[of] });
      drawStyle(scatters.get(of));
    }
    if (!linked && names.every((of) => positions[of])) linkMaps(positions);
  }

  function addMap(of) {
    const title = TITLES[of] ?? of;
    const place = element("div", { class: "kps-small-map" });
    maps.append(element(
      "figure",
      {},
      element("figcaption", {}, element("b", {}, title), ` ${MEANINGS[of] ?? ""}`),
      place,
    ));
    const scatter = createScatter(place, { label: `Map: ${title}`, still: true, theme: state.theme });
    scatters.set(of, { scatter, shown: null });
  }

  /** All maps at one scale: that of the widest, so that none is cut. */
  function linkMaps(positions) {
    linked = true;
    const width = (of) => widestSpan(positions[of]);
    const [widest, ...others] = [...scatters.keys()].sort((a, b) => width(b) - width(a));
    for (const of of others) scatters.get(widest).scatter.linkCamera(scatters.get(of).scatter);
  }

  function drawStyle({ scatter, shown }) {
    const { column, theme } = state;
    scatter.setTheme(theme);
    if (!column || !shown) return;
    colourScatter(scatter, column, theme);
    const kinds = column.categories ?? [];
    const isNamed = column.codes && kinds.length <= MOST_NAMED;
    const places = isNamed ? categoryPlaces(shown, column.codes, kinds.length) : [];
    scatter.setOutlines(places.map((at, code) => (
      { lines: [], label: kinds[code].name, label_at: at, color: themeColor(kinds[code], theme) }
    )));
  }

  function drawLegend() {
    const { column, theme } = state;
    const kinds = column?.categories?.filter(({ count }) => count !== 0) ?? [];
    legend.hidden = !kinds.length;
    refill(legend, kinds.map((kind) => element("li", {}, classMark(kind, theme), kind.name)));
  }

  function drawStyles() {
    if (!scatters.size) return;
    drawLegend();
    scatters.forEach(drawStyle);
  }

  function end() {
    for (const { scatter } of scatters.values()) scatter.destroy();
    scatters.clear();
    linked = false;
    maps.replaceChildren();
  }

  store.on(["column", "theme"], drawStyles);
  return { node, draw, end };
}
