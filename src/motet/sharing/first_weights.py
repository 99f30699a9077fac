"""First weights of copies: every layer draws its own anew."""

from torch import nn

from motet.problems import InputError


def draw_first_weights(module: nn.Module) -> None:
    """Call ``reset_parameters`` of every submodule; frozen ones keep their weights.

    Raises:
        InputError: If a part that trains has parameters and no such method.
    """
    _draw(module, covered=False)


def _draw(module: nn.Module, *, covered: bool) -> None:
    if not any(parameter.requires_grad for parameter in module.parameters()):
        return
    # nn.MultiheadAttention and nn.Transformer have the second
    methods = (getattr(module, name, None) for name in ("reset_parameters", "_reset_parameters"))
    reset = next((method for method in methods if callable(method)), None)
    for child in module.children():
        _draw(child, covered=covered or reset is not None)
    if reset is not None:
        reset()
        return
    own = [name for name, _ in module.named_parameters(recurse=False)]
    if own and not covered:
        raise InputError(
            f"copies of the encoder need newly drawn weights, but {type(module).__name__} "
            f"has parameters ({', '.join(own)}) and no method `reset_parameters`; add one, or give "
            "for the encoder a function without arguments that builds it anew"
        )
