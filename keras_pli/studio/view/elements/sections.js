/** The column of panels: tabs, and sections in them that open and close. */

import { element } from "./dom.js";

/**
 * Makes a section with a heading that opens and closes it.
 *
 * @param {string} title
 * @param {Array} children
 * @param {{open?: boolean, side?: Node}} options `side` stands at the right of the heading.
 */
export function section(title, children, { open = true, side = null } = {}) {
  return element(
    "details",
    { class: "kps-section", open },
    element("summary", {}, element("h2", {}, title), side),
    element("div", { class: "kps-section-body" }, children),
  );
}

/** Scrolls the column of panels until a node is at its top; the page around the view stays where it is. */
export function scrollToTop(node) {
  const panels = node.closest(".kps-panels");
  panels.scrollTop += node.getBoundingClientRect().top - panels.getBoundingClientRect().top;
}

export const TABS = [
  { name: "edit", label: "Edit" },
  { name: "sample", label: "Sample" },
  { name: "retrain", label: "Retrain" },
  { name: "history", label: "History" },
];

/**
 * Makes the tabs and what they show.
 *
 * @param {Object} store
 * @param {Object<string, Node[]>} contents By name of the tab.
 * @returns {HTMLElement}
 */
export function createTabs(store, contents) {
  const { state } = store;
  const mark = `kps-${Math.random().toString(36).slice(2, 10)}`;
  const tabs = TABS.map(({ name, label }) =>
    element("button", {
      type: "button", role: "tab", id: `${mark}-tab-${name}`, "aria-controls": `${mark}-${name}`, "data-tab": name,
      on: { click: () => choose(name) },
    }, label));
  const panels = TABS.map(({ name }) =>
    element(
      "div",
      {
        role: "tabpanel",
        id: `${mark}-${name}`,
        "aria-labelledby": `${mark}-tab-${name}`,
        class: "kps-panel",
        tabindex: "-1",
      },
      contents[name],
    ));
  const list = element("div", { class: "kps-tabs", role: "tablist", "aria-label": "Panels" }, tabs);
  const size = element("button", { type: "button", class: "kps-sheet-size", on: { click: resize } });

  function choose(name) {
    store.set({ tab: name, sheet: state.sheet === "low" ? "half" : state.sheet });
  }

  function resize() {
    store.set({ sheet: { low: "half", half: "full", full: "low" }[state.sheet] });
  }

  function draw() {
    tabs.forEach((tab, i) => {
      const on = tab.dataset.tab === state.tab;
      tab.setAttribute("aria-selected", String(on));
      tab.tabIndex = on ? 0 : -1;
      panels[i].hidden = !on;
    });
  }

  function drawSheet() {
    const next = {
      low: "Open the panels",
      half: "Panels over the whole window",
      full: "Close the panels",
    }[state.sheet];
    size.setAttribute("aria-label", next);
    size.title = next;
  }

  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const place = TABS.findIndex(({ name }) => name === state.tab);
    choose(TABS[(place + step + TABS.length) % TABS.length].name);
    tabs.find((tab) => tab.dataset.tab === state.tab).focus();
  });
  store.on(["tab"], draw);
  store.on(["sheet"], drawSheet);
  draw();
  drawSheet();
  return element(
    "aside",
    { class: "kps-side", "aria-label": "Panels" },
    size,
    list,
    element("div", { class: "kps-panels" }, panels),
  );
}
