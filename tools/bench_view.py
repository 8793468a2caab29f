"""Measure the viewer beside Netron and Model Explorer.

    python tools/bench_view.py [--netron PROGRAM] [--model-explorer PROGRAM] [MODEL …]

The models, all of random weights: a ResNet-50, a 12-layer encoder of BERT-base's sizes, a 48-layer decoder of GPT-2's
structure and a synthetic graph of 20,000 operators in modules, each written as ONNX. The same file is opened in each
program, in a headless Chromium of 1500 × 1000: graphkit from the page that ``graphkit render -o`` wrote (``make`` is
the time of that command, ``size`` that of the page), Netron and Model Explorer from their own servers, which are
running already. ``open`` is from asking for the page to the first picture with nodes in it. ``expand`` is the median
time until a closed module is laid out and drawn, of up to 20; Netron has no modules, and Model Explorer's drawing tells
no end. ``frame`` is the median and the 95th percentile of the time between frames while the mouse drags the drawing;
16.7 ms are all that a screen shows. Netron and Model Explorer are left out where they are not found; they are on PyPI
as `netron` and as `ai-edge-model-explorer` with `model-explorer-onnx`.
"""

from __future__ import annotations

import argparse
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import onnx_ir as ir
    from playwright.sync_api import Browser, Page

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))
PATIENCE = 180
"""Seconds after which a program is said not to have opened a model."""
KEEP_EVAL = "{const kept = window.eval; Object.defineProperty(window, 'eval', {get() { return kept; }, set() {}});}"
"""Netron takes `eval` away, which Playwright needs."""
FRAMES = """() => {
    window.frames_ = [];
    let last = performance.now();
    const tick = (now) => {
        window.frames_.push(now - last);
        last = now;
        window.ticking_ = requestAnimationFrame(tick);
    };
    requestAnimationFrame(tick);
}"""


def resnet50() -> ir.Model:
    from networks import NETWORKS

    import graphkit

    return graphkit.load(NETWORKS["resnet50"].module(), inputs=[(2, 3, 224, 224)])


def transformer(layers: int, width: int, words: int, *, decoder: bool) -> ir.Model:
    import torch
    from torch import nn

    import graphkit

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.grow, self.shrink = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.norm1(x)
            heads = [part(y).unflatten(2, (12, -1)).transpose(1, 2) for part in (self.query, self.key, self.value)]
            scores = heads[0] @ heads[1].transpose(2, 3) / (width / 12) ** 0.5
            if decoder:
                mask = torch.ones(scores.shape[-2:], dtype=torch.bool).triu(1)
                scores = scores.masked_fill(mask, -1e9)
            x = x + self.out((scores.softmax(-1) @ heads[2]).transpose(1, 2).flatten(2))
            return x + self.shrink(nn.functional.gelu(self.grow(self.norm2(x))))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.words, self.places = nn.Embedding(words, width), nn.Embedding(64, width)
            self.layers = nn.ModuleList(Block() for _ in range(layers))
            self.norm = nn.LayerNorm(width)

        def forward(self, ids: torch.Tensor) -> torch.Tensor:
            x = self.words(ids) + self.places(torch.arange(ids.shape[1]))
            for layer in self.layers:
                x = layer(x)
            return self.norm(x)

    return graphkit.load(Net().eval(), inputs=["ids:2x16:int64"])


def synthetic(size: int = 20_000) -> ir.Model:
    import numpy as np
    import onnx_ir as ir

    rng = np.random.default_rng(0)
    shape, kind = ir.Shape(["batch", 64]), ir.TensorType(ir.DataType.FLOAT)
    values, nodes = [ir.Value(name="x", type=kind, shape=shape)], []
    for number in range(size):
        op = ("Relu", "Sigmoid", "Tanh", "Add", "Mul")[rng.integers(5)]
        inputs = [values[-1]]
        if op in ("Add", "Mul"):
            inputs.append(values[max(0, len(values) - int(rng.integers(2, 9)))])
        place = f"/block{number // 1000}/layer{number // 100 % 10}/part{number // 10 % 10}"
        node = ir.node(op, inputs, name=f"{place}/{op}_{number}")
        node.outputs[0].name, node.outputs[0].type, node.outputs[0].shape = f"v{number}", kind, shape
        nodes.append(node)
        values.append(node.outputs[0])
    graph = ir.Graph(values[:1], values[-1:], nodes=nodes, opset_imports={"": 21}, name="synthetic")
    return ir.Model(graph, ir_version=10)


MODELS: dict[str, Callable[[], ir.Model]] = {
    "resnet50": resnet50,
    "bert-base": lambda: transformer(12, 768, 30_522, decoder=False),
    "gpt2-48": lambda: transformer(48, 192, 5_000, decoder=True),
    "synthetic-20000": synthetic,
}


def frames(page: Page) -> tuple[float, float]:
    """Median and 95th percentile of milliseconds between frames while the drawing is dragged."""
    page.evaluate(FRAMES)
    page.mouse.move(900, 700)
    page.mouse.down()
    for step in range(120):
        page.mouse.move(900 - 3 * step, 700 - 2 * step)
    page.mouse.up()
    found = page.evaluate("() => { cancelAnimationFrame(window.ticking_); return window.frames_.slice(2); }")
    return statistics.median(found), sorted(found)[int(len(found) * 0.95)]


def fresh(browser: Browser) -> Page:
    page = browser.new_page(viewport={"width": 1500, "height": 1000})
    page.set_default_timeout(PATIENCE * 1000)
    return page


def in_graphkit(browser: Browser, model: Path) -> dict[str, Any]:
    out = model.with_suffix(".html")
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "graphkit", "render", model, "-o", out], check=True, capture_output=True)
    made = time.perf_counter() - start
    page = fresh(browser)
    start = time.perf_counter()
    page.goto(out.as_uri())
    page.locator("html[data-viewer=ready]").wait_for()
    page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
    opened = time.perf_counter() - start
    expanded = page.evaluate(
        """async () => { const scene = window.graphkitViewer.scenes[0], times = [];
            for (const box of scene.boxes.filter((one) => one.item.kind === "group").slice(0, 20)) {
                if (scene.expanded.has(box.item.id)) continue;
                const start = performance.now();
                scene.expand(box.item.id);
                await new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)));
                times.push(performance.now() - start); }
            return times; }"""
    )
    boxes = page.evaluate("window.graphkitViewer.scenes[0].boxes.length")
    middle, slow = frames(page)
    page.close()
    return {
        "make": f"{made:.2f} s",
        "size": f"{out.stat().st_size / 1e6:.2f} MB",
        "open": f"{opened:.2f} s",
        "expand": f"{statistics.median(expanded):.0f} ms" if expanded else "–",
        "frame": f"{middle:.1f} / {slow:.1f} ms ({boxes} boxes)",
    }


@contextmanager
def server(command: list[str | Path], port: int) -> Iterator[str]:
    """A program that serves a page, and what it printed until it did."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT)
        try:
            for _ in range(120):
                time.sleep(0.5)
                try:
                    urllib.request.urlopen(f"http://localhost:{port}", timeout=2).close()
                    break
                except OSError:
                    continue
            time.sleep(2)  # it may say where after it serves
            yield Path(f"/proc/self/fd/{said.fileno()}").read_bytes().decode()
        finally:
            process.kill()
            process.wait()


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("localhost", 0))
        return int(one.getsockname()[1])


def in_netron(browser: Browser, model: Path, program: str) -> dict[str, Any]:
    port = free_port()
    with server([program, "-p", str(port), model], port):
        page = fresh(browser)
        page.add_init_script(KEEP_EVAL)
        page.context.add_cookies(
            [{"name": "consent", "value": str(int(time.time() * 1000)), "url": f"http://localhost:{port}"}]
        )
        start = time.perf_counter()
        page.goto(f"http://localhost:{port}")
        yes = page.get_by_role("button", name=re.compile("Accept|Yes"))
        shown = page.locator("#target g.node").first
        while not shown.count():
            if time.perf_counter() - start > PATIENCE:
                page.close()
                return {"open": f"not in {PATIENCE} s"}
            if yes.count() and yes.first.is_visible():
                yes.first.click()
                start = time.perf_counter()
            page.wait_for_timeout(20)
        page.locator("body.default").wait_for()
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        opened = time.perf_counter() - start
        boxes = page.locator("#target g.node").count()
        middle, slow = frames(page)
        page.close()
    return {"open": f"{opened:.2f} s", "frame": f"{middle:.1f} / {slow:.1f} ms ({boxes} boxes)"}


def in_model_explorer(browser: Browser, model: Path, program: str) -> dict[str, Any]:
    port = free_port()
    command = [program, "--no_open_in_browser", "--port", str(port), "--extensions", "model_explorer_onnx", model]
    with server(command, port) as said:
        address = re.search(r"http://\S+", said)
        if address is None:
            return {"open": "no address"}
        page = fresh(browser)
        start = time.perf_counter()
        page.goto(address.group())
        page.get_by_text("op node count").first.wait_for()
        page.locator("canvas:visible").first.wait_for()
        page.evaluate("() => new Promise((drawn) => requestAnimationFrame(() => requestAnimationFrame(drawn)))")
        opened = time.perf_counter() - start
        middle, slow = frames(page)
        page.close()
    return {"open": f"{opened:.2f} s", "frame": f"{middle:.1f} / {slow:.1f} ms (closed)"}


def main() -> None:
    from browser import chromium
    from playwright.sync_api import Error, sync_playwright

    import graphkit

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"All of {', '.join(MODELS)} if none is given.")
    parser.add_argument("--netron", default=shutil.which("netron"))
    parser.add_argument("--model-explorer", default=shutil.which("model-explorer"))
    given = parser.parse_args()
    programs: dict[str, Callable[[Browser, Path], dict[str, Any]]] = {"graphkit": in_graphkit}
    if given.netron:
        programs["Netron"] = lambda browser, model: in_netron(browser, model, given.netron)
    if given.model_explorer:
        programs["Model Explorer"] = lambda browser, model: in_model_explorer(browser, model, given.model_explorer)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as player:
        print(f"{'model':16} {'program':15} {'make':>8} {'size':>9} {'open':>10} {'expand':>8}  frame")
        for name in given.models or MODELS:
            path = Path(folder) / f"{name}.onnx"
            graphkit.save(MODELS[name](), path, to="onnx")
            for program, measure in programs.items():
                browser = player.chromium.launch(executable_path=chromium(), args=["--no-sandbox"])
                try:
                    found = measure(browser, path)
                except Error as error:
                    found = {"open": str(error).splitlines()[0][:60]}
                browser.close()
                cells = [found.get(key, "–") for key in ("make", "size", "open", "expand", "frame")]
                print(
                    f"{name:16} {program:15} {cells[0]:>8} {cells[1]:>9} {cells[2]:>10} {cells[3]:>8}  {cells[4]}",
                    flush=True,
                )


if __name__ == "__main__":
    main()
