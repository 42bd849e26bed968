/** Small helpers to make elements, and to fill them anew without losing the keyboard's place. */

const SVG_NAMESPACE = "http://www.w3.org/2000/svg";

/**
 * Makes an element.
 *
 * @param {string} tag
 * @param {Object} [properties] Attributes; `on` holds listeners by event, `class` a string, `value`, `checked`,
 *   `indeterminate` and `disabled` are set as properties. Those that are null, undefined or false are left out.
 * @param {...(Node|string|null|false|Array)} children
 * @returns {HTMLElement}
 */
export function element(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  applyProperties(node, properties);
  node.append(...children.flat(Infinity).filter(isShown));
  return node;
}

/**
 * Makes an SVG element; as `element`.
 *
 * @returns {SVGElement}
 */
export function svgElement(tag, properties = {}, ...children) {
  const node = document.createElementNS(SVG_NAMESPACE, tag);
  applyProperties(node, properties);
  node.append(...children.flat(Infinity).filter(isShown));
  return node;
}

function isShown(child) {
  return child !== null && child !== undefined && child !== false;
}

function applyProperties(node, properties) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "on") {
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    } else if (name === "style") {
      for (const [key, text] of Object.entries(value)) node.style.setProperty(key, text);
    } else if (name === "value" && "defaultValue" in node) {
      node.defaultValue = value;
    } else if (name === "value" || name === "checked" || name === "disabled") {
      node[name] = value;
    } else {
      node.setAttribute(name, value === true ? "" : String(value));
    }
  }
}

/**
 * Replaces what a node holds. The element with the focus is found again by its `data-focus`, and what was typed
 * into it and not yet sent is kept.
 *
 * @param {Element} node
 * @param {Array} children As of `element`.
 */
export function refill(node, children) {
  const active = node.getRootNode().activeElement;
  const place = active && node.contains(active) ? active.closest("[data-focus]") : null;
  const key = place === active && place ? place.getAttribute("data-focus") : null;
  const typed = key !== null && isTyped(active) ? typedState(active) : null;
  node.replaceChildren(...children.flat(Infinity).filter(isShown));
  if (key === null) return;
  const again = node.querySelector(`[data-focus="${CSS.escape(key)}"]`);
  if (!again) return;
  again.focus({ preventScroll: true });
  if (typed) restoreTyped(again, typed);
}

function isTyped(node) {
  return node.tagName === "TEXTAREA" || (node.tagName === "INPUT" && /^(text|search|number|)$/.test(node.type));
}

function typedState(node) {
  return { value: node.value, start: node.selectionStart, end: node.selectionEnd, first: node.defaultValue };
}

function restoreTyped(node, typed) {
  if (typed.value !== typed.first) node.value = typed.value;
  if (typed.start === null || typed.start === undefined) return;
  node.setSelectionRange(typed.start, typed.end);
}

/**
 * Makes a button; with `aria-disabled` "true" it can be found and read, and does nothing.
 *
 * @param {string} label What it says.
 * @param {function(Event): void} press
 * @param {Object} [properties] As of `element`; `icon` is put before the words.
 */
export function button(label, press, properties = {}) {
  const { icon = null, ...rest } = properties;
  const words = icon ? element("span", {}, label) : label;
  const click = (event) => (rest["aria-disabled"] === "true" ? undefined : press(event));
  return element("button", { type: "button", "data-focus": label, ...rest, on: { click } }, icon, words);
}

const DOUBT_MILLISECONDS = 5000;

/**
 * Makes a button for what cannot be undone: the first press asks, a second one does it.
 *
 * @param {string} label
 * @param {string} question What it says after the first press.
 * @param {function(): void} act
 * @param {Object} [properties] As of `element`.
 */
export function twiceButton(label, question, act, properties = {}) {
  let asked = null;
  const node = button(label, press, { ...properties, "aria-live": "polite" });

  function press() {
    if (asked !== null) {
      calm();
      return act();
    }
    node.textContent = question;
    node.classList.add("kps-asks");
    asked = setTimeout(calm, DOUBT_MILLISECONDS);
    return undefined;
  }

  function calm() {
    clearTimeout(asked);
    asked = null;
    node.textContent = label;
    node.classList.remove("kps-asks");
  }

  return node;
}

/** A button that shows a picture alone; its label is read aloud and shown as a tip. */
export function iconButton(label, picture, press, properties = {}) {
  return element(
    "button",
    { type: "button", class: "kps-icon-button", "aria-label": label, title: label, "data-focus": label,
      ...properties, on: { click: press } },
    picture,
  );
}

/** A labelled field: the words above, what is entered below, and a hint where one helps. */
export function field(label, input, hint = null) {
  return element(
    "label",
    { class: "kps-field" },
    element("span", { class: "kps-field-name" }, label),
    input,
    hint && element("span", { class: "kps-hint" }, hint),
  );
}

/**
 * A list to choose from.
 *
 * @param {Array<{value: string, label: string}>} options
 * @param {string} chosen
 * @param {function(string): void} choose
 * @param {Object} [properties]
 */
export function chooser(options, chosen, choose, properties = {}) {
  const node = element(
    "select",
    { ...properties, on: { change: () => choose(node.value) } },
    options.map(({ value, label }) => element("option", { value, selected: value === chosen }, label)),
  );
  return node;
}
