// The colours of the map that are not those of classes.

export const MAP_THEMES = Object.freeze({
  light: Object.freeze({
    name: "light", background: "#ffffff", ink: "#1d2530", accent: "#0072b2", warning: "#b3261e",
  }),
  dark: Object.freeze({
    name: "dark", background: "#171717", ink: "#e6e8eb", accent: "#4dabdf", warning: "#ff8a80",
  }),
});
