"""How single faults that are planted in networks are found by verify and bisect, as a table.

    tools/faults [--form FORM …] [--fault FAULT …] [NETWORK …]    plant faults: every kind in every network that has a
                                                                  place for it, met in each form (tests/faulted.py)
    tools/faults --seeds 50 [NETWORK …]                           how often a sound network fails

A fault counts as caught if verify, with gradients (and a step of training, for faults that show in running statistics
alone), fails. Bisect names a node "alone", or nodes that are one operator of the source ("operator"), of which the
program that is the reference gives the result only; else it tells the node "first" of several, or "among" them. An
effect is the largest max|difference| / max|magnitude| of the outputs (of gradients or statistics where a fault shows in
these alone).
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "tests"))
from faulted import FORMS, NETWORKS, effect, form, source, spoilt
from faults import FAULTS

import graphkit
from graphkit.parity.bisect import bisect

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx_ir as ir

    from graphkit.parity.bisect import Bisection

NOTHING = 1e-12
"""Effects up to which a fault has none."""


def verified(name: str, model: ir.Model, kind: str, fault: str, dtype: str) -> graphkit.Report:
    steps = 1 if FAULTS[fault].shows == "statistics" else 0
    first, other, on = sides(name, model, kind, fault)
    return graphkit.verify(first, other, on=on, backward=differentiated(kind, fault), dtype=dtype, train_steps=steps)


def sides(name: str, model: ir.Model, kind: str, fault: str) -> tuple[ir.Model, ir.Model | None, list[str]]:
    if kind == "converted":
        return model, None, ["mxnet", "torch"]
    learns = FAULTS[fault].shows != "outputs" and kind in ("onnx", "renamed")  # ONNX Runtime does not
    return source(name), model, ["torch"] * learns


def differentiated(kind: str, fault: str) -> bool:
    return kind == "converted" or FAULTS[fault].shows == "gradients"


def named(found: Bisection, meant: frozenset[str]) -> tuple[str, str]:
    """How bisect told the node, the worst of all sides that differ, and what it told."""
    verdicts, told = [], []
    for finding in found.findings:
        if finding.first is None and not finding.suspects:
            continue
        suspects = [frozenset(node.name for node in suspect.nodes) for suspect in finding.suspects]
        pieces = {node.origin for suspect in finding.suspects for node in suspect.nodes}
        if not suspects:
            verdicts.append("none")
        elif all(each <= meant for each in suspects):
            verdicts.append("alone")
        elif len(suspects) == len(pieces) == 1 and suspects[0] & meant and "" not in pieces:
            verdicts.append("operator")
        elif suspects[0] <= meant:
            verdicts.append("first")
        else:
            verdicts.append("among" if any(each & meant for each in suspects) else "wrong")
        listed = [f"{suspect.direction}:{'+'.join(n.name for n in suspect.nodes)}" for suspect in finding.suspects]
        told.append(f"[{finding.side}] {', '.join(listed) or finding.note or 'nothing'}")
    order = ("wrong", "none", "among", "first", "operator", "alone")
    return min(verdicts, key=order.index) if verdicts else "none", "; ".join(told)


def rows(networks: list[str], kinds: list[str], forms: list[str]) -> Iterator[tuple[str, ...]]:
    for name in networks:
        for fault in kinds:
            planted = spoilt(name, fault)
            if planted is None:
                continue
            model, nodes = planted
            try:
                effects = effect(name, model)
            except graphkit.GraphkitError as error:
                yield name, fault, "-", nodes[0], "", "", "", "broken", "", str(error)
                continue
            size = effects[FAULTS[fault].shows]
            if size <= NOTHING:
                yield name, fault, "-", nodes[0], f"{size:.0e}", "", "", "no effect", "", ""
                continue
            for kind in forms:
                yield (name, fault, kind, nodes[0], f"{size:.0e}", *row(name, fault, kind, model, nodes, size))


def seen(report: graphkit.Report, size: float) -> str:
    """Whether a fault was caught, and if not, whether its effect is below the bound."""
    if not report.passed:
        return "yes"
    bound = max((check.tol for check in report.checks if check.kind == "output"), default=0.0)
    return "below" if size <= bound else "no"


def row(name: str, fault: str, kind: str, model: ir.Model, nodes: list[str], size: float) -> tuple[str, ...]:
    began = time.perf_counter()
    try:
        met, meant = form(model, kind, nodes)
    except graphkit.GraphkitError as error:
        return "", "", "not writable", "", str(error)
    try:
        reports = [verified(name, met, kind, fault, dtype) for dtype in ("float32", "float64")]
        caught = [seen(report, size) for report in reports]
        middle = time.perf_counter()
        first, other, on = sides(name, met, kind, fault)
        extra = {"train_steps": 1} if FAULTS[fault].shows == "statistics" else {}
        found = bisect(first, other, on=on, backward=differentiated(kind, fault), **extra)
    except graphkit.GraphkitError as error:
        return "error", "error", "error", "", str(error)
    except Exception:
        return "crash", "crash", "crash", "", traceback.format_exc().replace("\n", " | ")[-700:]
    verdict, told = named(found, meant)
    detail = "" if verdict == "alone" else f"meant {', '.join(sorted(meant))}; told {told}"
    return (*caught, verdict, f"{middle - began:.1f} {time.perf_counter() - middle:.1f}", detail)


def alarms(networks: list[str], seeds: int) -> int:
    """Print how often sound networks fail; the number of failures."""
    total = 0
    for name in networks:
        began = time.perf_counter()
        found = graphkit.verify(source(name), on=["torch", "mxnet", "ort"], backward=True, seeds=range(seeds))
        failed = [check for check in found.checks if check.verdict == "fail"]
        closest = max(check.error / check.tol for check in found.checks if check.tol)
        print(
            f"{name:12} {seeds} seeds, {len(failed)} of {len(found.checks)} tensors fail in some; the closest at "
            f"{closest:.0%} of its bound; {time.perf_counter() - began:.0f} s",
            flush=True,
        )
        for check in failed:
            print(f"    {check.what} of {check.right}, in {check.failures} seeds, first {check.sample}")
        total += len(failed)
    return total


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network", nargs="*", choices=[[], *NETWORKS])
    parser.add_argument("--form", action="append", choices=FORMS)
    parser.add_argument("--fault", action="append", choices=sorted(FAULTS))
    parser.add_argument("--seeds", type=int, default=0)
    given = parser.parse_args(arguments)
    networks = given.network or list(NETWORKS)
    warnings.simplefilter("ignore")
    if given.seeds:
        return alarms(networks, given.seeds)
    heads = ("network", "fault", "form", "node", "effect", "f32", "f64", "bisect", "seconds")
    widths = (11, 36, 9, 34, 6, 5, 5, 9, 9)
    print(" ".join(f"{head:{width}}" for head, width in zip(heads, widths, strict=True)))
    totals: Counter[tuple[str, str]] = Counter()
    for *cells, detail in rows(networks, given.fault or list(FAULTS), given.form or list(FORMS)):
        print(" ".join(f"{cell:{width}}" for cell, width in zip(cells, widths, strict=True)), flush=True)
        if detail:
            print(f"    {detail}", flush=True)
        totals.update({("float32", cells[5]): 1, ("float64", cells[6]): 1, ("bisect", cells[7]): 1})
    for (what, verdict), number in sorted(totals.items()):
        print(f"{what:8} {verdict or '-':12} {number}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
