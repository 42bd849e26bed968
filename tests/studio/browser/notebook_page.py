"""A notebook's kernel and a page that shows its widget, with what a notebook has between them.

The kernel is a process of its own that nbclient runs cells in. The page gets the widget's own `_esm` and
`_css` and a `model` as JupyterLab's host makes it; messages go through the kernel's comm, by the protocol of
Jupyter.
"""

import asyncio
import base64
import json
import queue
import threading
from types import SimpleNamespace

import numpy as np
from studio_page import StudioPage

HOST = """<!doctype html><html lang="en"><title>Notebook</title>
<style>body { margin: 0; font: 14px sans-serif; }</style>
<p>Out[1]:</p><main></main>
<script type="module">
  const state = await kernelState();
  const listeners = new Set();
  const bytes = (given) => ArrayBuffer.isView(given)
    ? new Uint8Array(given.buffer, given.byteOffset, given.byteLength)
    : new Uint8Array(given);
  const letters = (given) => btoa(Array.from(bytes(given), (byte) => String.fromCharCode(byte)).join(""));
  const view = (text) => new DataView(Uint8Array.from(atob(text), (each) => each.charCodeAt(0)).buffer);
  const model = {
    get: (name) => state[name],
    on: (name, listener) => { if (name === "msg:custom") listeners.add(listener); },
    off: (name, listener) => { listeners.delete(listener); },
    send: (content, callbacks, buffers = []) => {
      kernelSend(JSON.stringify(content), buffers.map(letters));
    },
  };
  document.head.append(Object.assign(document.createElement("style"), { textContent: state._css }));
  const source = URL.createObjectURL(new Blob([state._esm], { type: "text/javascript" }));
  const { default: widget } = await import(source);
  await widget.initialize?.({ model });
  await widget.render({ model, el: document.querySelector("main") });
  setInterval(async () => {
    for (const [content, buffers] of await kernelMessages())
      for (const listener of [...listeners]) listener(content, buffers.map(view));
  }, 10);
</script></html>
"""
ADDRESS = "http://localhost:9/notebook"  # never asked for: the page is answered here


class Notebook:
    """A notebook whose kernel stays alive after its cells were run, until `close`.

    Args:
        cells: Their source.
        folder: Where the kernel runs.
    """

    def __init__(self, cells, folder):
        import nbformat
        from nbclient import NotebookClient

        notebook = nbformat.v4.new_notebook(
            cells=[nbformat.v4.new_code_cell(source) for source in cells]
        )
        self.cells = notebook.cells
        self._client = NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(folder)}}
        )
        self._ready, self._done = threading.Event(), threading.Event()
        self._failure = None
        # A loop of its own: Playwright's runs in the main thread.
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            raise self._failure

    async def _run(self):
        try:
            async with self._client.async_setup_kernel():
                for number, cell in enumerate(self.cells):
                    await self._client.async_execute_cell(cell, number)
                self._ready.set()
                await asyncio.get_running_loop().run_in_executor(None, self._done.wait)
        except Exception as error:
            self._failure = error
        finally:
            self._ready.set()

    @property
    def connection_file(self):
        return self._client.km.connection_file

    def widget(self, number):
        """The id and the state of the widget that a cell shows."""
        shown = next(
            output["data"]["application/vnd.jupyter.widget-view+json"]
            for output in self.cells[number].outputs
            if "application/vnd.jupyter.widget-view+json" in output.get("data", {})
        )
        return shown["model_id"], dict(self._client.widget_state[shown["model_id"]])

    def close(self):
        self._done.set()
        self._thread.join(60)


class Comm:
    """The other end of a widget's comm, as a notebook in the browser has it."""

    def __init__(self, connection_file, comm_id):
        from jupyter_client import BlockingKernelClient

        self._client = BlockingKernelClient(connection_file=connection_file)
        self._client.load_connection_file()
        self._client.start_channels()
        self._id = comm_id
        self._heard, self._closed = queue.Queue(), threading.Event()
        self.messages = []
        self._client.wait_for_ready(timeout=60)  # before another thread reads what it reads
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def send(self, content, buffers):
        """Sends a custom message of the page to the kernel."""
        self.messages.append((content, buffers))
        data = {"method": "custom", "content": content}
        self._client.session.send(
            self._client.shell_channel.socket,
            "comm_msg",
            content={"comm_id": self._id, "data": data},
            buffers=buffers,
        )

    def receive(self):
        """The custom messages that came for the page since it asked last."""
        found = []
        while not self._heard.empty():
            found.append(self._heard.get())
        self.messages += found
        return found

    def close(self):
        self._closed.set()
        self._thread.join(60)
        self._client.stop_channels()

    def _listen(self):
        while not self._closed.is_set():
            try:
                message = self._client.get_iopub_msg(timeout=0.1)
            except queue.Empty:
                continue
            content = message["content"]
            if message["msg_type"] != "comm_msg" or content["comm_id"] != self._id:
                continue
            if content["data"].get("method") == "custom":
                buffers = [bytes(buffer) for buffer in message["buffers"]]
                self._heard.put((content["data"]["content"], buffers))


class NotebookPage(StudioPage):
    """A page that shows the widget of a notebook, beside what was said between it and the kernel."""

    def __init__(self, page, comm, state):
        super().__init__(page, session=None)
        self._comm, self._state = comm, state

    def open(self):
        page = self.page
        page.expose_function("kernelState", lambda: self._state)
        page.expose_function("kernelSend", self._send)
        page.expose_function("kernelMessages", self._receive)
        page.route(ADDRESS, lambda route: route.fulfill(body=HOST, content_type="text/html"))
        page.goto(ADDRESS)
        (_, _, (places, *_)) = self.eventually(lambda: self.answers("positions"), "the map")[0]
        points = np.frombuffer(places, "<f4").reshape(-1, 2)
        self.session = SimpleNamespace(
            round=SimpleNamespace(map=points), edited=SimpleNamespace(targets=points)
        )
        self.wait_for_map()
        return self

    def answers(self, kind, **fields):
        """Requests of a kind, with these fields, and their answers: content and buffers of each."""
        messages = self._comm.messages
        answers = {content.get("id"): found for found in messages if "ok" in (content := found[0])}
        return [
            (content, *answers[content["id"]])
            for content, _ in messages
            if content.get("kind") == kind
            and content["id"] in answers
            and fields.items() <= content.items()
        ]

    def answer_to(self, act, kind, **fields):
        """Does something, and returns the next request of a kind with its answer."""
        before = len(self.answers(kind, **fields))
        act()
        found = self.eventually(
            lambda: self.answers(kind, **fields)[before:], f"the answer to {kind!r}"
        )
        return found[-1]

    def lasso(self, corners):
        """Draws a lasso through places of the map; returns what was asked, answered, and its buffers."""
        self.tool("Lasso")
        path = self.on_screen(corners)
        return self.answer_to(lambda: self.drag([*path, path[0]]), "select")

    def shift(self, start, by):
        """Drags what is selected, from a selected point on; returns the step's request and answer."""
        self.tool("Move")
        path = self.on_screen([start, np.add(start, np.divide(by, 2)), np.add(start, by)])
        return self.answer_to(lambda: self.drag(path), "change")

    def events(self, name):
        """The events of a name that came so far."""
        return [found for found in self._comm.messages if found[0].get("event") == name]

    def _send(self, content, buffers):
        self._comm.send(json.loads(content), [base64.b64decode(text) for text in buffers])

    def _receive(self):
        return [
            [content, [base64.b64encode(buffer).decode() for buffer in buffers]]
            for content, buffers in self._comm.receive()
        ]
