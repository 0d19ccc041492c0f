"""The program in a golden pack that checks the answers of a port."""

from __future__ import annotations

PORT_CHECK = '''"""python check.py MINE.npy [TOLERANCE]: your values for inputs.npy against the expected."""
import sys
import numpy as np
expected, mine = np.load("values.npy"), np.load(sys.argv[1])
tolerance = float(sys.argv[2]) if len(sys.argv) > 2 else 1e-3
assert mine.shape == expected.shape, f"expected shape {expected.shape}, got {mine.shape}"
difference = (np.abs(mine - expected) / np.maximum(np.abs(expected).max(0), 1e-12)).max()
print(f"largest difference {difference:.2g} of the largest value")
sys.exit(0 if difference <= tolerance else 1)
'''
