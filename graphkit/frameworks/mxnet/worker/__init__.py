"""MXNet in a process of its own: ``main.py`` is that process, ``client.py`` speaks to it."""
