import assert from "node:assert/strict";
import test from "node:test";

import * as geometry from "../../../keras_pli/studio/view/map/geometry.js";

const CLOUD = Float32Array.from([0, 0, 4, 0, NaN, 1, 4, 2, 0, 2, 9, 9]);
const ROWS = Int32Array.from([0, 1, 2, 3, 4]);

function close(actual, expected, tolerance = 1e-9) {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, k) => assert.ok(Math.abs(value - expected[k]) <= tolerance, `${actual} ~ ${expected}`));
}

test("a quarter turn is counter-clockwise and keeps the centre", () => {
  const turn = geometry.turnAffine(90, [1, 1]);
  close(geometry.movedPoint(turn, [2, 1]), [1, 2]);
  close(geometry.movedPoint(turn, [1, 1]), [1, 1]);
});

test("scaling keeps the centre and shrinks ways from it", () => {
  close(geometry.movedPoint(geometry.scaleAffine(0.5, [2, 4]), [4, 8]), [3, 6]);
});

test("composed affines apply the first one first", () => {
  const both = geometry.composeAffines(geometry.turnAffine(90, [0, 0]), geometry.shiftAffine([1, 0]));
  close(geometry.movedPoint(both, [1, 0]), [0, 2]);
});

test("an inverse takes back", () => {
  const affine = geometry.composeAffines(geometry.turnAffine(33, [1, 2]), geometry.scaleAffine(0.3, [4, -1]));
  const back = geometry.inverseAffine(affine);
  close(geometry.movedPoint(back, geometry.movedPoint(affine, [7, -8])), [7, -8]);
});

test("separated centres have the distance, and the point midway stays", () => {
  const [first, second] = geometry.separateAffines([0, 0], [3, 4], 10);
  const from = geometry.movedPoint(first, [0, 0]);
  const to = geometry.movedPoint(second, [3, 4]);
  close([Math.hypot(to[0] - from[0], to[1] - from[1])], [10]);
  close([(from[0] + to[0]) / 2, (from[1] + to[1]) / 2], [1.5, 2]);
  assert.equal(geometry.separateAffines([1, 1], [1, 1], 3), null);
});

test("NaN positions count neither for the box nor for the centre", () => {
  assert.deepEqual(geometry.boundsOfPoints(CLOUD, ROWS), { left: 0, bottom: 0, right: 4, top: 2 });
  close(geometry.centreOfPoints(CLOUD, ROWS), [2, 1]);
  assert.equal(geometry.boundsOfPoints(Float32Array.from([NaN, 0])), null);
  assert.equal(geometry.centreOfPoints(new Float32Array(0)), null);
});

test("rows of a mask, all or of one value", () => {
  const mask = Uint8Array.from([0, 1, 2, 0, 1]);
  assert.deepEqual([...geometry.rowsOfMask(mask)], [1, 2, 4]);
  assert.deepEqual([...geometry.rowsOfMask(mask, 2)], [2]);
  assert.equal(geometry.rowsOfMask(null).length, 0);
});

test("moved points leave the given ones and the other rows alone", () => {
  const moved = geometry.movedPoints(CLOUD, [1], geometry.shiftAffine([1, 2]));
  assert.deepEqual([...moved.slice(0, 4)], [0, 0, 5, 2]);
  assert.equal(CLOUD[2], 4);
});
