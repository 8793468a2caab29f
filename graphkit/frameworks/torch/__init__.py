"""PyTorch: exported programs, TorchScript archives and modules."""
