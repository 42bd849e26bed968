import assert from "node:assert/strict";
import test from "node:test";

import { pulledDegrees, pulledFactor, selectionFrame } from "../../../keras_pli/studio/view/map/handles.js";
import { placedLabels } from "../../../keras_pli/studio/view/map/labels.js";
import { easedShare, withRows, writeBetween } from "../../../keras_pli/studio/view/map/motion.js";
import { gridIndex } from "../../../keras_pli/studio/view/map/nearest.js";
import { pointsInPolygon, thinnedPath } from "../../../keras_pli/studio/view/map/polygon.js";
import { IDENTITY_AFFINE, movedPoint } from "../../../keras_pli/studio/view/map/geometry.js";

function randomNumbers(seed) {
  let state = seed;
  return () => {
    state = (state * 16807) % 2147483647;
    return state / 2147483647;
  };
}

test("the grid finds what looking at every point finds", () => {
  const random = randomNumbers(5);
  const xy = Float32Array.from({ length: 2400 }, () => Math.round(200 * random() ** 2) / 10);
  xy[40] = NaN;
  xy[51] = Infinity;
  const allowed = Uint8Array.from({ length: 1200 }, () => (random() < 0.5 ? 1 : 0));
  const { find } = gridIndex(xy);
  for (let trial = 0; trial < 400; trial += 1) {
    const [x, y, radius] = [24 * random() - 2, 24 * random() - 2, 2 * random() ** 2];
    const mask = trial % 2 ? allowed : null;
    let best = -1;
    let nearest = radius * radius;
    for (let k = 0; k < 1200; k += 1) {
      const squared = (xy[2 * k] - x) ** 2 + (xy[2 * k + 1] - y) ** 2;
      if ((!mask || mask[k]) && squared <= nearest && (squared < nearest || best >= 0)) {
        nearest = squared;
        best = k;
      }
    }
    assert.equal(find(x, y, radius, mask), best);
  }
});

test("maps without extent have an index too", () => {
  assert.equal(gridIndex(new Float32Array(0)).find(0, 0, 1), -1);
  assert.equal(gridIndex(Float32Array.from([2, 2, 2, 2])).find(2, 2, 1), 1);
  assert.equal(gridIndex(Float32Array.from([0, 0, 5, 0, 9, 0])).find(5.2, 0.1, 1), 1);
});

test("a thinned path keeps its ends and stays within the tolerance", () => {
  const circle = Array.from({ length: 400 }, (_, k) => [100 * Math.cos(k / 64), 100 * Math.sin(k / 64)]);
  const thin = thinnedPath(circle, 0.75);
  assert.ok(thin.length < 60 && thin.length > 12);
  assert.deepEqual([thin[0], thin.at(-1)], [circle[0], circle.at(-1)]);
  for (const [x, y] of thin) assert.ok(Math.abs(Math.hypot(x, y) - 100) < 1e-9);
  assert.equal(thinnedPath([[0, 0], [1, 0]], 1).length, 2);
});

test("NaN points are in no lasso", () => {
  const square = [[-9, -9], [9, -9], [9, 9], [-9, 9]];
  assert.deepEqual([...pointsInPolygon(Float32Array.from([NaN, 0, 0, NaN, 1, 1]), square)], [0, 0, 1]);
});

test("a corner pulled to half its distance halves, a knob pulled to the left turns counter-clockwise", () => {
  assert.equal(pulledFactor([10, 10], [20, 10], [15, 10]), 0.5);
  assert.equal(Math.round(pulledDegrees([0, 0], [0, -10], [-10, 0])), 90);
  assert.equal(Math.round(pulledDegrees([0, 0], [-10, 1], [-10, -1])), -11);
});

test("the frame of a selection surrounds it, its knob above", () => {
  const camera = { x: 0, y: 0, scale: 10, width: 200, height: 200 };
  const bounds = { left: -2, right: 2, bottom: -1, top: 1 };
  const { corners, knob } = selectionFrame(camera, bounds, IDENTITY_AFFINE, movedPoint);
  const whole = (places) => places.map(([x, y]) => [Math.round(x), Math.round(y)]);
  assert.deepEqual(whole(corners), [[72, 78], [128, 78], [128, 122], [72, 122]]);
  assert.deepEqual(whole([knob]), [[100, 48]]);
  const point = { left: 0, right: 0, bottom: 0, top: 0 };
  const small = selectionFrame(camera, point, IDENTITY_AFFINE, movedPoint);
  assert.deepEqual(whole(small.corners), [[78, 78], [122, 78], [122, 122], [78, 122]]);
});

test("no label lies on another, and labels outside are left out", () => {
  const wanted = Array.from({ length: 6 }, (_, k) => ({ at: [100, 100 + 0.1 * k], width: 60 }));
  const placed = placedLabels([...wanted, { at: [-5, 10], width: 30 }], 300, 300);
  assert.equal(placed.length, 6);
  const rows = placed.map(({ at }) => at[1]).sort((one, other) => one - other);
  rows.slice(1).forEach((row, k) => assert.ok(row - rows[k] >= 20));
});

test("positions between two, and rows that replace", () => {
  const out = new Float32Array(4);
  const [from, to] = [Float32Array.from([0, 0, 2, NaN]), Float32Array.from([4, 8, 2, 1])];
  writeBetween(out, from, to, 0.25);
  assert.deepEqual([...out], [1, 2, 2, NaN]);
  writeBetween(out, from, to, 1);
  assert.deepEqual(out, to);
  assert.deepEqual([...withRows(to, Float32Array.from([7, 7]), Int32Array.of(1))], [4, 8, 7, 7]);
  assert.deepEqual([easedShare(0), easedShare(0.5), easedShare(1)], [0, 0.5, 1]);
});

test("names keep clear of what is there already", () => {
  const [{ at }] = placedLabels([{ at: [50, 50], width: 40 }], 300, 300, [{ at: [60, 55], width: 80 }]);
  assert.deepEqual(at, [50, 28]);
});
