// The page's entry: what a host, a server's page or a notebook's widget, calls with a model to talk to.

export default {
  render({ el }) {
    el.textContent = "The studio's page is being built.";
  },
};
