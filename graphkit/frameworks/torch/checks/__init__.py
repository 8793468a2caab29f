"""What a file of an exported program may hold for torch to read it.

torch evaluates parts of such files as Python: sizes with ``sympy.sympify``, conditions on sizes and names of values
in functions that it writes and executes, operators by looking them up from ``torch`` on, trees of arguments by
importing modules. Here all of them are held to what torch itself writes, before torch is handed anything.
"""
