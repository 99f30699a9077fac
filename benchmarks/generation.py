"""What generating texts costs beside training on them, on one core.

Prints CPU seconds for a batch of 256 texts of 20 tokens, of 2,000: a training step, the losses
of an evaluation, and generating with 1 and 4 beams, which an untrained model does up to
``max_length``.
"""

import time
from collections.abc import Callable

import torch

import motet
from motet.encoders import LSTM

ROWS, LENGTH, VOCABULARY = 256, 20, 2_000


def seconds(function: Callable[[], object], times: int = 3) -> float:
    """Return CPU seconds per call, after one that does not count."""
    function()
    started = time.process_time()
    for _ in range(times):
        function()
    return (time.process_time() - started) / times


def measure(decoder: str, beams: int) -> str:
    """Measure one model."""
    torch.manual_seed(0)
    ids = torch.randint(1, 5_000, (ROWS, LENGTH))
    targets = {"text": torch.randint(2, VOCABULARY, (ROWS, LENGTH))}
    options = {"vocabulary_size": VOCABULARY, "max_length": LENGTH, "beams": beams}
    task = motet.tasks.create("generation", "text", decoder=decoder, **options)
    model = motet.MultiTaskModel(LSTM(5_000), [task])

    def step() -> None:
        raw = model(ids, targets=targets)
        model.losses(raw, targets)["text"].backward()
        model.zero_grad()

    trained = seconds(step)
    model.eval()
    with torch.inference_mode():
        forced = seconds(lambda: model(ids, targets=targets))
        free = seconds(lambda: model(ids))
    return (
        f"{decoder:<12} beams {beams}: training step {trained:.2f} s, losses {forced:.2f} s, "
        f"generating {free:.2f} s, {free / trained:.2f} of the step"
    )


def main() -> None:
    """Measure both decoders."""
    torch.set_num_threads(1)
    for decoder in ("gru", "transformer"):
        for beams in (1, 4):
            print(measure(decoder, beams))


if __name__ == "__main__":
    main()
