"""Gradients as ordinary ONNX graphs: reverse-mode differentiation of a canonical model."""
