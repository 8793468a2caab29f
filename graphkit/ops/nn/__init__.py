"""Convolution, pooling, normalisation, dropout and resampling."""
