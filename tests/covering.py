"""Rows of choices in which every two values that go together meet at least once."""

from itertools import combinations


def pairwise_covering(factors, possible=lambda row: True):
    """Choose rows greedily.

    Args:
        factors: The values of each factor, by name.
        possible: Whether some choices, a mapping of factors to values, go together.

    Returns:
        Rows, mappings with a value for each factor. Pairs that are in no possible row are left out.
    """
    known, names = {}, list(factors)

    def order(item):
        return names.index(item[0])

    def values(chosen):
        return {name: factors[name][place] for name, place in chosen.items()}

    def fits(row):
        key = tuple(sorted((name, repr(value)) for name, value in row.items()))
        if key not in known:
            known[key] = possible(row)
        return known[key]

    def best(name, chosen):
        """The value that meets most values anew, None if none fits."""

        def met(place):
            pairs = (tuple(sorted([(name, place), each], key=order)) for each in chosen.items())
            return sum(pair in missing for pair in pairs)

        places = sorted(range(len(factors[name])), key=met, reverse=True)
        return next((p for p in places if fits(values(chosen | {name: p}))), None)

    missing = {
        ((one, i), (other, j))
        for one, other in combinations(factors, 2)
        for i, first in enumerate(factors[one])
        for j, second in enumerate(factors[other])
        if fits({one: first, other: second})
    }
    rows = []
    while missing:
        pair = min(missing)
        chosen = dict(pair)
        for name in factors:
            if name not in chosen:
                place = best(name, chosen)
                if place is None:
                    break
                chosen[name] = place
        missing -= {tuple(sorted(each, key=order)) for each in combinations(chosen.items(), 2)}
        if len(chosen) == len(factors):
            rows.append(values({name: chosen[name] for name in factors}))
    return rows
