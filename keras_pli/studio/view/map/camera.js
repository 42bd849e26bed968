// Which part of the map the canvas shows. A camera is frozen: {x, y, scale, width, height} with the map
// point (x, y) in the middle, `scale` CSS pixels a map unit, and a canvas of width * height CSS pixels. The
// map's y axis points up, the screen's down.

import { boundsOfPoints } from "./geometry.js";

const FIT_MARGIN = 28;
const FARTHEST = 0.2; // of the scale that fits the map
const CLOSEST = 4000;
const COUNTED = 16384; // of the points, which tell how many of all are in view

/** A camera that shows all points with a margin. */
export function fitCamera(xy, width, height) {
  const bounds = boundsOfPoints(xy) ?? { left: -1, right: 1, bottom: -1, top: 1 };
  const across = Math.max(bounds.right - bounds.left, 1e-9 * Math.abs(bounds.right), 1e-30);
  const up = Math.max(bounds.top - bounds.bottom, 1e-9 * Math.abs(bounds.top), 1e-30);
  const margin = Math.min(FIT_MARGIN, 0.1 * Math.min(width, height));
  const single = across <= 2e-30 && up <= 2e-30;
  const fit = Math.min((width - 2 * margin) / across, (height - 2 * margin) / up);
  return Object.freeze({
    x: (bounds.left + bounds.right) / 2,
    y: (bounds.bottom + bounds.top) / 2,
    scale: single ? 1 : Math.max(fit, 1e-30),
    width,
    height,
  });
}

/** The same view on a canvas of another size: the middle stays, the shorter side shows what it did. */
export function resizedCamera(camera, width, height) {
  const before = Math.min(camera.width, camera.height);
  const scale = before > 0 ? (camera.scale * Math.min(width, height)) / before : camera.scale;
  return Object.freeze({ ...camera, scale, width, height });
}

/** The camera after the map was dragged by (dx, dy) CSS pixels. */
export function pannedCamera(camera, [dx, dy]) {
  return Object.freeze({ ...camera, x: camera.x - dx / camera.scale, y: camera.y + dy / camera.scale });
}

/**
 * The camera zoomed by a factor, the map point at `at` (CSS pixels) staying where it is.
 * @param {number} fitScale The scale that shows the whole map; zoom ends far from it.
 */
export function zoomedCamera(camera, factor, at, fitScale) {
  const scale = Math.min(CLOSEST * fitScale, Math.max(FARTHEST * fitScale, factor * camera.scale));
  const [x, y] = mapPoint(camera, at);
  return Object.freeze({
    ...camera,
    x: x - (at[0] - camera.width / 2) / scale,
    y: y + (at[1] - camera.height / 2) / scale,
    scale,
  });
}

/** From CSS pixels to map units. */
export function mapPoint(camera, [px, py]) {
  return [
    camera.x + (px - camera.width / 2) / camera.scale,
    camera.y - (py - camera.height / 2) / camera.scale,
  ];
}

/** From map units to CSS pixels. */
export function screenPoint(camera, [x, y]) {
  return [
    camera.width / 2 + (x - camera.x) * camera.scale,
    camera.height / 2 - (y - camera.y) * camera.scale,
  ];
}

/** The affine from map units to pixels: `ratio` of them a CSS pixel, the canvas `pad` of them larger. */
export function cameraAffine(camera, ratio = 1, pad = 0) {
  const scale = camera.scale * ratio;
  return [
    scale, 0, 0, -scale,
    (camera.width / 2) * ratio - scale * camera.x + pad,
    (camera.height / 2) * ratio + scale * camera.y + pad,
  ];
}

/** The part of the map in view. */
export function viewBounds(camera) {
  const [left, top] = mapPoint(camera, [0, 0]);
  const [right, bottom] = mapPoint(camera, [camera.width, camera.height]);
  return { left, bottom, right, top };
}

/**
 * The diameter of a point in CSS pixels: as large as the number of points leaves room for, smaller on a small map,
 * and growing slower than the zoom, so that a closer look also separates points.
 */
export function pointDiameter(camera, fitScale, points) {
  const room = Math.sqrt((camera.width * camera.height) / Math.max(points, 1));
  const most = Math.min(8, Math.max(3, Math.min(camera.width, camera.height) / 60));
  const far = Math.min(most, Math.max(1, 0.46 * room));
  const zoom = Math.max(camera.scale / fitScale, 0.3);
  return Math.min(14, Math.max(1, far * zoom ** 0.45));
}

/** About how many points are in a part of the map. */
export function pointsInView(xy, { left, bottom, right, top }) {
  const count = xy.length / 2;
  const step = Math.max(1, Math.floor(count / COUNTED));
  let looked = 0;
  let seen = 0;
  for (let k = 0; k < count; k += step) {
    const [x, y] = [xy[2 * k], xy[2 * k + 1]];
    looked += 1;
    if (x >= left && x <= right && y >= bottom && y <= top) seen += 1;
  }
  return looked ? (seen / looked) * count : 0;
}
