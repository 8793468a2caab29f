"""Models whose names and texts would be code in the PyTorch source that is written of them."""

from __future__ import annotations

import ast

from attacks.catalogue import attack
from graphkit.frameworks.torch.source.identifiers import Names


@attack("A parameter called as another identifier that NFKC makes of it", "it gets a name of its own")
def test_a_name_that_normalizes_to_another():
    names = Names()
    made = [names.new(wanted) for wanted in ("weight", "ｗｅｉｇｈｔ", "self", "ｓｅｌｆ", "__ｉｍｐｏｒｔ__")]
    read = [node.id for node in ast.walk(ast.parse("\n".join(made))) if isinstance(node, ast.Name)]
    assert len(set(read)) == len(made)
    assert not {"self", "__import__"} & {*read}
