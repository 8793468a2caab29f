"""Operators on images as files hold them: height, width, channels."""
