"""Exported programs (``x.pt2``), read without PyTorch, to be looked at.

The file is a zip archive of a serialised graph (JSON) and of tensors, in one of the layouts of :mod:`.layouts`.
:mod:`.schema` reads the graph of any age, :mod:`.stored` the tensors, which stay in the file, :mod:`.pickles` those of
old files without running what a pickle may ask for. :mod:`.graph` builds the model: ATen operators become those of ONNX
by the rows of :mod:`graphkit.frameworks.torch.aten`, which conversion uses too, and by those of :mod:`.operators` in
place of torch.onnx. What has no row stays PyTorch's.
"""
