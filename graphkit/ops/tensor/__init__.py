"""Shape, layout, indexing, selection and casting."""
