"""Trees ("pytrees"): nested dicts, lists, tuples, namedtuples and dataclasses of arrays.

    flatten   : tree -> ([leaf], structure)
    unflatten : structure -> [leaf] -> tree
    map       : (leaf -> leaf) -> tree -> tree
    items     : tree -> [(path, leaf)]
    ravel     : tree -> (vector, vector -> tree)

Anything that is no container is a leaf: arrays, numbers, and also strings, None and functions.

>>> import numpy as np, tinygrad_digits as td
>>> td.tree.map(np.shape, {"w": np.zeros((2, 3)), "layers": [np.zeros(2), 1.0]})
{'w': (2, 3), 'layers': [(2,), ()]}
"""

from .support.tree import Tree, flatten, items, map, ravel, unflatten

__all__ = ["Tree", "flatten", "items", "map", "ravel", "unflatten"]
