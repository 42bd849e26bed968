/** Requests to the session and what it tells, over the `model` that a host hands to the view. */

const WAIT_MILLISECONDS = 60000;
const GONE =
  "No answer from the server. Nothing is lost: your plan is stored with the session. The page tries again by itself.";

/**
 * Makes a client.
 *
 * @param {{send: Function, on: Function, off: Function}} model As anywidget gives it. A host that knows of lost
 *   connections sends `{event: "connection", up: bool}` as a message of its own, with `again: true` where events
 *   may have been missed.
 * @param {{wait?: number}} [options] Milliseconds until a request counts as lost.
 * @returns {{request: function(string, Object=, Array=, number=): Promise<{content: Object, buffers: DataView[]}>,
 *   on: function(string, Function): function(): void, close: function(): void}}
 *   `request`'s last argument is how many milliseconds to wait; it rejects with an Error whose message is a sentence; its `kind` is the server's, or "connection".
 */
export function createClient(model, { wait = WAIT_MILLISECONDS } = {}) {
  const pending = new Map();
  const handlers = new Map();
  // Views of one widget share its model, and hear each other's answers; the server, too, tells views by it.
  const prefix = Math.random().toString(36).slice(2, 10);
  let next = 1;
  let up = true;

  function emit(name, content, buffers) {
    for (const handler of handlers.get(name) ?? []) handler(content, buffers);
  }

  function setUp(value, again = false) {
    if (value === up) return;
    up = value;
    emit("connection", { up, again });
  }

  function receive(content, buffers = []) {
    if (content.event === "connection") {
      if (content.up && content.again && up) emit("connection", { up, again: true });
      else setUp(content.up, content.again);
      return;
    }
    setUp(true);
    const views = buffers.map(asDataView);
    if (content.event !== undefined) emit(content.event, content, views);
    else settle(content, views);
  }

  function settle(content, buffers) {
    const request = pending.get(content.id);
    if (!request) return;
    pending.delete(content.id);
    clearTimeout(request.timer);
    if (content.ok) request.resolve({ content, buffers });
    else request.reject(failure(content.error ?? "The server gave no reason.", content.kind ?? "refused"));
  }

  function lose(id) {
    const request = pending.get(id);
    if (!request) return;
    pending.delete(id);
    clearTimeout(request.timer);
    setUp(false);
    request.reject(failure(GONE, "connection"));
  }

  model.on("msg:custom", receive);

  return {
    request(kind, fields = {}, buffers = [], patience = wait) {
      const id = `${prefix}-${next++}`;
      return new Promise((resolve, reject) => {
        const timer = setTimeout(() => lose(id), patience);
        pending.set(id, { resolve, reject, timer });
        try {
          const sent = model.send({ ...fields, id, kind, page: prefix }, undefined, buffers);
          if (sent && typeof sent.catch === "function") sent.catch(() => lose(id));
        } catch {
          lose(id);
        }
      });
    },
    on(name, handler) {
      if (!handlers.has(name)) handlers.set(name, new Set());
      handlers.get(name).add(handler);
      return () => handlers.get(name).delete(handler);
    },
    close() {
      model.off("msg:custom", receive);
      for (const { timer } of pending.values()) clearTimeout(timer);
      pending.clear();
    },
  };
}

function failure(sentence, kind) {
  const error = new Error(sentence);
  error.kind = kind;
  return error;
}

function asDataView(buffer) {
  if (buffer instanceof DataView) return buffer;
  if (ArrayBuffer.isView(buffer)) return new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);
  return new DataView(buffer);
}
