/** Pictures of the tools, drawn as strokes in the colour of the text. */

import { svgElement } from "./dom.js";
import { themeColor } from "./theme.js";

const STROKES = {
  pan: "M7 10.2V5.2a1.2 1.2 0 0 1 2.4 0V9M9.4 9V4a1.2 1.2 0 0 1 2.4 0v5M11.8 9V5a1.2 1.2 0 0 1 2.4 0v5M14.2 10V7.4a1.2 1.2 0 0 1 2.4 0V12c0 3.5-2 5.5-4.8 5.5-2.5 0-3.6-1-4.8-3L3.6 11.2a1.250 1.250 0 0 1 2-1.500L7 11.300",
  lasso: "M10 3c4.4 0 7.5 2 7.5 4.8S14.4 12.5 10 12.5 2.5 10.6 2.5 7.8 5.6 3 10 3zM5.5 11.5c-1.8 1-1.6 3 .2 3 1.7 0 1.9 2.5-.7 2.5",
  box: "M3 7V3h4M13 3h4v4M17 13v4h-4M7 17H3v-4",
  move: "M10 2v16M2 10h16M10 2l-2.5 2.5M10 2l2.5 2.5M10 18l-2.5-2.5M10 18l2.5-2.5M2 10l2.5-2.5M2 10l2.5 2.5M18 10l-2.5-2.5M18 10l-2.5 2.5",
  rotate_scale: "M15.5 6.5A6.5 6.5 0 1 0 16.5 11M16.5 3v4h-4M10 8v4M8 10h4",
  separate: "M10 3v14M7 10H2M2 10l2.5-2.5M2 10l2.5 2.5M13 10h5M18 10l-2.5-2.5M18 10l-2.5 2.5",
  undo: "M4 8h8.5a4 4 0 0 1 0 8H8M4 8l3.5-3.5M4 8l3.5 3.5",
  redo: "M16 8H7.5a4 4 0 0 0 0 8H12M16 8l-3.5-3.5M16 8l-3.5 3.5",
  fit: "M3 8V3h5M12 3h5v5M17 12v5h-5M8 17H3v-5M8 8h4v4H8z",
  help: "M7.5 7.5c0-3.5 5-3.3 5 0 0 2-2.5 2.2-2.5 4.5M10 15.3v.4",
  close: "M5 5l10 10M15 5L5 15",
  up: "M5 12l5-5 5 5",
  down: "M5 8l5 5 5-5",
  stop: "M5.5 5.5h9v9h-9z",
  outline: "M3 11c0-5 4-8 8-7s6.5 4 6 7-3 6-7 6-7-2-7-6zM7 11c0-2 1.5-3.5 3.5-3.3S13.5 9.5 13.3 11 12 13.5 10 13.5 7 13 7 11z",
  more: "M4.5 10h.5M9.8 10h.5M15 10h.5",
  note: "M3 14.5V17h2.5L15 7.5 12.5 5zM11 6.5L13.5 9",
};

/**
 * The picture of a tool.
 *
 * @param {string} name
 * @returns {SVGElement} It is hidden from screen readers: its button carries the label.
 */
export function icon(name) {
  return svgElement(
    "svg",
    { viewBox: "0 0 20 20", class: "kps-icon", "aria-hidden": "true", focusable: "false" },
    svgElement("path", { d: STROKES[name] }),
  );
}

const MARKERS = {
  o: "M-1 0A1 1 0 1 1 1 0A1 1 0 1 1-1 0Z",
  "^": "M0-1 1 .85H-1Z",
  v: "M0 1-1-.85H1Z",
  s: "M-.88-.88H.88V.88H-.88Z",
  D: "M0-1.05 1.05 0 0 1.05-1.05 0Z",
  P: "M-.35-1H.35V-.35H1V.35H.35V1H-.35V.35H-1V-.35H-.35Z",
  X: "M-.95-.5-.5-.95 0-.45.5-.95.95-.5.45 0 .95.5.5.95 0 .45-.5.95-.95.5-.45 0Z",
  "*": "M0-1 .26-.31 1-.31.4.13.62.85 0 .42-.62.85-.4.13-1-.31-.26-.31Z",
};

/**
 * The mark of a class, in its shape and colour.
 *
 * @param {{color: string, dark?: string, shape?: string}} style
 * @param {string} theme "light" or "dark".
 */
export function classMark(style, theme) {
  return svgElement(
    "svg",
    { viewBox: "-1.2 -1.2 2.4 2.4", class: "kps-mark", "aria-hidden": "true" },
    svgElement("path", { d: MARKERS[style.shape] ?? MARKERS.o, fill: themeColor(style, theme) }),
  );
}
