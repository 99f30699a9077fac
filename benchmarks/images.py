"""What images cost before the model sees them, compared with a hand-written PyTorch DataLoader.

Generated photos (JPEG files) and small pictures (PNG files), read, resized, moved, mirrored and
normalised: by the input `image` of motet, and by a Dataset with Pillow in a DataLoader without
worker processes, in turn in one process. A pass is an epoch of training batches. Prints the time of
a pass of each and the ratio, pair by pair: photos that are decoded in every epoch, small pictures
that are, and small pictures that fit into the memory, where the DataLoader holds arrays as well.

Time is that of all threads of the process together (`time.process_time`), so that it measures the
work and not who shares the machine; with ``--wall`` it is that of the clock, for which the
DataLoader has ``--workers`` processes and motet as many threads.

    OMP_NUM_THREADS=1 python benchmarks/images.py [--photos 200] [--small 2000] [--pairs 5] [--wall]
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import torch
from interleaved import compare
from PIL import Image as Pictures
from torch.utils.data import DataLoader, Dataset

from motet.data.arrays import ArrayData
from motet.data.inputs.image import Image

MEAN, STD, BATCH = (0.5, 0.5, 0.5), (0.25, 0.25, 0.25), 32


class ByHand(Dataset):
    """What most would write: one image at a time, with Pillow and torch."""

    def __init__(self, paths, size, crop, held):
        self.paths, self.size, self.crop = paths, size, crop
        self.held = [self.read(path) for path in paths] if held else None

    def __len__(self):
        return len(self.paths)

    def read(self, path):
        with Pictures.open(path) as image:
            shown = image.convert("RGB")
            if shown.size != self.size[::-1]:
                shown = shown.resize(self.size[::-1], Pictures.Resampling.BILINEAR)
            return np.asarray(shown)

    def __getitem__(self, row):
        pixels = self.read(self.paths[row]) if self.held is None else self.held[row]
        image = torch.from_numpy(pixels.copy()).permute(2, 0, 1).float().div_(255)
        if self.crop:
            image = torch.nn.functional.pad(image, [self.crop] * 4)
            down, right = torch.randint(0, 2 * self.crop + 1, (2,)).tolist()
            image = image[:, down : down + self.size[0], right : right + self.size[1]]
        if torch.rand(()) < 0.5:
            image = image.flip(-1)
        return (image - torch.tensor(MEAN)[:, None, None]) / torch.tensor(STD)[:, None, None], row


def draw(folder, count, side, suffix):
    """Draw images that compress about as photos do: smooth colours and some noise."""
    rng, paths = np.random.default_rng(0), []
    for number in range(count):
        smooth = Pictures.fromarray(rng.integers(0, 256, (6, 8, 3), np.uint8))
        image = np.asarray(smooth.resize((side * 4 // 3, side), Pictures.Resampling.BICUBIC))
        noisy = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        paths.append(folder / f"{side}-{number}{suffix}")
        Pictures.fromarray(noisy).save(paths[-1])
    return paths


def measure(what, paths, size, crop, options, cache, workers):
    table = pa.table({"image": list(map(str, paths))})
    processes = workers if options.wall else 0
    made = Image(
        "image",
        size=size,
        mean=MEAN,
        std=STD,
        cache=cache,
        workers=workers,
        augmentation={"horizontal_flip": 0.5, **({"random_crop": crop} if crop else {})},
    )
    made.observe(table)
    made.finish()
    rows = torch.arange(len(paths))
    data = ArrayData({"image": made.apply(table)[0]}, {"a": rows})
    by_hand = ByHand(paths, size, crop, held=cache > 0)

    def passes(pair):
        def motet():
            for batch in data.epoch(BATCH, seed=0, number=pair):
                assert batch.inputs["image"]["pixels"].shape[1:] == (3, *size)

        def hand_written():
            loader = DataLoader(by_hand, BATCH, shuffle=True, num_workers=processes)
            for pixels, _ in loader:
                assert pixels.shape[1:] == (3, *size)

        return {"motet": motet, "DataLoader": hand_written}

    clock = time.perf_counter if options.wall else time.process_time
    compare(f"{what}: {len(paths):,} images", options.pairs, passes, clock)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--small", type=int, default=2000)
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--wall", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        photos = draw(folder, options.photos, 384, ".jpg")
        small = draw(folder, options.small, 32, ".png")
        workers = options.workers
        measure("photos, decoded", photos, (112, 112), 0, options, 0.0, workers)
        measure("small pictures, decoded", small, (32, 32), 4, options, 0.0, workers)
        measure("small pictures, in memory", small, (32, 32), 4, options, 1.0, workers)


if __name__ == "__main__":
    main()
