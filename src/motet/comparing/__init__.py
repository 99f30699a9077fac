"""`motet.compare`: does sharing help, and by which method?

Single-task models, the config's own model, other balancers and sharing schemes and a tuned weighted
sum of the losses are trained on the same rows with several seeds. Whatever is chosen is chosen on
validation rows; test rows are read once, at the end.
"""

from motet.comparing.comparisons import compare
from motet.comparing.results import Comparison

__all__ = ["Comparison", "compare"]
