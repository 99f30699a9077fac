"""Packages that only some uses need: their import, and the error that names what installs them."""

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from motet.problems import InputError

EXTRA_OF = {
    "PIL": "image",
    "fastapi": "serve",
    "mlflow": "track",
    "onnx": "export",
    "onnxruntime": "export",
    "onnxscript": "export",
    "optuna": "tune",
    "peft": "adapters",
    "ray": "ray",
    "sklearn": "sklearn",
    "starlette": "serve",
    "tensorboard": "track",
    "timm": "timm",
    "tokenizers": "text",
    "transformers": "text",
    "uvicorn": "serve",
    "wandb": "track",
}
"""By the name that a package is imported by: the extra of motet that installs it."""
_NAMES = {"PIL": "Pillow", "sklearn": "scikit-learn"}


def imported(module: str, needed: str, *, option: str | None = None) -> Any:
    """Import a module of an optional package.

    Args:
        module: Its name, such as "PIL.Image".
        needed: What needs it, with the verb, such as "images need".
        option: The option that it is about, if there is one.

    Returns:
        The module.

    Raises:
        InputError: If the package is not installed.
        ModuleNotFoundError: If another one is lacking, which no extra installs.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package not in EXTRA_OF:
            raise
        raise InputError(not_installed(package, needed=needed), option=option) from None


def require(*packages: str, needed: str, option: str | None = None) -> None:
    """Check that packages of one extra are installed, without importing them; see `imported`.

    Raises:
        InputError: If one is not.
    """
    lacking = [each for each in packages if find_spec(each) is None]
    if lacking:
        raise InputError(not_installed(*lacking, needed=needed), option=option)


def not_installed(*packages: str, needed: str) -> str:
    """Return the message about packages of one extra that are not installed.

    Example:
        >>> print(not_installed("PIL", needed="images need"))
        images need Pillow, which is not installed: pip install "motet[image]"
    """
    names = ", ".join(_NAMES.get(each, each) for each in packages)
    verb = "is" if len(packages) == 1 else "are"
    extra = EXTRA_OF[packages[0]]
    return f'{needed} {names}, which {verb} not installed: pip install "motet[{extra}]"'
