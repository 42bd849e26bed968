import assert from "node:assert/strict";
import test from "node:test";

import { createCloud } from "../../../keras_pli/studio/view/map/cloud.js";
import { packedColor } from "../../../keras_pli/studio/view/map/paint.js";
import { ghostsOf } from "../../../keras_pli/studio/view/map/targets.js";

const COLORS = ["#ff0000", "#00ff00"];

function cloudOf(positions, codes) {
  const cloud = createCloud();
  cloud.setPoints(Float32Array.from(positions));
  cloud.setStyle({ codes: Uint16Array.from(codes), colors: COLORS, shapes: ["o", "s"] });
  return cloud;
}

test("colours follow codes, filters and selections", () => {
  const cloud = cloudOf([0, 0, 1, 0, 2, 0, 3, 0], [0, 1, 65535, 0]);
  assert.deepEqual([...cloud.ink], [...COLORS, "#8a8a8a", "#ff0000"].map(packedColor));
  assert.equal(cloud.inkBelow, cloud.ink);
  cloud.setVisible(Uint8Array.of(1, 0, 1, 1));
  cloud.setSelection(Uint8Array.of(0, 0, 0, 1));
  assert.deepEqual([cloud.ink[1], cloud.inkBelow[1], cloud.inkBelow[3]], [0, 0, 0]);
  const [red, green, blue] = [0, 8, 16].map((shift) => (cloud.inkBelow[0] >>> shift) & 255);
  assert.ok(red === 255 && green > 180 && green === blue); // pale on white
  cloud.setSelection(null);
  assert.equal(cloud.inkBelow, cloud.ink);
});

test("a selection knows its rows, box and centre, and follows positions", () => {
  const cloud = cloudOf([0, 0, 4, 2, 9, 9, NaN, 1], [0, 0, 1, 0]);
  cloud.setSelection(Uint8Array.of(1, 1, 0, 1));
  assert.deepEqual([...cloud.selected.rows], [0, 1, 3]);
  assert.deepEqual(cloud.selected.centre, [2, 1]);
  assert.deepEqual(cloud.selected.bounds, { left: 0, bottom: 0, right: 4, top: 2 });
  cloud.setPoints(Float32Array.from([10, 10, 14, 12, 9, 9, NaN, 1]));
  assert.deepEqual(cloud.selected.centre, [12, 11]);
  assert.equal(cloud.selected.groups.length, 1);
  cloud.setSelection(Uint8Array.of(1, 2, 0, 0));
  assert.deepEqual(cloud.selected.groups.map(({ centre }) => centre), [[10, 10], [14, 12]]);
});

test("another number of points forgets what belonged to the old ones", () => {
  const cloud = cloudOf([0, 0, 1, 1], [0, 1]);
  cloud.setSelection(Uint8Array.of(1, 0));
  cloud.setFlags(Uint8Array.of(0, 4));
  assert.equal(cloud.setPoints(new Float32Array(6)), true);
  assert.deepEqual([cloud.codes, cloud.selected.mask, cloud.flagged.length], [null, null, 0]);
  assert.equal(cloud.setPoints(Float32Array.of(1, 1, 2, 2, 3, 3)), false);
});

test("what has not one entry a point is refused and quoted", () => {
  const cloud = cloudOf([0, 0, 1, 1], [0, 1]);
  assert.throws(() => cloud.setSelection(new Uint8Array(3)), /`selection`.* 2.* Received 3/);
  assert.throws(() => cloud.setPoints(new Float32Array(3)), /Received 3 numbers/);
  assert.throws(() => ghostsOf(cloud, { xy: new Float32Array(2) }), /a point, 2\. Received 1/);
});

test("the point below the pointer is a visible one", () => {
  const cloud = cloudOf([0, 0, 1, 0, 5, 5], [0, 1, 1]);
  assert.equal(cloud.nearest(0.9, 0, 2), 1);
  cloud.setVisible(Uint8Array.of(1, 0, 1));
  assert.equal(cloud.nearest(0.9, 0, 2), 0);
  cloud.setSelection(Uint8Array.of(0, 0, 1));
  assert.equal(cloud.nearest(0.9, 0, 2, true), -1);
  cloud.setPoints(Float32Array.from([9, 9, 9, 9, 1, 0]));
  assert.equal(cloud.nearest(0.9, 0, 2, true), 2);
});

test("ghosts are those that move, with an arrow a class between the means", () => {
  const cloud = cloudOf([0, 0, 2, 0, 10, 10, 20, 20], [0, 0, 1, 1]);
  const xy = Float32Array.from([0, 4, 2, 4, 10, 10, 26, 20]);
  const { ghosts, arrows } = ghostsOf(cloud, { xy });
  assert.deepEqual([...ghosts.rows], [0, 1, 3]);
  assert.deepEqual(arrows, [
    { from: [1, 0], to: [1, 4], color: "#ff0000" },
    { from: [20, 20], to: [26, 20], color: "#00ff00" },
  ]);
  const [first] = ghostsOf(cloud, { xy, moved: Uint8Array.of(1, 1, 0, 0) }, { old: true }).arrows;
  assert.deepEqual([first.from, first.to], [[1, 4], [1, 0]]);
  assert.deepEqual(ghostsOf(cloud, { xy }, { arrows: [] }).arrows, []);
});
