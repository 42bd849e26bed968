import assert from "node:assert/strict";
import test from "node:test";

import { pointsInView } from "../../../keras_pli/studio/view/map/camera.js";
import { FLAG_BITS, markedRows } from "../../../keras_pli/studio/view/map/flags.js";
import { mixedColor, packedColor, rampCodes, rampColors, inkOfPoints, inkBelowSelection } from "../../../keras_pli/studio/view/map/paint.js";
import { clearPixels, splatPoints } from "../../../keras_pli/studio/view/map/splat.js";
import { shapeStamp, squareStamp, crossStamp, stampReach } from "../../../keras_pli/studio/view/map/stamps.js";

const SIDE = 60;
const WHITE = packedColor("#ffffff");
const IDENTITY = [1, 0, 0, 1, 0, 0];

function canvas(color = WHITE) {
  const target = { pixels: new Uint32Array(SIDE * SIDE), width: SIDE, height: SIDE };
  clearPixels(target, color);
  return target;
}

function painted({ pixels }, ground = WHITE) {
  return [...pixels].flatMap((pixel, at) => (pixel === ground ? [] : [[at % SIDE, Math.floor(at / SIDE)]]));
}

test("colours are pixels of ImageData: red, green, blue, alpha in memory", () => {
  const bytes = new Uint8Array(Uint32Array.of(packedColor("#12a4ef")).buffer);
  assert.deepEqual([...bytes], [0x12, 0xa4, 0xef, 255]);
  assert.equal(mixedColor(packedColor("#000000"), WHITE, 0.5), packedColor("#808080"));
});

test("a ramp begins and ends with its colours; NaN has no place on it", () => {
  const ramp = rampColors(["#000000", "#ff0000", "#ffffff"]);
  assert.deepEqual([ramp[0], ramp[255]], [packedColor("#000000"), WHITE]);
  assert.deepEqual([...rampCodes(Float32Array.from([0, 5, 10, 99, NaN]), 0, 10)], [0, 128, 255, 255, 65535]);
});

test("a point of one pixel is the pixel it lies in", () => {
  const target = canvas();
  splatPoints(target, Float32Array.from([20.2, 31.9]), IDENTITY, {
    colors: Uint32Array.of(7), stamps: [squareStamp(1)], reach: 4,
  });
  assert.deepEqual(painted(target), [[20, 31]]);
});

test("NaN, hidden and far points are not drawn, and nothing is written outside", () => {
  const target = canvas();
  const xy = Float32Array.from([NaN, 20, 20, NaN, Infinity, 5, -1e30, 5, 1e9, 1e9, 20, 20, 30, 30]);
  const colors = Uint32Array.of(7, 7, 7, 7, 7, 0, 7);
  for (const stamps of [[squareStamp(1)], [squareStamp(2)], [shapeStamp("o", 9)]]) {
    clearPixels(target, WHITE);
    splatPoints(target, xy, IDENTITY, { colors, stamps, reach: stampReach(9) });
    const places = painted(target);
    assert.ok(places.length > 0 && places.every(([x, y]) => Math.hypot(x - 29.5, y - 29.5) < 8));
  }
});

test("later points lie above earlier ones, and rows draw only themselves", () => {
  const target = canvas();
  const xy = Float32Array.from([20, 20, 20, 20, 40, 40]);
  const drawing = { colors: Uint32Array.of(5, 6, 7), stamps: [squareStamp(2)], reach: 5 };
  splatPoints(target, xy, IDENTITY, drawing);
  assert.equal(target.pixels[20 * SIDE + 20], 6);
  clearPixels(target, WHITE);
  splatPoints(target, xy, IDENTITY, { ...drawing, rows: Int32Array.of(2) });
  assert.deepEqual(painted(target), [[39, 39], [40, 39], [39, 40], [40, 40]]);
});

test("every shape is symmetric, and weighs about as much as a circle", () => {
  const weight = (stamp) => stamp.cover.reduce((sum, cover) => sum + cover / 256, 0);
  const circle = weight(shapeStamp("o", 16));
  assert.ok(Math.abs(circle / (Math.PI * 64) - 1) < 0.02);
  for (const shape of ["^", "s", "D", "v", "P", "X", "*"]) {
    const stamp = shapeStamp(shape, 16);
    // Pixels lie left and right of the corner between pixels 0 and -1 alike.
    const sum = stamp.cover.reduce((total, cover, k) => total + cover * (stamp.dx[k] + 0.5), 0);
    assert.ok(Math.abs(sum) < 1e-6, shape);
    assert.ok(weight(stamp) / circle > 0.6 && weight(stamp) / circle < 1.4, `${shape} ${weight(stamp) / circle}`);
  }
});

test("triangles point up and down, rings are hollow, no stamp reaches beyond its reach", () => {
  const height = (stamp) => stamp.cover.reduce((sum, cover, k) => sum + cover * (stamp.dy[k] + 0.5), 0);
  assert.ok(height(shapeStamp("^", 12)) > 0 && height(shapeStamp("v", 12)) < 0); // the screen's y points down
  const ring = shapeStamp("o", 13, { hollow: 2 });
  assert.ok(!ring.dx.some((dx, k) => dx === 0 && ring.dy[k] === 0));
  for (const shape of ["o", "^", "s", "D", "v", "P", "X", "*"]) {
    for (const size of [5, 13, 28]) {
      const stamp = shapeStamp(shape, size, { grow: 1.2 });
      for (const way of [...stamp.dx, ...stamp.dy]) assert.ok(Math.abs(way) <= stampReach(size), `${shape} ${size}`);
    }
  }
  assert.ok(crossStamp(9, 1).dx.length > 8);
});

test("an edge mixes with an opaque pixel and is translucent on an empty one", () => {
  const stamp = { dx: Int16Array.of(0), dy: Int16Array.of(0), cover: Uint16Array.of(128), shift: 0 };
  const drawing = { colors: Uint32Array.of(packedColor("#000000")), stamps: [stamp], reach: 2 };
  const opaque = canvas();
  splatPoints(opaque, Float32Array.from([10, 10]), IDENTITY, drawing);
  assert.equal(opaque.pixels[10 * SIDE + 10].toString(16), "ff7f7f7f");
  const empty = canvas(0);
  splatPoints(empty, Float32Array.from([10, 10]), IDENTITY, drawing);
  assert.equal(empty.pixels[10 * SIDE + 10].toString(16), "80000000");
});

test("each class is drawn with its own shape, others with the first", () => {
  const count = (code) => {
    const target = canvas();
    splatPoints(target, Float32Array.from([30, 30]), IDENTITY, {
      colors: Uint32Array.of(7), stamps: [squareStamp(3), squareStamp(5)], codes: [code], reach: 8,
    });
    return painted(target).length;
  };
  assert.deepEqual([0, 1, 65535].map(count), [9, 25, 9]);
});

test("ink: colours by code, none for others, hidden left out; below a selection pale and without it", () => {
  const palette = Uint32Array.of(11, 22);
  const given = { codes: Uint16Array.of(0, 1, 65535, 1), palette, none: 99, count: 4 };
  const ink = inkOfPoints({ ...given, visible: Uint8Array.of(1, 1, 1, 0), out: new Uint32Array(4) });
  assert.deepEqual([...ink], [11, 22, 99, 0]);
  const below = inkBelowSelection({
    ink, codes: given.codes, palette: Uint32Array.of(1011, 1022), none: 1099, selection: Uint8Array.of(1, 0, 0, 0),
    out: new Uint32Array(4),
  });
  assert.deepEqual([...below], [0, 1022, 1099, 0]);
});

test("of marks that would lie on each other one is drawn, the same one while the map is moved", () => {
  const xy = Float32Array.from({ length: 4000 }, (_, k) => (k * 7919) % 1000 / 10);
  const rows = Int32Array.from({ length: 2000 }, (_, k) => k);
  const flags = Uint8Array.from(rows, (row) => (row % 2 ? 2 : 1));
  const screen = (e) => ({ affine: [1, 0, 0, 1, e, 0], width: 100, height: 100, cell: 10 });
  const marked = markedRows(xy, rows, flags, FLAG_BITS.weighed, screen(0));
  const cells = marked.map((row) => `${Math.floor(xy[2 * row] / 10)} ${Math.floor(xy[2 * row + 1] / 10)}`);
  const all = [...rows].filter((row) => row % 2 === 0)
    .map((row) => `${Math.floor(xy[2 * row] / 10)} ${Math.floor(xy[2 * row + 1] / 10)}`);
  assert.deepEqual(cells, [...new Set(all)]);
  const moved = markedRows(xy, rows, flags, FLAG_BITS.weighed, screen(30));
  assert.deepEqual(moved, marked.filter((row) => xy[2 * row] < 70));
});

test("how many points are in view is told of some of them", () => {
  const xy = Float32Array.from({ length: 400000 }, (_, k) => (k % 2 ? 0 : ((k / 2) * 0.61803398875) % 1));
  const seen = pointsInView(xy, { left: 0.25, right: 0.5, bottom: -1, top: 1 });
  assert.ok(Math.abs(seen - 50000) < 1000, seen);
  assert.equal(pointsInView(new Float32Array(0), { left: 0, right: 1, bottom: 0, top: 1 }), 0);
});
