"""Families of operators."""

from __future__ import annotations

import onnx
import pytest

from graphkit.ir.family import FAMILIES, family_of
from graphkit.ops.index import index


@pytest.mark.parametrize(
    ("op", "domain", "family"),
    [
        ("Conv", "", "convolution"),
        ("BatchNormalization", "ai.onnx", "normalisation"),
        ("Clip", "", "activation"),
        ("FusedConv", "com.microsoft", "convolution"),
        ("Normalizer", "ai.onnx.ml", "normalisation"),
        ("RotatedRoiAlign", "graphkit", "pooling"),
        ("Conv", "com.acme", "other"),
        ("Upsample", "onnx", "shape"),
        ("Convolution", "mxnet", "convolution"),
        ("flatten", "mxnet", "shape"),
        ("_contrib_AdaptiveAvgPooling2D", "mxnet", "pooling"),
        ("_rminus_scalar", "mxnet", "arithmetic"),
        ("broadcast_add", "mxnet", "arithmetic"),
        ("broadcast_to", "mxnet", "shape"),
        ("Custom", "mxnet", "other"),
        ("Nonsense", "", "other"),
    ],
)
def test_an_operator_has_a_family(op, domain, family):
    assert family_of(op, domain) == family


def test_an_operator_of_mxnet_has_the_family_of_what_it_is_read_as():
    read = {
        name: {family_of(op.onnx, op.domain) for op, _ in forms if op.onnx} for name, forms in index().by_mx.items()
    }
    wrong = {name: found for name, found in read.items() if len(found) == 1 and {family_of(name, "mxnet")} != found}
    assert wrong == {}


def test_every_family_has_an_onnx_operator():
    schemas = onnx.defs.get_all_schemas()
    assert {family_of(schema.name, schema.domain) for schema in schemas} == set(FAMILIES)


def test_only_operators_without_a_common_purpose_are_of_no_family():
    """A new ONNX operator shows up here, to be given a family or to join the list."""
    schemas = onnx.defs.get_all_schemas()
    other = {schema.name for schema in schemas if schema.domain == "" and family_of(schema.name) == "other"}
    quantised = {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear"}
    random = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
    signal = {"BlackmanWindow", "DFT", "HammingWindow", "HannWindow", "MelWeightMatrix", "STFT"}
    text = {"RegexFullMatch", "StringConcat", "StringNormalizer", "StringSplit", "TfIdfVectorizer"}
    assert other - quantised - random - signal - text == {"Dropout", "ImageDecoder", "NonMaxSuppression"}
