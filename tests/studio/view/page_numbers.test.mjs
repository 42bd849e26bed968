import assert from "node:assert/strict";
import test from "node:test";

import * as arrays from "../../../keras_pli/studio/view/state/arrays.js";
import { curvePath, linearScale, numberSpan, roundTicks } from "../../../keras_pli/studio/view/elements/chart_scale.js";
import { errorCount } from "../../../keras_pli/studio/view/state/confusions.js";
import { keepPreferences, readPreferences } from "../../../keras_pli/studio/view/state/preferences.js";
import * as formatting from "../../../keras_pli/studio/view/elements/formatting.js";

test("bits become a mask, the least significant of each byte first", () => {
  // numpy.packbits([1, 0, 1, 1, 0, 0, 0, 0, 0, 1], bitorder="little") is [13, 2].
  const view = new DataView(Uint8Array.from([13, 2]).buffer);
  assert.deepEqual([...arrays.unpackedMask(view, 10)], [1, 0, 1, 1, 0, 0, 0, 0, 0, 1]);
});

test("numbers are read wherever they lie in a buffer", () => {
  const bytes = new Uint8Array(20);
  new DataView(bytes.buffer).setFloat32(5, 1.5, true);
  new DataView(bytes.buffer).setFloat32(8 + 4, -2, true);
  assert.deepEqual([...arrays.typedArray(new DataView(bytes.buffer, 5, 4), Float32Array)], [1.5]);
  assert.deepEqual([...arrays.typedArray(new DataView(bytes.buffer, 12, 4), Float32Array)], [-2]);
});

test("masks are joined, cut and listed", () => {
  const [first, second] = [Uint8Array.from([1, 1, 0, 0]), Uint8Array.from([0, 1, 1, 0])];
  assert.deepEqual([...arrays.combinedMask(first, second, "add")], [1, 1, 1, 0]);
  assert.deepEqual([...arrays.combinedMask(first, second, "subtract")], [1, 0, 0, 0]);
  assert.deepEqual([...arrays.combinedMask(first, second, "replace")], [0, 1, 1, 0]);
  assert.deepEqual([...arrays.combinedMask(null, second, "subtract")], [0, 0, 0, 0]);
  assert.deepEqual(arrays.maskIndices(arrays.maskOf([3, 1, 9], 4)), [1, 3]);
  assert.equal(arrays.maskCount(second), 2);
  assert.deepEqual([...arrays.maskOfCodes(Uint16Array.from([4, 65535, 2]), new Set([2, 4]))], [1, 0, 1]);
});

test("a centre is the mean of what is selected, and none where nothing is", () => {
  const xy = Float32Array.from([0, 0, 2, 4, 4, 8]);
  assert.deepEqual(arrays.maskCentre(xy, Uint8Array.from([0, 1, 1])), [3, 6]);
  assert.equal(arrays.maskCentre(xy, Uint8Array.from([0, 0, 0])), null);
});

test("rows are replaced in a copy", () => {
  const xy = Float32Array.from([0, 0, 1, 1, 2, 2]);
  const after = arrays.withRowsAt(xy, Int32Array.from([2, 0]), Float32Array.from([7, 8, 5, 6]));
  assert.deepEqual([...after], [5, 6, 1, 1, 7, 8]);
  assert.deepEqual([...xy], [0, 0, 1, 1, 2, 2]);
  assert.deepEqual([...arrays.movedMask(xy, after)], [1, 0, 1]);
  assert.equal(arrays.widestSpan(after), 7);
});

test("numbers are short, and what is none is a dash", () => {
  const told = [0, 3, 0.123456, -12.345, 98765.4, 1234567, 0.0000123, Number.NaN, null].map(formatting.shortNumber);
  assert.deepEqual(told, ["0", "3", "0.123", "-12.3", "98765", "1.2e6", "1.2e-5", "–", "–"]);
});

test("a share near its ends keeps what tells it from them", () => {
  const told = [0, 1, 0.5, 0.1234, 0.9995, 0.0004, Number.NaN].map(formatting.percentage);
  assert.deepEqual(told, ["0\u00a0%", "100\u00a0%", "50\u00a0%", "12.3\u00a0%", "99.95\u00a0%", "0.04\u00a0%", "–"]);
});

test("differences carry their sign, and none where they round to nothing", () => {
  assert.deepEqual([0.0123, -0.5, 0.0001, -0.0001].map((value) => formatting.signedNumber(value)), ["+0.012", "−0.500", "0.000", "0.000"]);
});

test("counts and lists read as a person says them", () => {
  assert.equal(formatting.counted(1, "class", "classes"), "1 class");
  assert.equal(formatting.counted(12345, "point"), "12,345 points");
  assert.deepEqual([["a"], ["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]].map((names) => formatting.listed(names)), ["a", "a and b", "a, b and c", "a, b and 2 more"]);
});

test("what was typed is read as numbers, with a comma or a minus of print too", () => {
  assert.deepEqual([" 1.5 ", "1,5", "−2", "", "x"].map(formatting.typedNumber), [1.5, 1.5, -2, Number.NaN, Number.NaN]);
});

test("indices are numbers and ranges, or an error that quotes them", () => {
  assert.deepEqual(formatting.typedIndices("7, 3 10-12;3", 20), [3, 7, 10, 11, 12]);
  assert.throws(() => formatting.typedIndices("3 x", 20), /“x” is no index/);
  assert.throws(() => formatting.typedIndices("20", 20), /There is no point 20: the points are 0 to 19/);
  assert.throws(() => formatting.typedIndices("5-3", 20), /There is no point 5-3/);
  assert.throws(() => formatting.typedIndices(" ", 20), /No index/);
});

test("a span leaves out what is no number and is never empty", () => {
  assert.deepEqual(numberSpan([3, Number.NaN, -1, Infinity]), [-1, 3]);
  assert.deepEqual(numberSpan([2, 2]), [1.5, 2.5]);
  assert.deepEqual(numberSpan([]), [0, 1]);
});

test("ticks are round and lie within", () => {
  assert.deepEqual(roundTicks(0, 1, 4), [0, 0.2, 0.4, 0.6, 0.8, 1]);
  assert.deepEqual(roundTicks(0.21, 0.93, 3), [0.4, 0.6, 0.8]);
  assert.deepEqual(roundTicks(1, 5, 5), [1, 2, 3, 4, 5]);
  for (const [low, high] of [[-3, 7], [0.001, 0.002], [1e6, 3e6]]) {
    const ticks = roundTicks(low, high, 4);
    assert.ok(ticks.length >= 2 && ticks.length <= 6 && ticks[0] >= low && ticks.at(-1) <= high, `${low} ${high}: ${ticks}`);
  }
});

test("a scale is linear, and a curve breaks where there is no number", () => {
  const x = linearScale([0, 2], [10, 30]);
  assert.deepEqual([0, 1, 2].map(x), [10, 20, 30]);
  assert.equal(curvePath([[0, 1], [1, Number.NaN], [2, 3]], x, (value) => value), "M10.0 1.0M30.0 3.0");
});

test("some of a list are spread over it, and twice as many hold these too", () => {
  const list = Array.from({ length: 101 }, (_, k) => 3 * k);
  const some = arrays.spreadOver(list, 12);
  assert.equal(some.length, 12);
  assert.equal(some[0], 0);
  assert.ok(some.every((entry, k) => k === 0 || [24, 27].includes(entry - some[k - 1])));
  const more = new Set(arrays.spreadOver(list, 24));
  assert.ok(some.every((entry) => more.has(entry)));
  assert.deepEqual(arrays.spreadOver([4, 2], 12), [4, 2]);
  assert.deepEqual(arrays.codeCounts(Uint16Array.from([0, 2, 2, 65535]), 3), [1, 0, 2]);
});

test("errors are counted of one kind or of all; where pairs are left out, what is not there is not known", () => {
  const pairs = [{ label: 8, predicted: 1, count: 18 }, { label: 8, predicted: 3, count: 2 }];
  assert.equal(errorCount({ pairs, complete: true }, 8), 20);
  assert.equal(errorCount({ pairs, complete: true }, 8, 3), 2);
  assert.equal(errorCount({ pairs, complete: true }, 1, 8), 0);
  assert.equal(errorCount({ pairs, complete: false }, 8, 1), 18);
  assert.equal(errorCount({ pairs, complete: false }, 1, 8), null);
  assert.equal(errorCount({ pairs, complete: false }, 8), null);
  assert.equal(errorCount(null, 8, 1), null);
});

test("what is set is kept for its session, where there is a place for it", () => {
  const kept = new Map();
  globalThis.localStorage = { getItem: (key) => kept.get(key) ?? null, setItem: (key, text) => kept.set(key, text) };
  keepPreferences({ folder: "runs/a" }, { outlines: true });
  keepPreferences({ folder: "runs/a" }, { size: 2 });
  assert.deepEqual(readPreferences({ folder: "runs/a" }), { outlines: true, size: 2 });
  assert.deepEqual(readPreferences({ folder: "runs/b" }), {});
  globalThis.localStorage = { getItem() { throw new Error("no storage"); }, setItem() { throw new Error("no storage"); } };
  keepPreferences({ folder: "runs/a" }, { outlines: false });
  assert.deepEqual(readPreferences({ folder: "runs/a" }), {});
  delete globalThis.localStorage;
});
