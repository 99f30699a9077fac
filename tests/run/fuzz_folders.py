"""Random damage to run folders: bits, ends and whole files, and JSON that is valid but wrong."""

import hashlib
import json
import random
import shutil

from safetensors.torch import load_file, save_file

from motet.training.checkpoint import read_checkpoint, write_checkpoint

ODD = [
    *(None, True, 0, -1, 1, 2, 7, 10**6, 10**12, 10**30, 0.5, 1e300, -1e-300),
    *("", "a", "mlp", "number", "../..", "/etc/passwd", "x" * 5000, "\0", "é"),
    *([], [1], ["a", "b"], [[1.0]], [None], {}, {"a": 1}, {"type": "mlp"}, [0] * 1000),
]


def places(content, key=()):
    """Every path to a value of nested mappings and lists."""
    if isinstance(content, (dict, list)):
        for name, value in content.items() if isinstance(content, dict) else enumerate(content):
            yield (*key, name)
            yield from places(value, (*key, name))


def change_value(content, rng):
    """Replace, remove, copy or rename one value of JSON."""
    known = list(places(content))
    if not known:
        return
    *outer, name = rng.choice(known)
    here = content
    for part in outer:
        here = here[part]
    edit = rng.choice(["odd", "odd", "near", "near", "remove", "copy", "rename"])
    if edit == "odd":
        here[name] = rng.choice(ODD)
    elif edit == "near" and isinstance(here[name], (int, float)):
        here[name] = here[name] * rng.choice([-1, 0, 2, 1000]) + rng.choice([0, 1])
    elif edit == "copy":
        there = content
        for part in rng.choice(known):
            there = there[part]
        here[name] = json.loads(json.dumps(there))
    elif edit == "rename" and isinstance(here, dict):
        here[name + "x"] = here.pop(name)
    else:
        del here[name]


def bits(path, rng, folder):
    content = bytearray(path.read_bytes())
    for _ in range(rng.choice([1, 1, 3, 100])):
        if content:
            content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    path.write_bytes(content)


def cut(path, rng, folder):
    content = path.read_bytes()
    path.write_bytes(content[: rng.choice([0, 1, 8, rng.randrange(len(content) + 1)])])


def garbage(path, rng, folder):
    content = path.read_bytes()
    start = rng.randrange(len(content) + 1)
    path.write_bytes(content[:start] + rng.randbytes(rng.choice([1, 8, 300])) + content[start:])


def nothing(path, rng, folder):
    path.unlink()


def directory(path, rng, folder):
    path.unlink()
    path.mkdir()


def swap(path, rng, folder):
    others = (each for each in folder.rglob("*") if each.is_file() and each != path)
    shutil.copy(rng.choice(sorted(others)), path)


def nested(path, rng, folder):
    path.write_text("[" * 100_000 if rng.random() < 0.5 else '{"a":' * 100_000)


def valid_json(path, rng, folder):
    """Change values of a JSON file, and seal it again as motet would."""
    content = json.loads(path.read_text())
    content.pop("digest", None)
    for _ in range(rng.choice([1, 1, 2, 5])):
        change_value(content, rng)
    path.write_text(json.dumps(content))
    reseal(folder)


def reseal(folder):
    """Give the settings of a model, and the environment, the digests of what is there."""
    for name in ("model/config.json", "environment.json"):
        path = folder / name
        if not path.is_file():
            continue
        content = json.loads(path.read_text())
        content.pop("digest", None)
        for file in content.get("files", {}) if isinstance(content.get("files", {}), dict) else ():
            each = path.parent / file
            if each.is_file() and each.is_relative_to(folder) and ".." not in file:
                content["files"][file] = hashlib.sha256(each.read_bytes()).hexdigest()
        text = json.dumps(content, sort_keys=True)
        content["digest"] = hashlib.sha256(text.encode()).hexdigest()
        path.write_text(json.dumps(content))


def change_tensor(tensors, rng):
    if not tensors:
        return
    name = rng.choice(sorted(tensors))
    edit = rng.choice(["remove", "rename", "shape", "type", "nan"])
    tensor = tensors.pop(name)
    if edit == "rename":
        tensors[name + "x"] = tensor
    elif edit == "shape":
        tensors[name] = tensor.reshape(-1).repeat(2)
    elif edit == "type":
        tensors[name] = tensor.to(rng.choice(["int64", "float16", "bool"]) and tensor.dtype).bool()
    elif edit == "nan" and tensor.is_floating_point():
        tensors[name] = tensor * float("nan")


def valid_tensors(path, rng, folder):
    """Change a tensor of a model, and seal the folder again."""
    tensors = load_file(path)
    change_tensor(tensors, rng)
    save_file(tensors, path)
    reseal(folder)


def large_claim(path, rng, folder):
    """Let the header of a safetensors file claim more than there is."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name = rng.choice([each for each in header if each != "__metadata__"])
    header[name]["shape"] = rng.choice([[10**12], [2**62, 4], [0, 2**40], [-1], [1.5], "x", []])
    if rng.random() < 0.5:
        header[name]["data_offsets"] = rng.choice([[0, 10**12], [2**63, 2**64], [5, 1], [0]])
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    reseal(folder)


def valid_checkpoint(path, rng, folder):
    """Change the header or a tensor of a checkpoint, with a right checksum."""
    tensors, header = read_checkpoint(path)
    if rng.random() < 0.3:
        change_tensor(tensors, rng)
    else:
        change_value(header, rng)
    write_checkpoint(path, {n: each.clone() for n, each in tensors.items()}, header)


ANY = [bits, bits, cut, garbage, nothing, directory, swap, nested]


def damage(folder, rng):
    """Damage one file of a run folder.

    Returns:
        What was done, for a message.
    """
    files = sorted(each for each in folder.rglob("*") if each.is_file())
    files += [folder / "model" / name for name in ("config.json", "preprocessing.json")] * 3
    path = rng.choice([each for each in files if each.is_file()])
    edits = list(ANY)
    if path.suffix == ".json":
        edits += [valid_json] * 12
    elif path.name.startswith("step-"):
        edits += [valid_checkpoint] * 8 + [large_claim]
    elif path.suffix == ".safetensors":
        edits += [valid_tensors] * 4 + [large_claim] * 2
    edit = rng.choice(edits)
    edit(path, rng, folder)
    return f"{edit.__name__} of {path.relative_to(folder)}"


def generator(case):
    """The random numbers of a case."""
    return random.Random(case)
