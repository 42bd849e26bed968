import assert from "node:assert/strict";
import test from "node:test";

import * as view from "../../../keras_pli/studio/view/map/camera.js";
import { movedPoint } from "../../../keras_pli/studio/view/map/geometry.js";

const XY = Float32Array.from([-10, -5, 30, 15, 5, NaN]);

function close(actual, expected, tolerance = 1e-6) {
  actual.forEach((value, k) => assert.ok(Math.abs(value - expected[k]) <= tolerance, `${actual} ~ ${expected}`));
}

test("a fitted map lies within its canvas, y upwards", () => {
  const camera = view.fitCamera(XY, 800, 600);
  const [left, low] = view.screenPoint(camera, [-10, -5]);
  const [right, high] = view.screenPoint(camera, [30, 15]);
  assert.ok(left >= 20 && right <= 780 && high >= 20 && low <= 580);
  assert.ok(low > high);
  close([(left + right) / 2, (low + high) / 2], [400, 300]);
});

test("places go to the screen and back", () => {
  const camera = view.zoomedCamera(view.fitCamera(XY, 640, 480), 3, [10, 20], 1);
  close(view.mapPoint(camera, view.screenPoint(camera, [1.25, -3])), [1.25, -3]);
});

test("zooming keeps the place below the pointer", () => {
  const camera = view.fitCamera(XY, 640, 480);
  const before = view.mapPoint(camera, [123, 45]);
  close(view.mapPoint(view.zoomedCamera(camera, 2.5, [123, 45], camera.scale), [123, 45]), before);
});

test("zoom ends", () => {
  const camera = view.fitCamera(XY, 640, 480);
  const fit = camera.scale;
  assert.ok(view.zoomedCamera(camera, 1e9, [0, 0], fit).scale <= 4000 * fit * (1 + 1e-9));
  assert.ok(view.zoomedCamera(camera, 1e-9, [0, 0], fit).scale >= 0.2 * fit * (1 - 1e-9));
});

test("panning moves the map with the pointer", () => {
  const camera = view.fitCamera(XY, 640, 480);
  const [x, y] = view.screenPoint(view.pannedCamera(camera, [7, -9]), [0, 0]);
  const [x0, y0] = view.screenPoint(camera, [0, 0]);
  close([x - x0, y - y0], [7, -9]);
});

test("the affine of the canvas says what screenPoint says, in device pixels", () => {
  const camera = view.fitCamera(XY, 640, 480);
  const [x, y] = view.screenPoint(camera, [3, 4]);
  close(movedPoint(view.cameraAffine(camera, 2, 40), [3, 4]), [2 * x + 40, 2 * y + 40]);
});

test("no points, one point and all points at one place have a camera", () => {
  for (const xy of [[], [3, 4], [3, 4, 3, 4], [NaN, NaN]]) {
    const camera = view.fitCamera(Float32Array.from(xy), 300, 200);
    assert.ok(Number.isFinite(camera.scale) && camera.scale > 0, `${xy}: ${camera.scale}`);
    assert.ok(view.screenPoint(camera, [camera.x, camera.y]).every(Number.isFinite));
  }
});

test("a canvas of another size keeps the middle", () => {
  const camera = view.fitCamera(XY, 640, 480);
  const wide = view.resizedCamera(camera, 1280, 480);
  assert.deepEqual([wide.x, wide.y, wide.scale], [camera.x, camera.y, camera.scale]);
  assert.equal(view.resizedCamera(camera, 640, 240).scale, camera.scale / 2);
});

test("points shrink as they become many and grow with the zoom", () => {
  const camera = view.fitCamera(XY, 800, 600);
  const diameters = [1e3, 1e4, 1e5, 1e6].map((count) => view.pointDiameter(camera, camera.scale, count));
  assert.deepEqual(diameters, [...diameters].sort((one, other) => other - one));
  assert.ok(view.pointDiameter(camera, camera.scale / 10, 1e5) > diameters[2]);
});
