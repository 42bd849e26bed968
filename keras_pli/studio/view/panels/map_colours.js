/** What a column means to a map: the colours and shapes of its points. */

import { themeColor } from "../elements/theme.js";
import { rampOf } from "../state/naming.js";

// Of points that have no value in a column.
export const UNNAMED = { color: "#8a8a8a" };

/**
 * Colours the points of a map.
 *
 * @param {Object} scatter
 * @param {Object} column With `values`, or with `codes` and `categories`.
 * @param {"light"|"dark"} theme
 */
export function colourScatter(scatter, column, theme) {
  if (column.values) {
    const { values, low, high } = column;
    scatter.setNumbers({ values, low, high, colors: rampOf(column, theme) });
    return;
  }
  const kinds = [...column.categories, UNNAMED];
  scatter.setStyle({
    codes: column.codes.map((code) => Math.min(code, kinds.length - 1)),
    colors: kinds.map((kind) => themeColor(kind, theme)),
    shapes: kinds.map(({ shape }) => shape ?? "o"),
  });
}
