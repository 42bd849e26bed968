import assert from "node:assert/strict";
import test from "node:test";

import { createClient } from "../../../keras_pli/studio/view/state/client.js";
import { frameOf, unframed } from "../../../keras_pli/studio/view/page_host.js";
import { createStore } from "../../../keras_pli/studio/view/state/store.js";

/** A model that keeps what is sent and answers when told. */
function silentModel() {
  const listeners = new Set();
  return {
    sent: [],
    on: (name, listener) => listeners.add(listener),
    off: (name, listener) => listeners.delete(listener),
    send(content) { this.sent.push(content); },
    tell: (content, buffers) => listeners.forEach((listener) => listener(content, buffers)),
    listeners,
  };
}

test("answers find their requests, in whatever order they come", async () => {
  const model = silentModel();
  const client = createClient(model);
  const [first, second] = [client.request("card", { index: 3 }), client.request("undo")];
  const [one, two] = model.sent;
  assert.deepEqual([one.kind, one.index, two.kind], ["card", 3, "undo"]);
  model.tell({ id: two.id, ok: true, plan: 2 });
  model.tell({ id: one.id, ok: true, name: "cat" }, [Uint8Array.from([7]).buffer]);
  assert.equal((await second).content.plan, 2);
  const { content, buffers } = await first;
  assert.equal(content.name, "cat");
  assert.equal(buffers[0].getUint8(0), 7);
});

test("a refusal rejects with the server's sentence", async () => {
  const model = silentModel();
  const asked = createClient(model).request("change");
  model.tell({ id: model.sent[0].id, ok: false, error: "The lasso holds none of the 9 points." });
  await assert.rejects(asked, /^Error: The lasso holds none of the 9 points\.$/);
});

test("no answer is a lost connection, told once, and found again by the next message", async () => {
  const model = silentModel();
  const client = createClient(model, { wait: 5 });
  const told = [];
  client.on("connection", ({ up }) => told.push(up));
  await assert.rejects(client.request("hello"), (error) => error.kind === "connection" && /Nothing is lost/.test(error.message));
  await assert.rejects(client.request("hello"), { kind: "connection" });
  model.tell({ event: "plan", plan: {} });
  assert.deepEqual(told, [false, true]);
});

test("two views of one model take each their own answers", async () => {
  const model = silentModel();
  const [first, second] = [createClient(model).request("a"), createClient(model).request("b")];
  const [one, two] = model.sent;
  assert.notEqual(one.id, two.id);
  assert.ok(one.page && two.page && one.page !== two.page); // what one asks for is not the other's
  model.tell({ id: two.id, ok: true, name: "b" });
  model.tell({ id: one.id, ok: true, name: "a" });
  assert.deepEqual([(await first).content.name, (await second).content.name], ["a", "b"]);
});

test("a stream that opens again tells that events may have been missed", () => {
  const model = silentModel();
  const told = [];
  createClient(model).on("connection", ({ up, again }) => told.push([up, Boolean(again)]));
  model.tell({ event: "connection", up: true, again: false });
  model.tell({ event: "connection", up: false });
  model.tell({ event: "connection", up: true, again: true });
  model.tell({ event: "connection", up: true, again: true });
  assert.deepEqual(told, [[false, false], [true, true], [true, true]]);
});

test("a host that cannot send is a lost connection", async () => {
  const model = silentModel();
  model.send = async () => { throw new TypeError("Failed to fetch"); };
  await assert.rejects(createClient(model).request("hello"), { kind: "connection" });
});

test("events reach those who listen, until they stop or the client closes", () => {
  const model = silentModel();
  const client = createClient(model);
  const told = [];
  const off = client.on("job", ({ job }) => told.push(job));
  model.tell({ event: "job", job: 1 });
  off();
  model.tell({ event: "job", job: 2 });
  assert.deepEqual(told, [1]);
  client.close();
  assert.equal(model.listeners.size, 0);
});

test("a frame is what it says, and its parts begin at multiples of eight", () => {
  const frame = frameOf({ kind: "höllo" }, [Uint8Array.from([1, 2, 3]), new Float32Array([1.5])]);
  assert.equal(frame.length % 8, 0);
  assert.equal((4 + new DataView(frame.buffer).getUint32(0, true)) % 8, 0);
  const { content, buffers } = unframed(frame.buffer);
  assert.deepEqual(content, { kind: "höllo" });
  assert.deepEqual(buffers.map(({ byteOffset, byteLength }) => [byteOffset % 8, byteLength]), [[0, 3], [0, 4]]);
  assert.equal(buffers[1].getFloat32(0, true), 1.5);
});

test("a frame of the server's is read", () => {
  // keras_pli.studio.conversation.framing.framed({"kind": "hello"}, [b"abc"])
  const text = '{"kind": "hello", "buffers": [3]}';
  const json = text.padEnd(Math.ceil((4 + text.length) / 8) * 8 - 4, " ");
  const bytes = new Uint8Array([json.length, 0, 0, 0, ...new TextEncoder().encode(json), 97, 98, 99, 0, 0, 0, 0, 0]);
  const { content, buffers } = unframed(bytes.buffer);
  assert.deepEqual(content, { kind: "hello" });
  assert.equal(new TextDecoder().decode(buffers[0]), "abc");
});

test("a store calls each listener once for all that changed, and in turn for what listeners set", () => {
  const store = createStore({ a: 1, b: 2, c: 0 });
  const told = [];
  store.on(["a", "b"], ({ a, b }) => {
    told.push(["first", a, b]);
    store.set({ c: a + b });
  });
  store.on(["c"], ({ c }) => told.push(["second", c]));
  store.set({ a: 5, b: 6 });
  store.set({ a: 5 });
  assert.deepEqual(told, [["first", 5, 6], ["second", 11]]);
});
