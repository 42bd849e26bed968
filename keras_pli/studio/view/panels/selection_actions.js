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
    { type: "text", "aria-label": "Reason of the next step", placeholder: "Why? (optional, kept with the next step)" },
  );
  const where = element("p", { class: "kps-hint" });
  const separate = element("div", { class: "kps-separate" });
  const relabel = element("div", { class: "kps-action" });

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

  /** A button and what it acts with: number fields, with what is written around them. */
  function action(label, shown, rule, make, tip) {
    const inputs = shown.filter((part) => part.tagName === "INPUT");
    const press = () => withNumbers(inputs, rule, make);
    for (const input of inputs) input.addEventListener("keydown", (event) => event.key === "Enter" && press());
    return actionRow(button(label, press, { title: tip, class: "kps-small kps-do" }), ...shown);
  }

  const place = { what: "A place or a way needs numbers." };
  const shift = action("Shift by", ["x", number("Shift: x", "0"), "y", number("Shift: y", "0")], place, shiftChange,
    "In units of the map; dragging with the tool Move does the same");
  const centre = [number("Place: x", "0"), number("Place: y", "0")];
  const moveTo = action("Move centre to", ["x", centre[0], "y", centre[1]], place, moveToChange,
    "Puts the mean of the selection at a place");
  const scale = action(
    "Scale to",
    [number("Factor of its size", "0.5"), "of its size"],
    { least: 0, what: "A factor is 0 or more." },
    (selection, [factor]) => scaleChange(selection, factor),
    "Below 1 contracts about the mean, above 1 expands",
  );
  const direction = chooser(
    [{ value: "1", label: "counter-clockwise" }, { value: "-1", label: "clockwise" }],
    "1",
    () => {},
    { "aria-label": "Direction of the turn" },
  );
  const rotate = action(
    "Rotate by",
    [number("Degrees", "90"), "°", direction],
    { what: "An angle is a number of degrees." },
    (selection, [degrees]) => rotateChange(selection, Number(direction.value) * degrees),
    "Degrees, about the mean of the selection",
  );
  const weigh = action(
    "Weigh by",
    [number("Factor of the weight", "2"), "times"],
    { above: 0, what: "A weight's factor is above 0; to leave samples out there is Exclude." },
    (selection, [factor]) => ({ type: "Weigh", selection, factor }),
    "How much more each sample counts in the loss",
  );

  const relabelAs = (label) => add((selection) => ({ type: "Relabel", selection, label }));

  function drawRelabel() {
    const classes = (state.info?.classes ?? []).map(({ name }, i) => ({ value: String(i), label: name }));
    const kind = chooser(classes, "0", () => {}, { "aria-label": "New label", "data-focus": "new label" });
    refill(relabel, [
      button("Relabel as", () => relabelAs(state.info.classes[Number(kind.value)].label),
        { class: "kps-small kps-do", title: "Gives the samples another label for training" }),
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
      actionRow(
        button("Separate to", press, {
          class: "kps-small kps-do", title: `${names[0]} and ${names[1]}, along the line through their centres`,
        }),
        input,
        "apart",
      ),
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

  /** The centre as it is, where nobody is writing another one. */
  function drawCentre() {
    const { selection, positions } = state;
    const at = selection?.mask && positions.targets && maskCentre(positions.targets, selection.mask);
    if (!at || centre.includes(centre[0].getRootNode().activeElement)) return;
    centre.forEach((input, k) => { input.value = shortNumber(at[k]); });
    where.textContent = `The centre is at x ${shortNumber(at[0])}, y ${shortNumber(at[1])} in units of the map.`;
  }

  store.on(["info"], drawRelabel);
  store.on(["selection", "positions", "info", "labelCodes"], drawSeparate);
  store.on(["selection", "positions"], drawCentre);
  drawRelabel();
  drawSeparate();
  const exclude = button("Exclude", () => add((selection) => ({ type: "Exclude", selection })),
    { class: "kps-small kps-do", title: "Leaves the samples out of training; they stay on the map" });
  return element(
    "div",
    { class: "kps-actions" },
    reason,
    separate,
    fold("Move by numbers", where, shift, moveTo, scale, rotate),
    fold("Weigh, relabel or exclude", weigh, relabel, actionRow(exclude, "from training")),
  );
}

function number(label, value) {
  return element("input", { type: "text", inputmode: "decimal", value, "aria-label": label });
}

function actionRow(act, ...parts) {
  const words = parts.map((part) => (typeof part === "string" ? element("span", { class: "kps-muted" }, part) : part));
  return element("div", { class: "kps-action" }, act, element("span", {}, words));
}

function fold(title, ...parts) {
  return element(
    "details",
    { class: "kps-fold" },
    element("summary", {}, title),
    element("div", { class: "kps-finder" }, parts),
  );
}
