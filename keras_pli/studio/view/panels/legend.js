/** The legend on the map: what colours mean; it selects, and hides what is not to be seen. */

import { button, element, refill } from "../elements/dom.js";
import { shortNumber, typedNumber, wholeNumber } from "../elements/formatting.js";
import { classMark } from "../elements/icons.js";
import { capitalised, rampOf } from "../state/naming.js";

/**
 * Makes the legend.
 *
 * @param {{store: Object, actions: Object}} view
 * @returns {HTMLElement}
 */
export function createLegend({ store, actions }) {
  const { state } = store;
  const body = element("div", { class: "kps-legend-body" });
  const node = element("details", { class: "kps-legend", open: true }, element("summary", {}, "Legend"), body);

  function draw() {
    const { column } = state;
    node.firstChild.textContent = capitalised(column?.title ?? "legend");
    if (!column) return refill(body, []);
    return refill(body, column.categories ? categories(column) : numbers(column));
  }

  function categories(column) {
    const { hidden, theme } = state;
    return [
      element("ul", {}, column.categories.map((kind, code) => (kind.count === 0 ? null : entry(kind, code)))),
      hidden.size ? button("Show all", () => store.set({ hidden: new Set() }), { class: "kps-link" }) : null,
    ];

    function entry(kind, code) {
      const off = hidden.has(code);
      return element(
        "li",
        { class: off ? "kps-off" : null },
        element(
          "button",
          {
            type: "button",
            class: "kps-legend-name",
            "data-focus": `legend ${code}`,
            "aria-pressed": String(isSelected(kind, code)),
            title: `Select ${kind.name}; with Shift, add it`,
            on: { click: (event) => actions.selectCategory(
              code,
              event.shiftKey || event.ctrlKey || event.metaKey,
            ) },
          },
          classMark(kind, theme),
          element("span", { class: "kps-name" }, kind.name),
          element("span", { class: "kps-count" }, wholeNumber(kind.count ?? 0)),
        ),
        element("input", {
          type: "checkbox",
          checked: !off,
          "data-focus": `shown ${code}`,
          "aria-label": `Show ${kind.name}`,
          title: `Show or hide ${kind.name}; with Alt, show it alone`,
          on: { click: (event) => toggle(code, event.altKey) },
        }),
      );
    }
  }

  function isSelected(kind, code) {
    const { selection, column, info } = state;
    if (column.name === "label") return selection?.labels?.includes(info.classes[code]?.label) ?? false;
    return selection?.json.type === "Column" && selection.json.code === code;
  }

  function toggle(code, alone) {
    const { column, hidden } = state;
    if (alone) {
      store.set({ hidden: new Set(column.categories.map((_, i) => i).filter((i) => i !== code)) });
      return;
    }
    const next = new Set(hidden);
    if (!next.delete(code)) next.add(code);
    store.set({ hidden: next });
  }

  function numbers(column) {
    const { low, high } = column;
    const least = bound("From", low);
    const most = bound("to", high);
    const take = () => actions.selectRange(bounded(least.input, low), bounded(most.input, high));
    return [
      element(
        "div",
        {
          class: "kps-ramp",
          "aria-hidden": "true",
          style: { background: `linear-gradient(90deg, ${rampOf(column, state.theme).join(", ")})` },
        },
      ),
      element(
        "div",
        { class: "kps-ramp-ends" },
        element("span", {}, shortNumber(low)),
        element("span", {}, shortNumber(high)),
      ),
      element("div", { class: "kps-range" }, least.node, most.node, button("Select", take)),
    ];
  }

  function bound(label, value) {
    const input = element(
      "input",
      { type: "text", inputmode: "decimal", value: shortNumber(value), "data-focus": `range ${label}` },
    );
    return { input, node: element("label", {}, `${label} `, input) };
  }

  /** What was left as it stood means the end itself, which its few figures may miss. */
  function bounded(input, end) {
    return input.value === input.defaultValue ? end : typedNumber(input.value);
  }

  store.on(["column", "hidden", "selection", "theme"], draw);
  draw();
  return node;
}
