"""Cases in which each two values of different factors meet at least once."""

import random
from itertools import combinations


def covering(factors, fits, attempts=6):
    """Yield cases, one value for each factor, until each two values have met.

    Args:
        factors: Possible values by factor.
        fits: Whether a case is possible at all.
        attempts: How many cases with two values are tried before they count as never possible.
    """
    rng = random.Random(0)
    values = [(factor, value) for factor, each in factors.items() for value in each]
    left = {pair for pair in combinations(values, 2) if pair[0][0] != pair[1][0]}
    for pair in sorted(left, key=str):
        for attempt in range(attempts):
            if pair not in left:
                break
            case = dict(pair)
            for factor in rng.sample(sorted(set(factors) - set(case)), len(factors) - 2):
                known = list(case.items())
                gains = [_met(left, known, (factor, value)) for value in factors[factor]]
                best = [
                    v
                    for v, gain in zip(factors[factor], gains, strict=True)
                    if gain == max(gains) or attempt
                ]
                case[factor] = rng.choice(best)
            if fits(case):
                left -= _pairs_of(case, factors)
                yield case


def _met(left, known, new):
    return sum((old, new) in left or (new, old) in left for old in known)


def _pairs_of(case, factors):
    return set(combinations([(factor, case[factor]) for factor in factors], 2))
