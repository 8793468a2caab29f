"""Names in a model that would be markup, code or commands where graphkit shows them."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from html.parser import HTMLParser
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit
from xml.etree import ElementTree as ET

import numpy as np
import onnx
import pygraphviz
import pytest
from browser import opened
from markdown_it import MarkdownIt
from onnx import TensorProto, helper, numpy_helper

from attacks.catalogue import attack
from attacks.names import MARKUP
from graphkit.cli import main
from graphkit.render.viewer.server import PageServer

COMMANDS = [
    "inspect {net}",
    "inspect {net} --nodes",
    "inspect {net} --tree --depth 9",
    "inspect {net} --weights --training",
    "inspect {net} --for mxnet",
    "inspect {net} --provenance",
    "diff {net} {other}",
    "diff {net} {other} --all",
    "verify {net} --on torch,ort --batches 2",
    "verify {net} {other} --on ort --batches 2",
    "bisect {net} {other} --on ort --batches 2",
    "run {net} --on ort --top 2",
    "run {net} --on ort --tap missing",
    "convert {net} --to torch -o {folder}/source",
    "convert {net} --to mxnet -o {folder}/symbol",
    "convert {net} --to nothing",
    "grad {net} -o {folder}/grad.onnx",
    "inspect {bad}",
    "convert {bad} --to torch -o {folder}/no",
    "verify {bad} --on ort",
    "inspect {missing}",
]
JSON = [
    "inspect {net} --nodes --tree --weights --json",
    "inspect {net} --provenance --json",
    "inspect {bad} --json",
    "diff {net} {other} --all --json",
    "verify {net} {other} --on ort --batches 2 --json",
    "bisect {net} {other} --on ort --batches 2 --json",
    "run {net} --on ort --json",
    "verify {net} {other} --on ort --batches 2 --report {folder}/report.json",
]
PAGES = {
    "report.html": "verify {net} {other} --on ort --batches 2 --report {folder}/report.html",
    "diff.html": "diff {net} {other} -o {folder}/diff.html",
    "view.html": "render {net} -o {folder}/view.html",
    "backward.html": "render {net} --backward -o {folder}/backward.html",
}
FILE = "a\"><img src=x onerror=alert(1)>'&|`[x](y)\x1b[2J\u202e"


def plain(name: str) -> str:
    return "name" + "".join(char for char in name if char.isascii() and char.isalnum())


def network(names: dict[str, str], factor: float = 1.0) -> onnx.ModelProto:
    """A chain of operators with weights, in modules, in which everything is called by the names."""
    nodes, weights, before = [], [], "input" + names["script"]
    for number, name in enumerate(names.values()):
        weight, after = f"{name}w{number}", f"{name}v{number}"
        array = np.full((3,), 1 + number * factor / 10, np.float32)
        weights.append(numpy_helper.from_array(array, weight))
        node = helper.make_node("Mul" if number % 2 else "Add", [before, weight], [after], name=f"/{name}/{number}")
        node.doc_string = name
        nodes.append(node)
        before = after
    dim = names["link"]
    ends = [
        helper.make_tensor_value_info(end, TensorProto.FLOAT, [dim, 3]) for end in ("input" + names["script"], before)
    ]
    graph = helper.make_graph(nodes, names["html" if "html" in names else "image"], ends[:1], ends[1:], weights)
    graph.doc_string = names["escape"]
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], producer_name=names["command"])
    model.ir_version = 10
    model.metadata_props.add(key=names["control"], value=names["json"])
    return model


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, dict[str, str]]:
    """Paths of files of hostile and of plain names, by what they are."""
    found = {}
    for kind in ("hostile", "plain"):
        names = {key: name if kind == "hostile" else plain(key) for key, name in MARKUP.items()}
        folder = tmp_path_factory.mktemp(kind)
        file = FILE if kind == "hostile" else "net"
        onnx.save(network(names), folder / f"{file}.onnx")
        onnx.save(network(names, 1.5), folder / f"{file}2.onnx")
        bad = network(names)
        bad.graph.node[3].op_type, bad.graph.node[4].op_type = names["escape"], names["command"]
        bad.graph.node[3].domain = names["rich"]
        onnx.save(bad, folder / f"{file}bad.onnx")
        found[kind] = {
            "folder": str(folder),
            "net": str(folder / f"{file}.onnx"),
            "other": str(folder / f"{file}2.onnx"),
            "bad": str(folder / f"{file}bad.onnx"),
            "missing": str(folder / f"{file}missing.onnx"),
        }
    return found


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def run(command: str, paths: dict[str, str]) -> int:
    with pytest.raises(SystemExit) as left:
        main([part.format(**paths) for part in command.split()])
    assert left.value.code in (0, 1, 2)
    return int(left.value.code)


def assert_harmless(text: str) -> None:
    hidden = {char for char in text if not char.isprintable() and char not in "\n\u200d"}
    assert not hidden, [line for line in text.splitlines() if hidden & {*line}][:3]


@attack("Names with escape sequences, bidi overrides and newlines, printed by every command", "visible signs instead")
@pytest.mark.parametrize("command", COMMANDS)
def test_terminals(command, files, capfd):
    status = run(command, files["hostile"])
    told = capfd.readouterr()
    assert_harmless(told.out)
    assert_harmless(told.err.replace("\u200b", ""))
    assert "graphkit itself failed" not in told.err
    assert run(command, files["plain"]) == status or "mxnet" in command  # which has no null characters in names


@attack("Names with rich's markup, which would be a link, a colour or an error", "printed as they are")
def test_markup_of_rich(files, capfd):
    run("inspect {net} --nodes", files["hostile"])
    assert "[bold red]" in capfd.readouterr().out


@attack("Names with GitHub's workflow commands at the start of a line", "no line begins with one but graphkit's own")
@pytest.mark.parametrize(
    "command",
    ["verify {net} {other} --on ort --batches 2", "inspect {bad}", "inspect {net} --nodes", "diff {net} {other}"],
)
@pytest.mark.parametrize("columns", ["40", "80", "200"])
def test_workflow_commands(command, columns, files, capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    run(command, files["hostile"])
    told = capfd.readouterr()
    commands = [line for line in (told.out + told.err).splitlines() if line.lstrip().startswith(("::", "##["))]
    own = re.compile(r"::(error|warning) title=[^,:\r\n]*::.*")
    assert [line for line in commands if not own.fullmatch(line)] == []
    if (tmp_path / "summary.md").exists():
        assert_markdown((tmp_path / "summary.md").read_text(encoding="utf-8"))


@attack("Names that would end strings in JSON, are no text, or hide in it", "valid JSON, escaped, with the names in it")
@pytest.mark.parametrize("command", JSON)
def test_json(command, files, capfd):
    run(command, files["hostile"])
    told = capfd.readouterr()
    path = f"{files['hostile']['folder']}/report.json"
    text = Path(path).read_text(encoding="utf-8") if "report.json" in command else told.out
    document = json.loads(text, parse_constant=pytest.fail)
    assert_harmless(text)
    if "provenance" not in command:
        assert MARKUP["json"] in json.dumps(document, ensure_ascii=False).replace("\\\\", "\\").replace('\\"', '"')


class Tags(HTMLParser):
    """The tags of a page with their attributes, and what stands in scripts."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[tuple[str, ...]] = Counter()
        self.scripts: list[str] = []
        self.links: set[str] = set()

    def handle_starttag(self, tag, attrs):
        self.tags[(tag, *sorted(name for name, _ in attrs))] += 1
        self.links |= {value for name, value in attrs if name in ("href", "src", "action", "srcdoc", "formaction")}
        if tag == "script":
            self.scripts.append("")


@attack("Names that are HTML, scripts or ends of them, in reports, differences and views", "the page has no tag more")
@pytest.mark.parametrize("page", PAGES)
def test_html(page, files):
    found = {}
    for kind, paths in files.items():
        run(PAGES[page], paths)
        found[kind] = Tags()
        found[kind].feed(Path(f"{paths['folder']}/{page}").read_text(encoding="utf-8"))
    assert found["hostile"].tags.keys() == found["plain"].tags.keys()
    assert len(found["hostile"].scripts) == len(found["plain"].scripts)
    assert found["hostile"].links == found["plain"].links
    assert not [tag for tag in found["hostile"].tags for name in tag[1:] if name.startswith("on")]
    assert not [link for link in found["hostile"].links if re.match(r"\s*(javascript|https?|data:text):?", link or "")]
    text = Path(f"{files['hostile']['folder']}/{page}").read_text(encoding="utf-8")
    assert "Content-Security-Policy" in text


@attack(
    "Names that are XML, entities or control characters, in JUnit reports and SVG", "well-formed, with nothing more"
)
@pytest.mark.parametrize(
    ("file", "command"),
    [
        ("report.xml", "verify {net} {other} --on ort --batches 2 --report {folder}/report.xml"),
        ("net.svg", "render {net} -o {folder}/net.svg --attributes --parameters"),
        ("diff.svg", "diff {net} {other} -o {folder}/diff.svg"),
    ],
)
def test_xml(file, command, files):
    found = {}
    for kind, paths in files.items():
        run(command, paths)
        root = ET.parse(f"{paths['folder']}/{file}").getroot()
        found[kind] = {(node.tag, *sorted(node.attrib)) for node in root.iter()}
        texts = [value for node in root.iter() for value in node.attrib.values()]
        assert not [value for value in texts if re.match(r"\s*(javascript:|https?://evil)", value)]
    tags = {tag for tag, *_ in found["hostile"]}
    assert tags <= {tag for tag, *_ in found["plain"]}
    assert not [names for names in found["hostile"] for name in names[1:] if name.lower().startswith("on")]


@attack("The same pages in a real browser", "no script of a name runs, nothing is asked of another machine")
@pytest.mark.parametrize("page", ["report.html", "diff.html", "view.html"])
def test_browsers(page, files, browser):
    run(PAGES[page], files["hostile"])
    with opened(browser, Path(files["hostile"]["folder"]) / page) as shown:
        shown.wait_for_load_state("load")
        shown.wait_for_timeout(300)


@attack("Another site that points its own name at the port of view, or another user who guesses", "refused")
def test_served_pages():
    with PageServer(b"<p>page") as server:
        thread = threading.Thread(target=server.serve)
        thread.start()
        try:
            place = urlsplit(server.address)
            answers = {}
            for host, path in ((place.netloc, place.path), ("evil.example", place.path), (place.netloc, "/")):
                connection = HTTPConnection("127.0.0.1", place.port, timeout=10)
                connection.request("GET", path, headers={"Host": host})
                answers[host, path] = connection.getresponse().status
                connection.close()
        finally:
            server.stop()
            thread.join()
    assert list(answers.values()) == [200, 421, 404]


@attack("Names that would be tables, links, images, HTML, mentions or headings in Markdown", "text, and no more")
@pytest.mark.parametrize("command", ["verify {net} {other} --on ort --batches 2 --report {folder}/report.md"])
def test_markdown(command, files):
    run(command, files["hostile"])
    assert_markdown(Path(f"{files['hostile']['folder']}/report.md").read_text(encoding="utf-8"))


def assert_markdown(text: str) -> None:
    tokens = MarkdownIt("commonmark", {"html": True}).enable("table").parse(text)
    inner = [child for token in tokens for child in token.children or ()]
    kinds = {token.type for token in [*tokens, *inner]}
    assert not kinds & {"link_open", "image", "html_inline", "hr", "fence", "blockquote_open"}
    blocks = {token.content.strip() for token in tokens if token.type == "html_block"}
    own = re.compile(r"<details><summary>[\w ,]+</summary>|</details>|<!-- graphkit\.record: [^>]*-->")
    assert all(own.fullmatch(block) for block in blocks), blocks
    plain_text = "".join(child.content for child in inner if child.type == "text")
    assert not re.search(r"(?<!\w)[@#]\w", plain_text)


@attack("Names that would be attributes, edges or HTML labels in DOT", "Graphviz reads the nodes of the plain model")
def test_dot(files):
    found = {}
    for kind, paths in files.items():
        run("render {net} -o {folder}/net.dot", paths)
        graph = pygraphviz.AGraph(filename=f"{paths['folder']}/net.dot")
        keys = {key for node in graph.nodes() for key in graph.get_node(node).attr.keys()}  # noqa: SIM118  # no mapping
        found[kind] = len(graph.nodes()), len(graph.edges()), len(graph.subgraphs()), keys
    assert found["hostile"] == found["plain"]


@attack("Names that would click, call or configure in Mermaid", "the lines are those of the plain model")
def test_mermaid(files):
    found = {}
    for kind, paths in files.items():
        run("render {net} -o {folder}/net.mmd", paths)
        text = Path(f"{paths['folder']}/net.mmd").read_text(encoding="utf-8")
        found[kind] = Counter(re.sub(r'".*"', '""', line) for line in text.splitlines())
        assert_harmless(text)
        assert not re.search(r"^\s*(click|call|href|%%\{)", text, re.MULTILINE)
    assert found["hostile"] == found["plain"]


@attack("A symbol with lone surrogates in its names, which cannot be encoded", "all is written, with signs or escapes")
def test_surrogates(tmp_path, capfd):
    name = "a\ud800b\udfffc"
    nodes = [
        {"op": "null", "name": "data", "inputs": []},
        {"op": "Activation", "name": name, "attrs": {"act_type": "relu", "__x__": name}, "inputs": [[0, 0, 0]]},
        {"op": "Activation", "name": f"{name}2", "attrs": {"act_type": "tanh"}, "inputs": [[1, 0, 0]]},
    ]
    symbol = {"nodes": nodes, "arg_nodes": [0], "heads": [[2, 0, 0]]}
    (tmp_path / "net-symbol.json").write_text(json.dumps(symbol))
    paths = {"net": str(tmp_path / "net-symbol.json"), "folder": str(tmp_path)}
    for command in (
        "inspect {net} --nodes --input 2x3",
        "inspect {net} --nodes --json --input 2x3",
        "convert {net} --to torch -o {folder}/torch --input 2x3",
        "convert {net} --to onnx -o {folder}/net.onnx --input 2x3",
        "convert {net} --to mxnet -o {folder}/again --input 2x3",
        "diff {net} {net} --json --all --input 2x3",
        "render {net} -o {folder}/net.svg --input 2x3",
        "render {net} -o {folder}/net.html --input 2x3",
        "render {net} -o {folder}/net.mmd --input 2x3",
        "render {net} -o {folder}/net.dot --input 2x3",
        "verify {net} --on torch --input 2x3 --report {folder}/report.html",
        "verify {net} --on torch --input 2x3 --report {folder}/report.json",
        "verify {net} --on torch --input 2x3 --report {folder}/report.xml",
        "verify {net} --on torch --input 2x3 --report {folder}/report.md",
    ):
        status = run(command, paths)
        told = capfd.readouterr()
        assert "graphkit itself failed" not in told.err, command
        assert status == 0 or told.err.startswith("graphkit: error:"), command
        assert_harmless(told.out + told.err)


@attack("Notes of torch's exporter that are read as Python: huge, nested, unhashable, calls", "taken for no notes")
@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')",
        "[" * 50_000,
        "-" * 50_000 + "1",
        "1+" * 20_000 + "1",
        "{[]: 1}",
        "{[]}",
        "['a', 1, 'b']",
        "[1, 2]",
        "'" + "x" * 200_000 + "'",
        "[" + "'x', " * 100_000 + "]",
        "9" * 5000,
        "\0",
    ],
    ids=range(12),
)
def test_notes_of_exporters(text, tmp_path, capfd):
    model = network({key: plain(key) for key in MARKUP})
    for node in model.graph.node:
        node.metadata_props.add(key="pkg.torch.onnx.name_scopes", value=text)
        node.metadata_props.add(key="pkg.torch.onnx.class_hierarchy", value=text)
    onnx.save(model, tmp_path / "net.onnx")
    started = time.process_time()
    assert run("inspect {net} --tree", {"net": str(tmp_path / "net.onnx")}) == 0
    assert time.process_time() - started < 10
    assert "graphkit itself failed" not in capfd.readouterr().err


@attack("Errors told with --debug, whose traceback has names with escape sequences", "visible signs instead")
def test_tracebacks(files, capfd):
    with pytest.raises(SystemExit):
        main(["convert", files["hostile"]["bad"], "--to", "torch", "-o", files["hostile"]["folder"] + "/no", "--debug"])
    told = capfd.readouterr().err
    assert "Traceback" in told
    assert_harmless(told)
