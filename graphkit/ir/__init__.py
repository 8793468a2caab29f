"""What a graph is: onnx_ir.Model in one canonical form, and what graphkit notes on it."""
