"""Export one of the test networks as a PyTorch program.

    python tools/export_network.py resnet18 resnet18.pt2 [--full]

Its images are small ones, as in tests; with ``--full`` they are as large as those of the original network. The batch is
free.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from networks import NETWORKS


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", choices=NETWORKS)
    parser.add_argument("target", metavar="TARGET.pt2")
    parser.add_argument("--full", action="store_true")
    given = parser.parse_args()
    network = NETWORKS[given.network]
    _, *shape = network.full if given.full else network.shape
    example = torch.randn((2, *shape), generator=torch.Generator().manual_seed(1))
    program = torch.export.export(
        network.module(), (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False
    )
    torch.export.save(program, given.target)
    print(f"{given.target}: {network.name}, input batch × {' × '.join(map(str, shape))}")


if __name__ == "__main__":
    main()
