"""Linear algebra: factors, inverses, determinants and parts of matrices."""
