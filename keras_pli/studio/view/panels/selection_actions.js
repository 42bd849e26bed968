/** Steps by numbers on what is selected: the keyboard's way to all that hands can do on the map. */

import { maskCentre, maskOfCodes } from "../state/arrays.js";
import {
  moveToChange, rotateChange, scaleChange, separateChange, shiftChange,
} from "../state/changes.js";
import { button, chooser, element, refill } from "../elements/dom.js";
import { shortNumber, typedNumber } from "../elements/formatting.js";

/**
 * Makes the form of actions.
 *
 * @param {{store: Object, actions: Object, toasts: Object}} view
 * @returns {HTMLElement}
 */
export function createActionsForm({ store, actions, toasts }) {
  const { state } = store;
  const reason = element(
    "input",
    { type: "text", "aria-label": "Reason of the next step", placeholder: "Why? (optional, kept with the step)" },
  );
  const separate = element("div", { class: "kps-separate" });
  const relabel = element("span", {});

  /** Adds what is made of the selection, with the reason that was typed. */
  function add(make) {
    const text = reason.value.trim();
    reason.value = "";
    return actions.addChange((selection) => (text ? { ...make(selection), reason: text } : make(selection)));
  }

  /** Reads a number, or says what is wrong with it in its place. */
  function read(input, { least = -Infinity, above = -Infinity, what }) {
    const value = typedNumber(input.value);
    const fits = Number.isFinite(value) && value >= least && value > above;
    input.setAttribute("aria-invalid", String(!fits));
    if (!fits) {
      toasts.error(`${what} Received “${input.value}”.`);
      input.focus();
    }
    return fits ? value : null;
  }

  function withNumbers(inputs, rule, make) {
    const values = [];
    for (const input of inputs) {
      const value = read(input, rule);
      if (value === null) return;
      values.push(value);
    }
    add((selection) => make(selection, values));
  }

  function action(label, inputs, rule, make, tip) {
    const press = () => withNumbers(inputs, rule, make);
    for (const input of inputs) input.addEventListener("keydown", (event) => event.key === "Enter" && press());
    return element(
      "div",
      { class: "kps-action" },
      button(label, press, { title: tip, class: "kps-small" }),
      inputs,
    );
  }

  const number = (label, value, unit = null) =>
    element("input", { type: "text", inputmode: "decimal", value, "aria-label": label, placeholder: unit });

  const place = { what: "A place or a way needs numbers." };
  const shift = action("Shift by", [number("Shift: x", "0"), number("Shift: y", "0")], place, shiftChange,
    "In units of the map; dragging with the tool Move does the same");
  const moveTo = action("Move centre to", [number("Place: x", "0"), number("Place: y", "0")], place, moveToChange,
    "Puts the mean of the selection at a place");
  const scale = action("Scale to", [number("Factor of its size", "0.5")], {
    least: 0,
    what: "A factor is 0 or more.",
  },
    (selection, [factor]) => scaleChange(selection, factor), "Below 1 contracts about the mean, above 1 expands");
  const rotate = action("Rotate by", [number("Degrees, counter-clockwise", "90")], { what: "An angle is a number of degrees." },
    (selection, [degrees]) => rotateChange(selection, degrees), "Degrees, counter-clockwise about the mean");
  const weigh = action("Weigh by", [number("Factor of the weight", "2")], {
    above: 0,
    what: "A weight's factor is above 0; to leave samples out there is Exclude.",
  },
    (selection, [factor]) => ({ type: "Weigh", selection, factor }), "How much more each sample counts in the loss");

  const relabelAs = (label) => add((selection) => ({ type: "Relabel", selection, label }));

  function drawRelabel() {
    const classes = (state.info?.classes ?? []).map(({ name }, i) => ({ value: String(i), label: name }));
    const kind = chooser(classes, "0", () => {}, { "aria-label": "New label", "data-focus": "new label" });
    refill(relabel, [
      button("Relabel as", () => relabelAs(state.info.classes[Number(kind.value)].label),
        { class: "kps-small", title: "Gives the samples another label for training" }),
      kind,
    ]);
  }

  function drawSeparate() {
    const labels = state.selection?.labels ?? [];
    if (labels.length !== 2 || !state.positions.targets) {
      const hint = "To separate two classes, select both in the legend, the second with Shift.";
      return refill(separate, labels.length === 1 ? [element("p", { class: "kps-hint" }, hint)] : []);
    }
    const names = labels.map((label) => state.info.classes.find((entry) => entry.label === label).name);
    const input = number("Distance of the centres", shortNumber(2 * (centreDistance(labels) ?? 1)));
    const press = () => {
      const distance = read(input, { above: 0, what: "A distance is above 0." });
      if (distance === null) return;
      const [first, second] = labels.map((label) => ({ type: "ClassLabel", label }));
      add(() => separateChange(first, second, distance));
    };
    input.addEventListener("keydown", (event) => event.key === "Enter" && press());
    return refill(separate, [
      element("div", { class: "kps-action" },
        button(
          "Separate to",
          press,
          { class: "kps-small", title: `${names[0]} and ${names[1]}, along the line through their centres` },
        ), input),
      element(
        "p",
        { class: "kps-hint" },
        `The centres of ${names[0]} and ${names[1]} are ${shortNumber(centreDistance(labels))} apart.`,
      ),
    ]);
  }

  function centreDistance(labels) {
    const { labelCodes, positions, info } = state;
    if (!labelCodes) return null;
    const [a, b] = labels.map((label) => {
      const code = info.classes.findIndex((entry) => entry.label === label);
      return maskCentre(positions.targets, maskOfCodes(labelCodes, new Set([code])));
    });
    return a && b ? Math.hypot(b[0] - a[0], b[1] - a[1]) : null;
  }

  store.on(["info"], drawRelabel);
  store.on(["selection", "positions", "info", "labelCodes"], drawSeparate);
  drawRelabel();
  drawSeparate();
  return element(
    "div",
    { class: "kps-actions" },
    separate,
    element("details", { class: "kps-fold" }, element("summary", {}, "Move by numbers"),
      element("div", { class: "kps-finder" }, shift, moveTo, scale, rotate)),
    element("details", { class: "kps-fold" }, element("summary", {}, "Weigh, relabel or exclude"),
      element("div", { class: "kps-finder" }, weigh,
        element("div", { class: "kps-action" }, relabel),
        element("div", { class: "kps-action" },
          button("Exclude", () => add((selection) => ({ type: "Exclude", selection })),
            { class: "kps-small", title: "Leaves the samples out of training; they stay on the map" })))),
    reason,
  );
}
