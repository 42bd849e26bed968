// Pointer, wheel and touch on the map. What a gesture means is decided by `hands`; here is only how it is made.

const MOUSE_SLOP = 3; // CSS pixels that a click may move
const TOUCH_SLOP = 9;
const WHEEL_LINE = 18;

/**
 * @param {HTMLElement} root
 * @param {{begin: (at: number[], how: object) => object, click: Function, hover: Function, zoom: Function,
 *   pan: Function, wheelAllowed: () => boolean}} hands `begin` returns what a drag does: {move(at, how),
 *   end(at, how), cancel(), fine}; with `fine` it hears of every place between two frames. Places are CSS pixels within `root`.
 * @returns {{cancel: () => boolean, detach: () => void}} `cancel` gives up the gesture under way, if there is one.
 */
export function attachGestures(root, hands) {
  const pointers = new Map();
  let press = null; // {id, at, how, action}: the pointer that makes a gesture
  let pinch = null; // {middle, spread}
  let spaced = false; // with the space bar down every tool pans
  const abort = new AbortController();
  const listen = (name, handler, options = {}) =>
    root.addEventListener(name, handler, { signal: abort.signal, ...options });

  function cancel() {
    if (!press) return false;
    const had = press.action !== null;
    press.action?.cancel();
    press = null;
    return had;
  }

  listen("pointerdown", (event) => {
    if (onHandle(event) || event.button > 1) return;
    const at = placeWithin(root, event);
    pointers.set(event.pointerId, at);
    root.setPointerCapture?.(event.pointerId);
    if (event.button === 1) event.preventDefault(); // no automatic scrolling
    if (pointers.size === 2) {
      cancel();
      pinch = spreadOf(pointers);
    } else if (pointers.size === 1) {
      press = { id: event.pointerId, at, how: { ...howOf(event), pan: spaced || event.button === 1 }, action: null };
    }
  });

  listen("pointermove", (event) => {
    const at = placeWithin(root, event);
    if (!pointers.has(event.pointerId)) {
      if (event.pointerType !== "touch") hands.hover(onHandle(event) ? null : at);
      return;
    }
    pointers.set(event.pointerId, at);
    if (pinch && pointers.size === 2) {
      const next = spreadOf(pointers);
      hands.pan([next.middle[0] - pinch.middle[0], next.middle[1] - pinch.middle[1]]);
      if (pinch.spread > 0) hands.zoom(next.spread / pinch.spread, next.middle);
      pinch = next;
      return;
    }
    if (!press || press.id !== event.pointerId) return;
    const slop = event.pointerType === "touch" ? TOUCH_SLOP : MOUSE_SLOP;
    if (!press.action) {
      if (Math.hypot(at[0] - press.at[0], at[1] - press.at[1]) < slop) return;
      press.action = hands.begin(press.at, press.how);
    }
    const steps = press.action.fine ? event.getCoalescedEvents?.() : null;
    for (const step of steps ?? []) press.action.move(placeWithin(root, step), howOf(event));
    press.action.move(at, howOf(event));
  });

  function lift(event) {
    if (!pointers.delete(event.pointerId)) return;
    if (pointers.size < 2) pinch = null;
    if (!press || press.id !== event.pointerId) return;
    const { action, at, how } = press;
    press = null;
    if (event.type !== "pointerup") action?.cancel();
    else if (action) action.end(placeWithin(root, event), howOf(event));
    else if (!how.pan) hands.click(at, howOf(event));
  }
  listen("pointerup", lift);
  listen("pointercancel", lift);
  listen("lostpointercapture", lift);
  listen("pointerleave", () => { if (!press) hands.hover(null); });
  listen("keydown", (event) => {
    if (event.key !== " " || event.target !== root) return;
    event.preventDefault(); // of scrolling
    spaced = true;
  });
  listen("keyup", (event) => { if (event.key === " ") spaced = false; });
  listen("blur", () => { spaced = false; });
  listen("auxclick", (event) => event.preventDefault());

  listen("wheel", (event) => {
    if (!hands.wheelAllowed()) return;
    event.preventDefault();
    const lines = event.deltaMode === 0 ? event.deltaY : event.deltaY * WHEEL_LINE;
    // A pinch on a touchpad comes as a wheel with Ctrl and small steps.
    const speed = event.ctrlKey ? 0.01 : 0.0018;
    hands.zoom(Math.exp(-speed * Math.max(-400, Math.min(400, lines))), placeWithin(root, event));
  }, { passive: false });

  return { cancel, detach: () => abort.abort() };
}

/** The place of an event in CSS pixels within an element. */
export function placeWithin(root, event) {
  const box = root.getBoundingClientRect();
  return [event.clientX - box.left - root.clientLeft, event.clientY - box.top - root.clientTop];
}

function onHandle(event) {
  return Boolean(event.target.closest?.("[data-map-handle]"));
}

function howOf(event) {
  return {
    add: event.shiftKey || event.ctrlKey || event.metaKey,
    subtract: event.altKey,
    snap: event.shiftKey,
    touch: event.pointerType === "touch",
  };
}

function spreadOf(pointers) {
  const [[x0, y0], [x1, y1]] = [...pointers.values()];
  return { middle: [(x0 + x1) / 2, (y0 + y1) / 2], spread: Math.hypot(x1 - x0, y1 - y0) };
}
