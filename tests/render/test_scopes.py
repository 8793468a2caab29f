"""Groups of nodes that may become a frame or a box."""

from __future__ import annotations

from graphkit.render.scopes import Reach


def test_connected_nodes_are_one_group():
    assert Reach(4, [(0, 1), (1, 2), (2, 3)]).closed_groups([1, 2]) == [[1, 2]]


def test_nodes_with_others_between_them_are_apart():
    assert Reach(3, [(0, 1), (1, 2)]).closed_groups([0, 2]) == [[0], [2]]


def test_parallel_branches_are_one_group():
    assert Reach(4, [(0, 1), (0, 2), (1, 3), (2, 3)]).closed_groups([1, 2]) == [[1, 2]]


def test_connected_nodes_are_split_where_a_path_leaves_and_returns():
    """0 → 2 directly, and 0 → 1 → 2 through a node of another module."""
    assert Reach(3, [(0, 1), (1, 2), (0, 2)]).closed_groups([0, 2]) == [[0], [2]]


def test_a_node_that_would_open_a_group_stays_outside():
    """1 feeds something foreign that 2 reads."""
    edges = [(0, 2), (1, 3), (3, 2)]
    assert Reach(4, edges).closed_groups([0, 1, 2]) == [[0, 2], [1]]


def test_a_cycle_is_one_place():
    assert Reach(3, [(0, 1), (1, 0), (1, 2)]).closed_groups([0, 2]) == [[0], [2]]


def test_nothing_has_no_groups():
    assert Reach(0, []).closed_groups([]) == []
