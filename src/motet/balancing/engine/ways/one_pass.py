"""One pass: a loss balancer's total is differentiated as it is."""

from motet.balancing.engine.call import BackwardCall
from motet.balancing.engine.result import BackwardResult
from motet.balancing.engine.solving import loss_weights


def one_pass(call: BackwardCall) -> BackwardResult:
    """Minimise the total of a loss balancer; its weights are d total / d losses."""
    values = call.stacked()
    weights, total, status = loss_weights(call, values, through=True)
    named = dict(zip(call.tasks, weights.unbind(), strict=True))
    return call.result(weights=named, path="loss", status=status, combined=total)
