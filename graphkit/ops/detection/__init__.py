"""Operators on boxes and regions of images: suppression, anchors, regions of interest, sampling grids."""
