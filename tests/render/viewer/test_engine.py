"""The viewer's engine in a real browser: what it knows of graphs, how it lays them out, what it does and exports."""

from __future__ import annotations

import base64
import random
import xml.etree.ElementTree as ET

import pytest
from browser import browser
from scenes import graph, nested, operator, shown
from vision import contrast

__all__ = ["browser"]

DIAMOND = graph([operator() for _ in range(6)], [(0, 1), (1, 2), (0, 3), (3, 2), (2, 4)])
BLOCKS = graph([operator(group=k // 3 + 1) for k in range(9)], [(k, k + 1) for k in range(8)], [0, 0, 0])
HOSTILE = (
    "<script>alert(1)</script>",
    "\"quoted' & <b>bold</b>",
    "line\nline\x00\x07",
    "🙂" * 40,
    "\ud800",
    "x" * 10_000,
)
SHAPES = """() => ({
    boxes: scene.boxes.map(({ item, key, x, y, w, h, frame }) => ({ item, key, x, y, w, h, frame })),
    links: scene.links.map(({ points, edges, tail, head }) => ({ points: [...points], edges, tail, head })),
})"""


class TestGraph:
    def test_what_a_node_depends_on_and_feeds(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND) as page:
            assert page.evaluate("[...data.ancestors(2)].sort()") == [0, 1, 2, 3]
            assert page.evaluate("[...data.descendants(3)].sort()") == [2, 3, 4]

    def test_a_shortest_path_follows_edges_if_one_does(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND) as page:
            assert page.evaluate("data.shortestPath(0, 4)") == {
                "nodes": [0, 1, 2, 4],
                "edges": [0, 1, 4],
                "direction": "down",
            }
            assert page.evaluate("data.shortestPath(4, 3)") == {"nodes": [4, 2, 3], "edges": [4, 3], "direction": "up"}
            assert page.evaluate("data.shortestPath(1, 3).direction") == "any"
            assert page.evaluate("data.shortestPath(0, 5)") is None

    def test_the_critical_path_weighs_most(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND) as page:
            found = page.evaluate("data.criticalPath((node) => (node === 3 ? 10 : 1))")
            assert found == {"nodes": [0, 3, 2, 4], "edges": [2, 3, 4], "total": 13}

    def test_cycles_end_no_search(self, browser, tmp_path) -> None:
        ring = graph([operator() for _ in range(4)], [(0, 1), (1, 2), (2, 0), (2, 3), (3, 3)])
        with shown(browser, tmp_path, ring) as page:
            assert page.evaluate("data.criticalPath().nodes") == [0, 1, 2, 3]
            assert page.evaluate("data.ancestors(0).size") == 3
            assert len(page.evaluate("scene.boxes")) == 4

    def test_an_empty_graph_is_shown(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, graph([], [])) as page:
            assert page.evaluate("scene.boxes") == []
            assert page.evaluate("data.criticalPath()") is None
            assert page.evaluate("scene.svg()").startswith("<svg")
            page.evaluate("scene.fit(), scene.home(), scene.expandAll()")


def overlap(a: dict, b: dict) -> bool:
    return (
        a["x"] < b["x"] + b["w"] - 0.1
        and b["x"] < a["x"] + a["w"] - 0.1
        and a["y"] < b["y"] + b["h"] - 0.1
        and b["y"] < a["y"] + a["h"] - 0.1
    )


def inside(a: dict, b: dict) -> bool:
    return (
        a["x"] >= b["x"] - 0.1
        and a["y"] >= b["y"] - 0.1
        and a["x"] + a["w"] <= b["x"] + b["w"] + 0.1
        and a["y"] + a["h"] <= b["y"] + b["h"] + 0.1
    )


def on_border(x: float, y: float, box: dict) -> bool:
    across = min(abs(x - box["x"]), abs(x - box["x"] - box["w"]))
    along = min(abs(y - box["y"]), abs(y - box["y"] - box["h"]))
    within_x = box["x"] - 0.1 <= x <= box["x"] + box["w"] + 0.1
    within_y = box["y"] - 0.1 <= y <= box["y"] + box["h"] + 0.1
    return within_x and within_y and min(across, along) < 0.1


@pytest.fixture(
    scope="module", params=[(1, "TB"), (2, "TB"), (3, "LR"), (4, "LR")], ids=lambda case: f"{case[1]}{case[0]}"
)
def arranged(request, browser, tmp_path_factory):
    """Everything open in a random graph: the graph, its boxes by key, and its lines."""
    seed, direction = request.param
    told = nested(seed)
    with shown(browser, tmp_path_factory.mktemp("arranged"), told) as page:
        page.evaluate(f"scene.expandAll(10000); scene.direction('{direction}')")
        shapes = page.evaluate(SHAPES)
        crossed = page.evaluate(CROSSED)
    return told, {box["key"]: box for box in shapes["boxes"]}, shapes["links"], crossed


CROSSED = """() => {
    const sideways = scene.directionName === "LR";
    const found = [];
    for (const { points, edges } of scene.links) {
        for (const box of scene.boxes) {
            if (box.frame) continue;
            const [cx, cy] = [box.x + box.w / 2, box.y + box.h / 2];
            // A line that comes near the middle of a box runs through it.
            const reach = Math.min(box.w, box.h) / 2 - 2;
            if (sceneDistance(points, cx, cy, sideways) < reach) found.push([edges, box.key]);
        }
    }
    return found;
}"""


class TestLayout:
    def test_every_node_has_a_box(self, arranged) -> None:
        told, boxes, _, _ = arranged
        assert sum(not box["frame"] for box in boxes.values()) == len(told["nodes"])

    def test_boxes_side_by_side_do_not_overlap(self, arranged) -> None:
        told, boxes, _, _ = arranged
        levels: dict[int, list[dict]] = {}
        for box in boxes.values():
            item = box["item"]
            holder = (
                told["nodes"][item["id"]]["group"] if item["kind"] == "node" else told["groups"][item["id"]]["parent"]
            )
            levels.setdefault(holder, []).append(box)
        for level in levels.values():
            assert not [(a["key"], b["key"]) for a in level for b in level if a["key"] < b["key"] and overlap(a, b)]

    def test_what_a_group_holds_is_inside_its_frame(self, arranged) -> None:
        told, boxes, _, _ = arranged
        for box in boxes.values():
            item = box["item"]
            holder = (
                told["nodes"][item["id"]]["group"] if item["kind"] == "node" else told["groups"][item["id"]]["parent"]
            )
            if holder:
                assert inside(box, boxes[f"g{holder}"])

    def test_lines_begin_and_end_at_their_boxes(self, arranged) -> None:
        _, boxes, links, _ = arranged
        for link in links:
            if link["tail"]:
                assert on_border(*link["points"][:2], boxes[f"n{link['tail']['id']}"])
            if link["head"]:
                assert on_border(*link["points"][-2:], boxes[f"n{link['head']['id']}"])

    def test_an_edge_runs_unbroken_through_all_frames(self, arranged) -> None:
        told, _, links, _ = arranged
        for number, (tail, _, head, _) in enumerate(told["edges"]):
            parts = [link for link in links if number in link["edges"]]
            starts = {(round(p["points"][0], 1), round(p["points"][1], 1)): p for p in parts}
            at = next(part for part in parts if part["tail"] == {"kind": "node", "id": tail})
            for _ in parts[1:]:
                at = starts[round(at["points"][-2], 1), round(at["points"][-1], 1)]
            assert at["head"] == {"kind": "node", "id": head}

    def test_no_line_runs_through_a_box(self, arranged) -> None:
        assert arranged[3] == []

    def test_what_lines_share_is_drawn_by_one_of_them(self, browser, tmp_path) -> None:
        nodes = [operator(group=1) for _ in range(5)] + [operator()]
        told = graph(nodes, [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (0, 5)], [0])
        with shown(browser, tmp_path, told) as page:
            links = page.evaluate(
                "scene.links.map(({ points, shared, edges }) => ({ points: [...points], shared, edges }))"
            )
        near = next(link for link in links if link["edges"] == [4])
        far = next(link for link in links if link["edges"] == [5] and link["points"][:2] == near["points"][:2])
        assert (far["shared"], near["shared"] > 0) == (0, True)
        x, y = near["points"][2 * near["shared"] : 2 * near["shared"] + 2]
        xs, ys = far["points"][::2], far["points"][1::2]
        assert any(x == a == b and top <= y <= low for a, b, top, low in zip(xs, xs[1:], ys, ys[1:], strict=False))

    @pytest.mark.parametrize("seed", [11, 12])
    def test_lines_meet_a_box_in_the_order_in_which_they_come(self, browser, tmp_path, seed) -> None:
        rng = random.Random(seed)
        edges = sorted({(rng.randrange(head), head) for head in range(1, 40) for _ in range(4)})
        with shown(browser, tmp_path, graph([operator() for _ in range(40)], edges)) as page:
            links = page.evaluate(SHAPES)["links"]
        met: dict[int, list[tuple[float, float]]] = {}
        for link in links:
            across = link["points"][::2]
            end = across[-1]
            met.setdefault(link["head"]["id"], []).append((next((x for x in across[::-1] if x != end), end), end))
        assert max(map(len, met.values())) == 4
        for ends in met.values():
            assert [end for _, end in sorted(ends)] == sorted(end for _, end in ends)

    def test_a_chain_is_straight_and_a_skip_runs_beside_it(self, browser, tmp_path) -> None:
        skip = graph([operator("Conv") for _ in range(5)], [(0, 1), (1, 2), (2, 3), (3, 4), (1, 4)])
        with shown(browser, tmp_path, skip) as page:
            shapes = page.evaluate(SHAPES)
        assert len({round(box["x"] + box["w"] / 2, 1) for box in shapes["boxes"]}) == 1
        straight = {
            tuple(link["edges"]): len({round(x, 1) for x in link["points"][::2]}) == 1 for link in shapes["links"]
        }
        assert straight == {(0,): True, (1,): True, (2,): True, (3,): True, (4,): False}

    def test_closed_groups_are_not_laid_out(self, browser, tmp_path) -> None:
        many = graph([operator(group=k // 100 + 1) for k in range(1000)], [(k, k + 1) for k in range(999)], [0] * 10)
        with shown(browser, tmp_path, many) as page:
            assert page.evaluate("[scene.expanded.size, scene.boxes.length, scene.layout.levels.size]") == [0, 10, 1]
            page.evaluate("scene.expand(3)")
            assert page.evaluate("[scene.boxes.length, scene.layout.levels.size]") == [110, 2]

    def test_parallel_edges_between_boxes_are_one_line(self, browser, tmp_path) -> None:
        double = graph([operator(group=1), operator(group=1), operator()], [(0, 2), (1, 2), (0, 1)], [0])
        with shown(browser, tmp_path, double) as page:
            page.evaluate("scene.collapseAll()")
            assert page.evaluate("scene.links.map(({ edges, label }) => [edges, label])") == [[[0, 1], "2 values"]]

    def test_thousands_of_boxes_side_by_side_with_far_lines(self, browser, tmp_path) -> None:
        edges = [(k, k + 1) for k in range(2999)] + [(k, 2999 - k) for k in range(0, 1400, 7)]
        with shown(browser, tmp_path, graph([operator() for _ in range(3000)], edges)) as page:
            assert page.evaluate("scene.boxes.length") == 3000
            assert page.evaluate("scene.links.length") == len(edges)
            widest = page.evaluate("Math.max(...scene.links.map(({ points }) => points.length))")
            assert widest < 50

    def test_many_open_groups_make_a_column(self, browser, tmp_path) -> None:
        nodes = [operator(group=k // 4 + 1) for k in range(32)]
        edges = [(k, k + 1) for k in range(31) if k % 4 != 1] + [(k, k + 2) for k in range(0, 32, 4)]
        with shown(browser, tmp_path, graph(nodes, edges, [0] * 8)) as page:
            page.evaluate("scene.expandAll()")
            frames = page.evaluate("scene.boxes.filter(({ frame }) => frame)")
        assert len(frames) == 8
        assert len({round(frame["x"] + frame["w"] / 2) for frame in frames}) == 1

    def test_many_results_of_one_place_stand_in_rows(self, browser, tmp_path) -> None:
        fan = graph([operator() for _ in range(101)], [(0, k) for k in range(1, 101)])
        with shown(browser, tmp_path, fan) as page:
            rows = page.evaluate("new Set(scene.boxes.map(({ y, h }) => Math.round(y + h / 2))).size")
        assert 5 < rows < 15

    def test_many_sources_of_one_box_stand_in_rows_inside_their_frame(self, browser, tmp_path) -> None:
        nodes = [operator(), *(operator(group=1) for _ in range(50)), operator()]
        edges = [*((k, 50) for k in range(1, 50)), (0, 50), (50, 51)]
        with shown(browser, tmp_path, graph(nodes, edges, [0])) as page:
            page.evaluate("scene.expand(1)")
            frame = page.evaluate("scene.byKey.get('g1')")
            inner = page.evaluate("scene.boxes.filter(({ depth }) => depth === 1)")
        assert len({round(box["y"] + box["h"] / 2) for box in inner}) > 4
        assert len(inner) == 50
        assert all(inside(box, frame) for box in inner)

    def test_very_many_values_share_a_port(self, browser, tmp_path) -> None:
        nodes = [operator(group=1) for _ in range(60)] + [operator() for _ in range(60)]
        with shown(browser, tmp_path, graph(nodes, [(k, k + 60) for k in range(60)], [0])) as page:
            page.evaluate("scene.expand(1)")
            ends = "scene.links.filter(({ tail, head }) => tail && !head).map(({ points }) => points.at(-2))"
            assert page.evaluate(f"new Set({ends}).size") == 1

    def test_hubs_of_very_many_lines_hold_nothing_up(self, browser, tmp_path) -> None:
        hubs = graph([operator() for _ in range(300)], [(k % 20, 20 + k % 280) for k in range(4000)])
        with shown(browser, tmp_path, hubs) as page:
            assert page.evaluate("scene.boxes.length") == 300

    def test_a_group_that_holds_nearly_everything_is_open(self, browser, tmp_path) -> None:
        nodes = [operator(group=1) for _ in range(100)] + [operator()]
        with shown(browser, tmp_path, graph(nodes, [(k, k + 1) for k in range(100)], [0])) as page:
            assert page.evaluate("[...scene.expanded]") == [1]


class TestScene:
    def test_the_outermost_groups_are_open_while_few_boxes_are_shown(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            assert page.evaluate("[...scene.expanded].sort()") == [1, 2, 3]

    def test_a_title_stays_where_it_was_clicked(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            before = page.evaluate("scene.screen(scene.byKey.get('g2'))")
            page.mouse.click(before["x"] + 20, before["y"] + 10)
            after = page.evaluate("scene.screen(scene.byKey.get('g2'))")
            assert page.evaluate("scene.byKey.get('g2').frame") is False
            assert (after["x"], after["y"]) == pytest.approx((before["x"], before["y"]), abs=0.5)
            page.mouse.dblclick(after["x"] + 20, after["y"] + 20)
            again = page.evaluate("scene.screen(scene.byKey.get('g2'))")
            assert page.evaluate("scene.byKey.get('g2').frame") is True
            assert (again["x"], again["y"]) == pytest.approx((before["x"], before["y"]), abs=0.5)

    def test_a_title_stays_in_view_and_can_be_clicked_there(self, browser, tmp_path) -> None:
        row = graph([operator(group=1) for _ in range(13)], [(0, k) for k in range(1, 13)], [0])
        with shown(browser, tmp_path, row) as page:
            page.evaluate("const { x, y } = scene.byKey.get('g1'); scene.moveTo({ x: -x - 500, y: 100 - y, k: 1 })")
            page.mouse.click(20, 110)
            assert page.evaluate("[...scene.expanded]") == []
            closed = page.evaluate("scene.screen(scene.byKey.get('g1'))")
            assert closed["x"] >= 0

    def test_a_click_selects_a_box_an_edge_or_nothing(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND) as page:
            page.evaluate("window.told = []; scene.addEventListener('select', ({ detail }) => told.push(detail.item))")
            box = page.evaluate("scene.screen(scene.byKey.get('n2'))")
            page.mouse.click(box["x"] + box["w"] / 2, box["y"] + box["h"] / 2)
            page.mouse.click(box["x"] + box["w"] / 2 + 2, box["y"] + box["h"] + 12)
            page.mouse.click(5, 795)
            assert page.evaluate("told") == [{"kind": "node", "id": 2}, {"kind": "edge", "id": 4}, None]

    def test_the_pointer_pans_and_the_wheel_zooms_where_it_is(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND) as page:
            start = page.evaluate("scene.transform")
            page.mouse.move(100, 500)
            page.mouse.down()
            page.mouse.move(160, 460, steps=3)
            page.mouse.up()
            moved = page.evaluate("scene.transform")
            assert (moved["x"] - start["x"], moved["y"] - start["y"]) == pytest.approx((60, -40))
            page.mouse.wheel(0, -200)
            page.wait_for_function(f"scene.transform.k > {moved['k']}")
            zoomed = page.evaluate("scene.transform")
            assert (160 - zoomed["x"]) / zoomed["k"] == pytest.approx((160 - moved["x"]) / moved["k"])
            assert (460 - zoomed["y"]) / zoomed["k"] == pytest.approx((460 - moved["y"]) / moved["k"])

    def test_a_view_set_by_program_is_where_the_pointer_goes_on(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND) as page:
            page.evaluate("scene.moveTo({ x: 11, y: 22, k: 0.5 })")
            page.mouse.move(100, 500)
            page.mouse.down()
            page.mouse.move(110, 500, steps=2)
            page.mouse.up()
            assert page.evaluate("scene.transform") == {"x": 21, "y": 22, "k": 0.5}

    def test_keys_lead_along_edges_and_to_siblings(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND) as page:
            walk = "(way, id) => scene.neighbour({ kind: 'node', id }, way)?.id ?? null"
            down = page.evaluate(f"({walk})('down', 0)")
            assert down in (1, 3)
            assert page.evaluate(f"({walk})('down', 2)") == 4
            assert page.evaluate(f"({walk})('up', 1)") == 0
            assert page.evaluate(f"({walk})('down', 4)") is None
            left_of_three = page.evaluate("scene.byKey.get('n1').x < scene.byKey.get('n3').x")
            assert page.evaluate(f"({walk})('{'left' if left_of_three else 'right'}', 3)") == 1

    def test_selecting_a_hidden_node_opens_what_holds_it(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            page.evaluate("scene.collapseAll()")
            assert page.evaluate("scene.box({ kind: 'node', id: 4 }).key") == "g2"
            page.evaluate("scene.select({ kind: 'node', id: 4 }, { centre: true })")
            assert page.evaluate("[...scene.expanded]") == [2]
            box = page.evaluate("scene.screen(scene.box({ kind: 'node', id: 4 }))")
            assert box["x"] + box["w"] / 2 == pytest.approx(500)
            assert box["y"] + box["h"] / 2 == pytest.approx(400)

    def test_a_highlight_fades_the_rest(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            page.evaluate("scene.collapse(3); scene.highlight({ nodes: new Set([0, 1, 6]) })")
            faded = page.evaluate(
                "scene.boxes.filter((box) => !box.frame && scene.looks.box(box).faded).map(({ key }) => key)"
            )
            assert faded == ["n2", "n3", "n4", "n5"]
            assert (
                page.evaluate(
                    "scene.links.map((link) => scene.looks.link(link)).filter((style) => style === 'path').length"
                )
                == 1
            )

    def test_the_minimap_moves_the_view(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            page.evaluate("scene.moveTo({ x: 0, y: 0, k: 2 })")
            page.mouse.click(1095, 690)
            middle = page.evaluate("[(500 - scene.transform.x) / 2, (400 - scene.transform.y) / 2]")
            bounds = page.evaluate("scene.bounds")
            assert middle[0] == pytest.approx((bounds["x0"] + bounds["x1"]) / 2, abs=8)
            assert middle[1] == pytest.approx((bounds["y0"] + bounds["y1"]) / 2, abs=8)

    def test_the_minimap_slides_along_a_long_graph(self, browser, tmp_path) -> None:
        chain = graph([operator() for _ in range(300)], [(k, k + 1) for k in range(299)])
        with shown(browser, tmp_path, chain) as page:
            fitted = page.evaluate("180 / (scene.bounds.y1 - scene.bounds.y0)")
            page.evaluate("new Promise(requestAnimationFrame)")
            assert page.evaluate("map.scale") > 2 * fitted
            for share in (0.9, 0.5):
                page.mouse.click(1095, 600 + 180 * share)
                middle = page.evaluate("(400 - scene.transform.y) / scene.transform.k - scene.bounds.y0")
                length = page.evaluate("scene.bounds.y1 - scene.bounds.y0")
                assert middle / length == pytest.approx(share, abs=0.01)

    def test_a_fine_screen_gets_fine_pixels(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, DIAMOND):
            context = browser.new_context(device_scale_factor=2)
            page = context.new_page()
            page.goto((tmp_path / "page.html").as_uri())
            page.wait_for_function("window.scene")
            assert page.evaluate("[scene.canvas.width, scene.canvas.clientWidth]") == [2000, 1000]
            context.close()


class TestLooks:
    def marks(self, scale: str) -> dict:
        marks = {"0": [1.0, "pass", []], "1": [2.0, "pass", []], "3": ["inf", "fail", []], "4": [None, "unknown", []]}
        return {"title": "T", "scale": scale, "unit": "", "note": "", "marks": marks}

    def test_groups_sum_amounts_and_tell_the_worst_share(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            value = """(overlay) => {
                scene.overlay(overlay);
                return [1, 2, 3].map((id) => scene.looks.valueOf({ kind: "group", id }).map(String));
            }"""
            assert page.evaluate(value, self.marks("linear")) == [
                ["3", "pass"],
                ["Infinity", "fail"],
                ["undefined", ""],
            ]
            assert page.evaluate(value, self.marks("bound")) == [["2", "pass"], ["Infinity", "fail"], ["undefined", ""]]

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_words_can_be_read_on_every_colour(self, browser, tmp_path, theme) -> None:
        every = graph([operator(family=k) for k in range(11)], [(k, k + 1) for k in range(10)])
        with shown(browser, tmp_path, every, theme=theme) as page:
            looks = page.evaluate("scene.boxes.map((box) => scene.looks.box(box))")
            assert len(looks) == 11
            assert min(contrast(look["fill"], look["text"]) for look in looks) >= 4.5
            for scale in ("linear", "log", "bound"):
                stops = page.evaluate(f"heatScale({self.marks(scale)!r}, '{theme}').stops".replace("None", "null"))
                on = page.evaluate(
                    "(colours) => colours.map((colour) => mixTextOn(colour))", [s["colour"] for s in stops]
                )
                assert min(contrast(s["colour"], text) for s, text in zip(stops, on, strict=True)) >= 4.5

    @pytest.mark.parametrize("theme", ["light", "dark"])
    def test_words_and_lines_can_be_seen_on_every_frame(self, browser, tmp_path, theme) -> None:
        with shown(browser, tmp_path, DIAMOND, theme=theme) as page:
            colours = page.evaluate("scene.looks.theme")
        for ground in (colours["page"], *colours["frames"], *colours["backward"]):
            assert min(contrast(colours[name], ground) for name in ("ink", "muted")) >= 4.5
            assert min(contrast(colours[name], ground) for name in ("line", "arrow", "accent", "producer")) >= 2.8

    def test_untranslated_operators_are_dashed(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, graph([operator(untranslated="no such operator"), operator()], [(0, 1)])) as page:
            assert page.evaluate("scene.boxes.map((box) => scene.looks.box(box).dashed)") == [True, False]

    def test_colours_of_a_function_reach_closed_groups(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            page.evaluate(
                "scene.collapseAll(); scene.colour((node) => (node < 3 ? '#aa3377' : node === 4 ? '#ccbb44' : null))"
            )
            looks = page.evaluate(
                "scene.boxes.map((box) => scene.looks.box(box)).map(({ fill, marks }) => [fill, marks])"
            )
            assert looks[0] == ["#aa3377", []]
            assert looks[1][1] == ["#ccbb44"]
            assert looks[2][1] == []


class TestExport:
    def test_svg_is_well_formed_whatever_the_names(self, browser, tmp_path) -> None:
        nodes = [
            operator(name, label=name, name=name, details=[name], outputs=[[name, name, name]]) for name in HOSTILE
        ]
        told = graph(nodes, [(k, k + 1) for k in range(5)], title=HOSTILE[0])
        told["nodes"].append({**operator(), "kind": "input", "label": HOSTILE[0], "dtype": "f", "shape": HOSTILE[1]})
        with shown(browser, tmp_path, told) as page:
            page.evaluate("scene.fit()")
            root = ET.fromstring(page.evaluate("scene.svg()"))
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
        assert {element.tag.rpartition("}")[2] for element in root.iter()} <= {
            "svg",
            "title",
            "defs",
            "g",
            "path",
            "rect",
            "text",
        }
        words = {element.text for element in root.iter() if element.tag.endswith("text")}
        assert "<script>alert(1)</script>" in words
        assert all(len(text or "") < 100 for text in words)

    def test_svg_shows_what_is_visible(self, browser, tmp_path) -> None:
        with shown(browser, tmp_path, BLOCKS) as page:
            page.evaluate("scene.collapseAll()")
            closed = page.evaluate("scene.svg()")
            page.evaluate("scene.expandAll()")
            opened = page.evaluate("scene.svg()")
        assert ("3 operators" in closed, ">Relu<" in closed) == (True, False)
        assert ("3 operators" in opened, ">Relu<" in opened) == (False, True)

    def test_png_has_the_size_that_was_asked_for(self, browser, tmp_path) -> None:
        read = """async () => {
            const bytes = new Uint8Array(await (await scene.png(2)).arrayBuffer());
            return btoa(String.fromCharCode(...bytes.slice(0, 24)));
        }"""
        with shown(browser, tmp_path, DIAMOND) as page:
            head = base64.b64decode(page.evaluate(read))
        assert head[:8] == b"\x89PNG\r\n\x1a\n"
        assert (int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")) == (2000, 1600)
