/** Light or dark, as the page around the view is. */

const QUERY = "(prefers-color-scheme: dark)";

/**
 * The theme of the place that the view lives in: a notebook says it on its body, a browser by its preference.
 *
 * @returns {"light"|"dark"}
 */
export function hostTheme() {
  const { body } = document;
  const { jpThemeLight, vscodeThemeKind } = body.dataset;
  if (jpThemeLight !== undefined) return jpThemeLight === "false" ? "dark" : "light";
  if (vscodeThemeKind !== undefined) return /dark|high-contrast$/.test(vscodeThemeKind) ? "dark" : "light";
  return matchMedia(QUERY).matches ? "dark" : "light";
}

/**
 * Calls a function now and whenever the theme changes.
 *
 * @param {function(string): void} tell
 * @returns {function(): void} Ends that.
 */
export function watchTheme(tell) {
  const query = matchMedia(QUERY);
  const told = () => tell(hostTheme());
  const observer = new MutationObserver(told);
  observer.observe(
    document.body,
    { attributes: true, attributeFilter: ["data-jp-theme-light", "data-vscode-theme-kind"] },
  );
  query.addEventListener("change", told);
  told();
  return () => {
    observer.disconnect();
    query.removeEventListener("change", told);
  };
}

/** A class's colour on the ground of a theme. */
export function themeColor({ color, dark }, theme) {
  return theme === "dark" && dark ? dark : color;
}
