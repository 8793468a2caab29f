"""ONNX files, ONNX Runtime and the ONNX reference evaluator."""
