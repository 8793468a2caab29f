"""Rooms of operators on signals: transforms, windows and filters of spectra."""
