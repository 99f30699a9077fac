"""The T x T problems behind the Gramian balancers, in NumPy float64; pure functions of G = J Jᵀ.

    min_norm_point         min wᵀGw on the simplex                    MGDA
    project_on_dual_cone   min vᵀGv over v ≥ u, many u at once        UPGrad, DualProj
    conflict_averse        max min g_k·d with ‖d - g₀‖ ≤ c‖g₀‖        CAGrad
    fair_weights           (Gw)_k = w_k^(-1/α), w > 0                 Nash, FairGrad
    given_cosines          pseudo-inverse of the cosines              IMTL-G, ConFIG
    aligned                VΛ^(-½)Vᵀ                                  Aligned-MTL
    project_on_simplex     min ‖w - v‖ on the simplex                 MoCo

All thresholds are relative, so gradients of size 1e-8 and 1e8 are solved alike. Those that may
fail return a `Solution`: weights, a relative residual of the optimality conditions, and a status.
NaN in gives NaN out. Most solves take 0.03 to 0.6 ms up to T = 32 (``benchmarks/solvers.py``).
"""

from motet.balancing.solvers.cones import min_norm_point, project_on_dual_cone
from motet.balancing.solvers.conflict_averse import conflict_averse
from motet.balancing.solvers.fair import fair_weights
from motet.balancing.solvers.simplex import project_on_simplex
from motet.balancing.solvers.solution import OK, Array, Solution
from motet.balancing.solvers.spectral import aligned, given_cosines

__all__ = [
    "OK",
    "Array",
    "Solution",
    "aligned",
    "conflict_averse",
    "fair_weights",
    "given_cosines",
    "min_norm_point",
    "project_on_dual_cone",
    "project_on_simplex",
]
