// What is drawn over the points: contours, names, arrows, marks, the lasso and the point that is looked at.

import { badge } from "./badge.js";
import { cameraAffine, screenPoint } from "./camera.js";
import { movedPoint } from "./geometry.js";
import { placedLabels } from "./labels.js";
import { paintMark, placedMarks } from "./marks.js";

const LABEL_FONT = "600 13px system-ui, sans-serif";
const NARROW_LABEL_FONT = "600 11px system-ui, sans-serif";
const NARROW = 480; // CSS pixels of a canvas
const HEAD = 7; // CSS pixels of an arrow's head

/**
 * @param {{canvas: HTMLCanvasElement, context: CanvasRenderingContext2D}} layer
 * @param {object} scene What `createScatter` holds: camera, theme, outlines, arrows, marks, lasso, frame,
 *   ring, cursor, hint.
 * @param {number} ratio Device pixels a CSS pixel.
 */
export function paintOverlay({ canvas, context }, scene, ratio) {
  context.setTransform(1, 0, 0, 1, 0, 0);
  context.clearRect(0, 0, canvas.width, canvas.height);
  paintContours(context, scene, ratio);
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.lineJoin = context.lineCap = "round";
  if (scene.frame) paintFrame(context, scene);
  for (const arrow of scene.arrows) paintArrow(context, scene, arrow);
  if (scene.rule) paintRule(context, scene);
  const marks = placedMarks(context, scene);
  paintLabels(context, scene, marks.flatMap(({ boxes }) => boxes));
  for (const mark of marks) paintMark(context, scene.theme, mark);
  if (scene.ring) paintRing(context, scene);
  if (scene.lasso) paintLasso(context, scene);
  if (scene.cursor) paintCursor(context, scene);
  if (scene.hint) paintHint(context, scene);
}

function paintContours(context, { camera, outlines, theme }, ratio) {
  const affine = cameraAffine(camera, ratio);
  for (const { lines, color } of outlines) {
    context.beginPath();
    for (const line of lines) {
      line.forEach((point, k) => {
        const [x, y] = movedPoint(affine, point);
        if (k) context.lineTo(x, y);
        else context.moveTo(x, y);
      });
    }
    context.lineJoin = "round";
    context.strokeStyle = theme.background;
    context.globalAlpha = 0.55;
    context.lineWidth = 3.2 * ratio;
    context.stroke();
    context.strokeStyle = color;
    context.globalAlpha = 0.95;
    context.lineWidth = 1.5 * ratio;
    context.stroke();
    context.globalAlpha = 1;
  }
}

/** @param {object[]} taken What names must not cover, as of `placedLabels`. */
function paintLabels(context, scene, taken) {
  const { camera, outlines, theme } = scene;
  context.font = camera.width < NARROW ? NARROW_LABEL_FONT : LABEL_FONT;
  context.textAlign = "center";
  context.textBaseline = "middle";
  const wanted = outlines
    .filter(({ label, label_at: at }) => label && at)
    .map(({ label, label_at: at, color }) => ({
      text: label, color, at: screenPoint(camera, at), width: context.measureText(label).width + 18,
    }));
  for (const { text, color, at: [x, y], width } of placedLabels(wanted, camera.width, camera.height, taken)) {
    context.strokeStyle = theme.background;
    context.lineWidth = 4;
    context.globalAlpha = 0.9;
    context.strokeText(text, x + 6, y + 0.5);
    context.globalAlpha = 1;
    context.beginPath();
    context.arc(x - width / 2 + 8, y, 4, 0, 2 * Math.PI);
    context.lineWidth = 2;
    context.stroke();
    context.fillStyle = color;
    context.fill();
    context.fillStyle = theme.ink;
    context.fillText(text, x + 6, y + 0.5);
  }
}

/** From where to where; where a share is known, the part that the classifier is expected to follow is bold. */
function paintArrow(context, { camera, theme, share }, { from, to, color }) {
  const start = screenPoint(camera, from);
  const end = screenPoint(camera, to);
  const length = Math.hypot(end[0] - start[0], end[1] - start[1]);
  if (length < 2 * HEAD) return;
  const [ux, uy] = [(end[0] - start[0]) / length, (end[1] - start[1]) / length];
  const followed = share === null ? 1 : Math.min(1, Math.max(0, share));
  const until = [start[0] + ux * length * followed, start[1] + uy * length * followed];
  const shaft = [end[0] - ux * HEAD, end[1] - uy * HEAD];
  const strokes = [[theme.background, 5], [color ?? theme.ink, 2.2]];
  for (const [stroke, width] of strokes) {
    context.strokeStyle = context.fillStyle = stroke;
    context.lineWidth = width;
    if (followed < 1) {
      context.setLineDash([1, 6]);
      linePath(context, start, shaft);
      context.stroke();
      context.setLineDash([]);
    }
    linePath(context, start, followed < 1 ? until : shaft);
    context.stroke();
    headPath(context, end, [ux, uy], HEAD + (width > 4 ? 1.5 : 0));
    if (width > 4) context.stroke();
    context.fill();
    if (followed < 1) {
      linePath(context, [until[0] - 5 * uy, until[1] + 5 * ux], [until[0] + 5 * uy, until[1] - 5 * ux]);
      context.stroke();
    }
  }
}

function headPath(context, [x, y], [ux, uy], size) {
  context.beginPath();
  context.moveTo(x, y);
  context.lineTo(x - 1.6 * size * ux - 0.8 * size * uy, y - 1.6 * size * uy + 0.8 * size * ux);
  context.lineTo(x - 1.6 * size * ux + 0.8 * size * uy, y - 1.6 * size * uy - 0.8 * size * ux);
  context.closePath();
}

function linePath(context, start, end) {
  context.beginPath();
  context.moveTo(...start);
  context.lineTo(...end);
}

/** Around the point that is looked at. */
function paintRing(context, { camera, theme, ring }) {
  const [x, y] = screenPoint(camera, ring.at);
  for (const [stroke, width] of [[theme.background, 4], [theme.ink, 2]]) {
    context.beginPath();
    context.arc(x, y, ring.radius, 0, 2 * Math.PI);
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.stroke();
  }
}

function paintLasso(context, { theme, lasso }) {
  ringPath(context, lasso.path);
  const color = lasso.subtract ? theme.warning : theme.accent;
  context.fillStyle = color;
  context.globalAlpha = 0.12;
  context.fill();
  context.globalAlpha = 1;
  context.lineWidth = 1.8;
  context.strokeStyle = color;
  context.setLineDash(lasso.subtract ? [6, 4] : []);
  context.stroke();
  context.setLineDash([]);
}

function ringPath(context, corners) {
  context.beginPath();
  corners.forEach(([x, y], k) => (k ? context.lineTo(x, y) : context.moveTo(x, y)));
  context.closePath();
}

/** The box around the selection, in corners on the screen. */
function paintFrame(context, { theme, frame }) {
  if (frame.before) {
    // Where the selection was.
    ringPath(context, frame.before);
    context.strokeStyle = theme.accent;
    context.lineWidth = 1.2;
    context.setLineDash([3, 4]);
    context.stroke();
    context.setLineDash([]);
  }
  ringPath(context, frame.corners);
  if (frame.knob) {
    context.moveTo(...frame.stem);
    context.lineTo(...frame.knob);
  }
  context.strokeStyle = theme.background;
  context.lineWidth = 3.5;
  context.stroke();
  context.strokeStyle = theme.accent;
  context.lineWidth = 1.3;
  context.stroke();
}

/** The line between two selections, with their distance. */
function paintRule(context, { theme, rule }) {
  linePath(context, rule.from, rule.to);
  for (const [stroke, width] of [[theme.background, 4.5], [theme.accent, 1.8]]) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.stroke();
  }
  badge(context, theme, rule.text, (rule.from[0] + rule.to[0]) / 2, (rule.from[1] + rule.to[1]) / 2);
}

function paintCursor(context, { theme, cursor: [x, y] }) {
  for (const [stroke, width] of [[theme.background, 4], [theme.ink, 1.5]]) {
    context.strokeStyle = stroke;
    context.lineWidth = width;
    context.beginPath();
    for (const [dx, dy] of [[1, 0], [-1, 0], [0, 1], [0, -1]]) {
      context.moveTo(x + 5 * dx, y + 5 * dy);
      context.lineTo(x + 16 * dx, y + 16 * dy);
    }
    context.stroke();
  }
}

function paintHint(context, { camera, theme, hint }) {
  badge(context, theme, hint, camera.width / 2, 24); // messages come at the lower edge
}
