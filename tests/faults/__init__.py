"""Single faults to plant in a canonical model, each at a node of which the name is told.

A fault takes the model and a random generator, spoils the model in place, and gives the names of the nodes that count
as spoilt: the one whose operator, attributes, inputs or weights are wrong, where a node is missing the nodes that read
what it would have given, and where a weight is wrong the nodes between it and the data. It gives None where the model
has no place for it.
"""

from faults import attributes, inputs, structure, weights  # noqa: F401  # being imported is being listed
from faults.planting import FAULTS, Fault

__all__ = ["FAULTS", "Fault"]
