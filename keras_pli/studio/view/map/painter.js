// Draws the points of a cloud into the layers: dimmed ones and ghosts below, selected ones on top.

import { cameraAffine, pointDiameter, pointsInView, viewBounds } from "./camera.js";
import { FLAG_BITS, markedRows } from "./flags.js";
import { composeAffines, IDENTITY_AFFINE } from "./geometry.js";
import { LAYER_PAD } from "./layers.js";
import { mixedColor, packedColor } from "./paint.js";
import { clearPixels, splatPoints } from "./splat.js";
import { LEAST_SHAPED, stampReach } from "./stamps.js";

const LEAST_HALOED = 6; // device pixels
const MOST_ENLARGED = 100; // so few selected points would be overlooked
const ENLARGED = 1.4;
const MOST_INKED = 1.2e6; // pixels of all points in view
const SMALL_POINT = 2; // device pixels; these cost next to nothing
const GHOST_SHARE = 0.45;
const FULL_MARKS = 0.85; // of the ink over the background
const PALE_MARKS = 0.3;
const MARK_ROOM = 1.6; // marks apart, in widths of one

/** Draws all points but the selected ones, pale where there is a selection. */
export function paintBase(layers, cloud, view) {
  const { base } = layers;
  const ground = packedColor(view.theme.background);
  const affine = cameraAffine(view.camera, layers.ratio, LAYER_PAD);
  const diameter = deviceDiameter(layers, cloud, view);
  clearPixels(base, ground);
  if (view.ghosts) paintGhosts(base, cloud, view, affine, diameter);
  const drawing = drawingOf(cloud, view, diameter, cloud.selected.mask ? 0 : ground);
  splatPoints(base, cloud.xy, affine, { ...drawing, colors: cloud.inkBelow });
  paintFlags(base, cloud, view, affine, { colors: cloud.inkBelow, rows: cloud.flagged, diameter });
  layers.put(base);
}

/** Draws the selected points, each group where a gesture has taken it. */
export function paintTop(layers, cloud, view) {
  const { top } = layers;
  const { groups } = cloud.selected;
  top.canvas.hidden = !groups.length;
  if (!groups.length) return;
  const camera = cameraAffine(view.camera, layers.ratio, LAYER_PAD);
  const few = cloud.selected.rows.length <= MOST_ENLARGED;
  const diameter = deviceDiameter(layers, cloud, view) * (few ? ENLARGED : 1);
  const drawing = drawingOf(cloud, view, diameter, packedColor(view.theme.background));
  clearPixels(top, 0);
  groups.forEach(({ rows }, group) => {
    const affine = composeAffines(camera, view.carried[group] ?? view.carried[0] ?? IDENTITY_AFFINE);
    splatPoints(top, cloud.xy, affine, { ...drawing, colors: cloud.ink, rows });
    if (cloud.flagged.length) paintFlags(top, cloud, view, affine, { colors: cloud.ink, rows, diameter });
  });
  layers.put(top);
}

/** Of so many points in view none is larger than what can be drawn between two frames. */
function deviceDiameter(layers, cloud, view) {
  const wanted = pointDiameter(view.camera, view.fitScale, cloud.count) * layers.ratio;
  if (cloud.count * wanted ** 2 <= MOST_INKED) return wanted;
  const seen = pointsInView(cloud.xy, viewBounds(view.camera));
  return Math.max(Math.min(wanted, SMALL_POINT), Math.min(wanted, Math.sqrt(MOST_INKED / Math.max(seen, 1))));
}

/** Stamps for a diameter: squares of a few pixels, discs, or one shape a class, from some size on with a halo. */
function drawingOf(cloud, view, diameter, haloColor) {
  if (diameter < 2.6) {
    const side = diameter < 1.5 ? 1 : 2;
    return { stamps: [view.stamps.square(side)], reach: stampReach(side) };
  }
  const size = Math.min(Math.round(diameter), LAYER_PAD);
  const shapes = size >= LEAST_SHAPED ? cloud.shapes : ["o"];
  const haloed = haloColor && size >= LEAST_HALOED;
  return {
    stamps: shapes.map((shape) => view.stamps.shape(shape, size)),
    halos: haloed ? shapes.map((shape) => view.stamps.shape(shape, size, { grow: size > 11 ? 1.2 : 0.8 })) : [],
    haloColor,
    codes: cloud.codes,
    reach: stampReach(size),
  };
}

function paintGhosts(target, cloud, view, affine, diameter) {
  const ground = packedColor(view.theme.background);
  const { xy, rows } = view.ghosts;
  const size = Math.max(2, Math.min(Math.round(diameter), LAYER_PAD));
  const hollow = size >= LEAST_SHAPED ? Math.max(1, size / 7) : 0;
  const colors = view.ghosts.colors ?? new Uint32Array(cloud.count);
  if (!view.ghosts.colors) {
    for (const row of rows) colors[row] = cloud.ink[row] && mixedColor(cloud.ink[row], ground, GHOST_SHARE);
    view.ghosts.colors = colors;
  }
  const stamps = [size > 2 ? view.stamps.shape("o", size, { hollow }) : view.stamps.square(size)];
  splatPoints(target, xy, affine, { colors, rows, stamps, reach: stampReach(size) });
}

/** Marks points whose data are changed: a ring (weighed), a frame (relabelled), a cross (excluded). */
function paintFlags(target, cloud, view, affine, { colors, rows, diameter }) {
  if (!rows.length) return;
  const size = Math.max(diameter < 3 ? 3 : 5, Math.min(Math.round(diameter), LAYER_PAD / 2));
  const line = Math.max(1, size / 7);
  const around = size + 2 * Math.ceil(line) + 2;
  const ground = packedColor(view.theme.background);
  const pale = cloud.selected.mask && colors !== cloud.ink;
  const color = mixedColor(packedColor(view.theme.ink), ground, pale ? PALE_MARKS : FULL_MARKS);
  const stamps = {
    weighed: view.stamps.shape("o", around, { hollow: line }),
    relabelled: view.stamps.shape("s", around * 1.1, { hollow: line }),
    excluded: view.stamps.cross(around, line),
  };
  const { width, height } = target;
  const screen = { affine, width, height, cell: MARK_ROOM * around };
  const drawn = pale ? rows.filter((row) => colors[row]) : rows; // without the selected ones, which are on top
  for (const [kind, stamp] of Object.entries(stamps)) {
    const marked = markedRows(cloud.xy, drawn, cloud.flags, FLAG_BITS[kind], screen);
    if (!marked.length) continue;
    const reach = stampReach(around * 1.1);
    splatPoints(target, cloud.xy, affine, { colors, rows: marked, stamps: [stamp], color, reach });
  }
}
