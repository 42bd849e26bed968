// The element that holds a map, and what it says to those who do not see it.

const KEYS_SAID =
  "Arrow keys pan, plus and minus zoom, 0 fits the map. Alt with arrow keys moves the selection, brackets contract " +
  "and expand it, comma and full stop turn it; Enter keeps the change, Escape gives it up. C shows a cross that " +
  "arrow keys move, with which Enter picks a point and Space sets the corners of a lasso.";

/**
 * @param {HTMLElement} parent
 * @param {{label: string, still: boolean}} options
 * @returns {{root: HTMLElement, say: (text: string) => void}}
 */
export function mapRoot(parent, { label, still }) {
  const root = document.createElement("div");
  root.className = "kps-scatter";
  root.setAttribute("role", still ? "img" : "application");
  root.setAttribute("aria-label", label);
  Object.assign(root.style, {
    position: "absolute", inset: "0", overflow: "hidden", contain: "strict",
    userSelect: "none", webkitUserSelect: "none",
  });
  parent.append(root);
  if (still) return { root, say: () => {} };
  root.tabIndex = 0;
  root.style.outlineOffset = "-3px";
  // JupyterLab would take keys for its own: 0 pressed twice restarts a kernel.
  root.dataset.lmSuppressShortcuts = "true";
  root.style.touchAction = "none";
  const keys = unseenIn(root, KEYS_SAID);
  keys.id = `kps-scatter-keys-${Math.random().toString(36).slice(2)}`;
  root.setAttribute("aria-describedby", keys.id);
  const live = unseenIn(root, "");
  live.setAttribute("role", "status");
  return { root, say: (text) => { live.textContent = text; } };
}

function unseenIn(root, text) {
  const element = document.createElement("div");
  element.textContent = text;
  Object.assign(element.style, {
    position: "absolute", width: "1px", height: "1px", overflow: "hidden",
    clipPath: "inset(50%)", whiteSpace: "nowrap",
  });
  root.append(element);
  return element;
}
