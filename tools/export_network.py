"""Export one of the test networks as a PyTorch program: ``python tools/export_network.py resnet18 resnet18.pt2``."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from networks import NETWORKS


def main(name: str, target: str) -> None:
    network = NETWORKS[name]
    program = torch.export.export(
        network.module(), (network.inputs(2),), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False
    )
    torch.export.save(program, target)
    print(f"{target}: {name}, input {tuple(network.shape)}, batch free")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in NETWORKS:
        sys.exit(f"usage: export_network.py NETWORK TARGET.pt2, with a network of: {', '.join(NETWORKS)}")
    main(sys.argv[1], sys.argv[2])
