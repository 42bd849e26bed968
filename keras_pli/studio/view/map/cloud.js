// The points of a map and how they look: positions, codes and colours, what is visible, selected or flagged.

import { boundsOfPoints, centreOfPoints, rowsOfMask } from "./geometry.js";
import { inkBelowSelection, inkOfPoints, mixedColor, packedColor, rampCodes, rampColors } from "./paint.js";
import { greatestCoordinate } from "./polygon.js";
import { gridIndex } from "./nearest.js";

const DEFAULT_COLORS = ["#0072B2"];
const PALE_SHARE = Object.freeze({ light: 0.22, dark: 0.34 }); // of a colour over the background
const UNCODED = "#8a8a8a";

/** What `cloud.selected` is without a selection. */
const NOTHING_SELECTED = Object.freeze({
  mask: null, rows: new Int32Array(0), groups: [], bounds: null, centre: null,
});

/** Points without any position. Every setter checks the length of what it is given. */
export function createCloud() {
  const cloud = {
    xy: new Float32Array(0), count: 0, codes: null, shapes: ["o"], palette: new Uint32Array(0), visible: null,
    flags: null, flagged: new Int32Array(0), selected: NOTHING_SELECTED,
    ink: new Uint32Array(0), inkBelow: new Uint32Array(0),
  };
  let colors = DEFAULT_COLORS;
  let ramp = false;
  let theme = { name: "light", background: "#ffffff" };
  let index = null;
  let extent = null;

  cloud.setPoints = (xy) => {
    if (xy.length % 2) throw new Error(`Positions are pairs. Received ${xy.length} numbers.`);
    const renewed = xy.length / 2 !== cloud.count;
    cloud.xy = xy;
    cloud.count = xy.length / 2;
    if (renewed) {
      Object.assign(cloud, { codes: null, visible: null, flags: null, flagged: new Int32Array(0) });
      cloud.selected = NOTHING_SELECTED;
      cloud.ink = new Uint32Array(cloud.count);
      repaint();
    }
    cloud.moved();
    return renewed;
  };
  /** Says that positions changed: what was computed from them is computed again when it is asked for. */
  cloud.moved = () => {
    index = null;
    extent = null;
    if (cloud.selected.mask) cloud.selected = selectedOf(cloud.xy, cloud.selected.mask);
  };
  cloud.setStyle = ({ codes, colors: given, shapes }) => {
    checkLength(codes, "codes");
    cloud.codes = codes;
    cloud.shapes = shapes?.length ? shapes : ["o"];
    colors = given;
    ramp = false;
    repaint();
  };
  cloud.setNumbers = ({ values, low, high, colors: given }) => {
    checkLength(values, "values");
    cloud.codes = rampCodes(values, low, high);
    cloud.shapes = ["o"];
    colors = given;
    ramp = true;
    repaint();
  };
  cloud.setVisible = (mask) => {
    checkLength(mask, "visible");
    cloud.visible = mask;
    repaint();
  };
  cloud.setSelection = (mask) => {
    checkLength(mask, "selection");
    cloud.selected = mask ? selectedOf(cloud.xy, mask) : NOTHING_SELECTED;
    repaintBelow();
  };
  cloud.setFlags = (flags) => {
    checkLength(flags, "flags");
    cloud.flags = flags;
    cloud.flagged = rowsOfMask(flags);
  };
  cloud.setTheme = (next) => {
    theme = next;
    repaint();
  };
  cloud.index = () => (index ??= gridIndex(cloud.xy));
  cloud.indexed = () => index !== null;
  /** The row of the point nearest to a place of the map, or -1. */
  cloud.nearest = (x, y, radius, selectedOnly = false) =>
    cloud.index().find(x, y, radius, selectedOnly ? cloud.selected.mask : cloud.visible);
  cloud.extent = () => (extent ??= greatestCoordinate(cloud.xy));
  /** A colour of the palette, for arrows and the like. */
  cloud.colorOf = (code) => (ramp ? null : (colors[code] ?? null));

  function checkLength(values, name) {
    if (values && values.length !== cloud.count) {
      throw new Error(`\`${name}\` needs one entry a point, ${cloud.count}. Received ${values.length}.`);
    }
  }
  function repaint() {
    cloud.palette = ramp ? rampColors(colors) : Uint32Array.from(colors, packedColor);
    const { codes, palette, count, visible, ink } = cloud;
    inkOfPoints({ codes, palette, none: packedColor(UNCODED), count, visible, out: ink });
    repaintBelow();
  }
  function repaintBelow() {
    const { mask } = cloud.selected;
    if (!mask) {
      cloud.inkBelow = cloud.ink;
      return;
    }
    const ground = packedColor(theme.background);
    const pale = (color) => mixedColor(color, ground, PALE_SHARE[theme.name]);
    const { ink, codes } = cloud;
    const out = cloud.inkBelow.length === cloud.count && cloud.inkBelow !== cloud.ink
      ? cloud.inkBelow : new Uint32Array(cloud.count);
    const [palette, none] = [cloud.palette.map(pale), pale(packedColor(UNCODED))];
    cloud.inkBelow = inkBelowSelection({ ink, codes, palette, none, selection: mask, out });
  }
  return cloud;
}

/** The selected rows, all and by group (a mask of 1 and 2 has two), their box and their centres. */
function selectedOf(xy, mask) {
  const rows = rowsOfMask(mask);
  if (!rows.length) return { ...NOTHING_SELECTED, mask };
  const groups = rows.some((row) => mask[row] === 2) ? [rowsOfMask(mask, 1), rowsOfMask(mask, 2)] : [rows];
  return {
    mask,
    rows,
    groups: groups.map((members) => ({ rows: members, centre: centreOfPoints(xy, members) })),
    bounds: boundsOfPoints(xy, rows),
    centre: centreOfPoints(xy, rows),
  };
}
