"""The program in a golden pack that checks the answers of a port."""

from __future__ import annotations

PORT_CHECK = '''"""python check.py MINE.npy [TOLERANCE]: your probabilities for inputs.npy against the expected."""
import sys
import numpy as np
expected, mine = np.load("probabilities.npy"), np.load(sys.argv[1])
tolerance = float(sys.argv[2]) if len(sys.argv) > 2 else 1e-3
assert mine.shape == expected.shape, f"expected shape {expected.shape}, got {mine.shape}"
difference = np.abs(mine - expected).max()
labels = (mine.argmax(1) == expected.argmax(1)).sum()
print(f"largest difference {difference:.2g}, {labels} of {len(expected)} labels the same")
sys.exit(0 if difference <= tolerance and labels == len(expected) else 1)
'''
