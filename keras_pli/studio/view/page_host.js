/**
 * The host of the view in a page of our own server: gives it a `model` of the shape that a notebook's host has.
 * A request is a POST with one binary frame, its answer another; what the session tells comes as server-sent events.
 */

const UNIT = 8;
const AGAIN_MILLISECONDS = 2000;
const TOKEN_HEADER = "X-Studio-Token";

/** A message and its buffers as one run of bytes; see `conversation/framing.py`. */
export function frameOf(content, buffers = []) {
  const parts = buffers.map((buffer) => new Uint8Array(buffer.buffer ?? buffer, buffer.byteOffset ?? 0, buffer.byteLength));
  const text = new TextEncoder().encode(JSON.stringify({ ...content, buffers: parts.map(({ length }) => length) }));
  const start = padded(4 + text.length);
  const frame = new Uint8Array(start + parts.reduce((sum, { length }) => sum + padded(length), 0));
  frame.fill(32, 4, start);
  new DataView(frame.buffer).setUint32(0, start - 4, true);
  frame.set(text, 4);
  let at = start;
  for (const part of parts) {
    frame.set(part, at);
    at += padded(part.length);
  }
  return frame;
}

/** The content and the buffers of a frame; the buffers are views into it. */
export function unframed(bytes) {
  const length = new DataView(bytes).getUint32(0, true);
  const { buffers: sizes, ...content } = JSON.parse(new TextDecoder().decode(new Uint8Array(bytes, 4, length)));
  let at = 4 + length;
  const buffers = sizes.map((size) => {
    const view = new DataView(bytes, at, size);
    at += padded(size);
    return view;
  });
  return { content, buffers };
}

function padded(size) {
  return Math.ceil(size / UNIT) * UNIT;
}

/**
 * The model over HTTP.
 *
 * @param {{base: string, token: string}} server
 */
export function createHttpModel({ base, token }) {
  const listeners = new Set();
  let source = null;
  let timer = null;
  let told = Promise.resolve();
  let opened = false;

  function deliver(content, buffers = []) {
    for (const listener of [...listeners]) listener(content, buffers);
  }

  /** An event; large buffers of it are fetched by a number, and those that are gone have been overtaken. */
  async function tell({ attached, ...content }) {
    if (!attached) return deliver(content);
    if (attached.base64) return deliver(content, attached.base64.map(bytesOf));
    const answer = await fetch(`${base}events/${attached.number}`, { headers: { [TOKEN_HEADER]: token } });
    return answer.ok ? deliver(content, unframed(await answer.arrayBuffer()).buffers) : undefined;
  }

  function listen() {
    source = new EventSource(`${base}events?token=${encodeURIComponent(token)}`);
    source.onopen = () => {
      deliver({ event: "connection", up: true, again: opened });
      opened = true;
    };
    // One after the other: what is fetched for an event may not overtake the next.
    source.onmessage = ({ data }) => { told = told.then(() => tell(JSON.parse(data))).catch(() => {}); };
    source.onerror = () => {
      deliver({ event: "connection", up: false });
      if (source.readyState !== EventSource.CLOSED) return; // the browser tries again by itself
      clearTimeout(timer);
      timer = setTimeout(listen, AGAIN_MILLISECONDS);
    };
  }

  return {
    get: () => undefined,
    on: (name, listener) => name === "msg:custom" && listeners.add(listener),
    off: (name, listener) => listeners.delete(listener),
    listen,
    async send(content, callbacks, buffers) {
      const answer = await fetch(`${base}messages`, {
        method: "POST",
        headers: { "Content-Type": "application/octet-stream", [TOKEN_HEADER]: token },
        body: frameOf(content, buffers),
      });
      if (!answer.ok) {
        deliver({ id: content.id, ok: false, error: await refusalOf(answer) });
        return;
      }
      const reply = unframed(await answer.arrayBuffer());
      if (content.kind === "hello" && reply.content.title) document.title = `${reply.content.title} – Studio`;
      deliver(reply.content, reply.buffers);
    },
  };
}

/** Why a server refused, as it says itself. */
async function refusalOf(answer) {
  const text = await answer.text();
  try {
    return JSON.parse(text).error ?? text;
  } catch {
    return `The server refused the request (${answer.status}). ${text.slice(0, 300)}`;
  }
}

/** Bytes out of the text that an event carries. */
function bytesOf(text) {
  return new DataView(Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer);
}

/** Draws the view into this page. */
async function begin() {
  const place = document.querySelector(".kps-host");
  const address = new URL(location.href);
  const base = address.pathname.replace(/[^/]*$/, "");
  const token = address.searchParams.get("token") ?? "";
  const view = await import(`${base}view.js`).then((module) => module.default, () => null);
  if (!view) {
    place.innerHTML = "<p>The page of the studio could not be loaded. Is the server still there? Reload to try again.</p>";
    return;
  }
  const model = createHttpModel({ base, token });
  view.render({ model, el: place });
  model.listen();
}

if (typeof document !== "undefined") begin();
