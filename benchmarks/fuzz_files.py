"""Damaged and forged files: is each refused in words, or loaded as the same model?

    python benchmarks/fuzz_files.py [--damages 2000] [--forgeries 400]

Saves fitted estimators, then loads, again and again, a copy with a byte changed or its end missing,
and a copy whose document or arrays were changed and given the right sha256. Prints what came of
them, and by how much the peak of the process's memory rose. Whatever is neither refused by
ModelFileError nor loaded is a crash, and is printed; a loaded model may say by ValueError that
its numbers are too large for the rows. Needs Linux, whose files tell the peak.
"""

import argparse
import copy
import random
import sys
import tempfile
import time
import warnings
from collections import Counter
from pathlib import Path

import numpy as np
import torch
from torch.distributions import Independent, Normal

import skae
from skae._files.format import open_file, write_file

WRONG = [
    *(0, -1, 1, 3, 10**9, 10**18, 10**30, -(10**9), 0.5, 1e300, -1e-300, True, False, None),
    *("", "x", "auto", "pca", "relu", "\x00", "cuda:99999999999999999999", "é" * 1000),
    *([], [1], [[[]]], {}, {"x": 1}, [10**9], list(range(2000)), {"$tuple": [10**9]}),
    *({"$tuple": []}, {"$tuple": [3] * 3000}, {"$float": "nan"}, {"$float": "inf"}),
    *({"$array": "mean_"}, {"$array": "none"}, {"$scalar": ["int8", 5]}, {"$other": {}}),
    *({"$tensor": "mean_"}, {"$strings": ["a"]}, {"$random_state": {}}, {"$dict": {"$x": 1}}),
    *({"$other": {"part": "loss"}}, {"$other": {"activation": "PReLU"}}, {"$scalar": "bool"}),
    {"distribution": "Normal", "arguments": {"loc": 1, "scale": 2}},
]


def make_rows():
    """Return rows on a curved surface, a few values missing."""
    rng = np.random.default_rng(0)
    angle = rng.uniform(0, 3, size=(120, 1))
    X = np.cos(angle * np.arange(1, 9)) + rng.normal(0, 0.05, size=(120, 8))
    X[::7, 2] = np.nan
    return X


def make_models():
    """Return fitted estimators of which each has other things in its file."""
    X = make_rows()
    options = {"hidden_layer_sizes": (6,), "max_iter": 3, "random_state": 0, "batch_size": 32}
    prior = Independent(Normal(torch.zeros(2), torch.ones(2)), 1)
    adversarial = {"prior": prior, "discriminator_layer_sizes": (5,)}
    stream = skae.AutoEncoder(2, **options)
    for part in np.split(X, 3):
        stream.partial_fit(part)
    pixels = np.arange(8) - np.random.default_rng(1).uniform(0, 7, size=(300, 1))
    spots = np.exp(-np.square(pixels) / 4)
    spots[np.random.default_rng(2).random(spots.shape) < 0.3] = np.nan
    imputer = skae.AutoEncoderImputer(hidden_layer_sizes=(32,), random_state=0, add_indicator=True)
    if not imputer.fit(spots).best_iter_:
        raise RuntimeError("the imputer's network did not stay, so that its file has none")
    detector = skae.AutoEncoderOutlierDetector(skae.AutoEncoder(2, **options), n_estimators=2)
    return {
        "AutoEncoder, in parts": stream,
        "AdversarialAutoEncoder": skae.AdversarialAutoEncoder(2, **options, **adversarial).fit(X),
        "AutoEncoderImputer": imputer,
        "AutoEncoderOutlierDetector": detector.fit(X),
    }


def result_of(model, rows):
    """Return what a model makes of rows, as bytes."""
    use = getattr(model, "transform", None) or model.score_samples
    return use(rows).tobytes()


def damage(content, rng):
    """Return bytes of which one is changed, or of which the end is missing."""
    if rng.random() < 0.25:
        return content[: rng.randrange(len(content))]
    at = rng.randrange(len(content)) if rng.random() < 0.5 else rng.randrange(4000)
    at %= len(content)
    changed = content[at] ^ (1 << rng.randrange(8))
    return content[:at] + bytes([changed]) + content[at + 1 :]


def places_of(value, path=()):
    """Yield the way to every value of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, part in items:
        yield (*path, key)
        if isinstance(part, dict | list):
            yield from places_of(part, (*path, key))


def forge(document, places, rng):
    """Return a document of which one or two values are others, missing or new."""
    document = copy.deepcopy(document)
    for _ in range(rng.choice([1, 1, 2])):
        *way, last = rng.choice(places)
        parent = document
        try:
            for key in way:
                parent = parent[key]
            kind = rng.random()
            if kind < 0.75:
                parent[last] = copy.deepcopy(rng.choice(WRONG))
            elif kind < 0.9:
                del parent[last]
            elif isinstance(parent, dict):
                parent[rng.choice(["new", "note_", "__class__", "fit", "$x"])] = rng.choice(WRONG)
            else:
                parent.insert(0, rng.choice(WRONG))
        except (KeyError, IndexError, TypeError):  # gone by the first change
            continue
    return document


def forge_array(arrays, rng):
    """Return arrays of which one has other numbers, another format or another shape."""
    arrays, name = dict(arrays), rng.choice(sorted(arrays))
    array = arrays[name].copy()
    kind = rng.choice(["nan", "inf", "huge", "zero", "negative", "format", "shape"])
    if kind == "format":
        array = array.astype(rng.choice(["uint8", "float16", "float32", "float64", "int64"]))
    elif kind == "shape":
        array = np.zeros((*array.shape[:-1], rng.choice([0, 1, 2, 1000])), array.dtype)
    elif array.dtype.kind == "f" and array.size:
        largest = float(np.finfo(array.dtype).max)
        numbers = {"nan": np.nan, "inf": np.inf, "huge": largest, "zero": 0.0}
        which = ... if rng.random() < 0.5 else rng.randrange(array.size)
        flat = array.reshape(-1)
        flat[which] = numbers.get(kind, -1 - np.abs(flat[which]))
    arrays[name] = array
    return arrays


def outcome(path, expected, rows):
    """Load a file, and return what came of it."""
    try:
        model = skae.load(path)
    except skae.ModelFileError:
        return "refused"
    except Exception as error:
        return f"CRASH {type(error).__name__}: {str(error)[:200]}"
    try:
        return "identical" if result_of(model, rows) == expected else "another model"
    except ValueError:
        return "refused in use"
    except Exception as error:
        return f"CRASH IN USE {type(error).__name__}: {str(error)[:200]}"


def try_damages(path, model, rows, n, rng):
    """Return how often damaged copies of a model's file came to what."""
    expected, content = result_of(model, rows), path.read_bytes()
    found, bad = Counter(), path.with_name("damaged")
    for _ in range(n):
        bad.write_bytes(damage(content, rng))
        found[outcome(bad, expected, rows)] += 1
    return found


def try_forgeries(path, model, rows, n, rng):
    """Return how often copies with another document, and its sha256, came to what."""
    expected, bad = result_of(model, rows), path.with_name("forged")
    with open_file(path, "model") as stored:
        document, arrays = stored.document, stored.arrays()
    # Few places of the history, of which there are most.
    places = list(places_of(document))
    places = [p for p in places if not {"_history", "history"} & {*p} or rng.random() < 0.05]
    found = Counter()
    for _ in range(n):
        forged, others = document, arrays
        if rng.random() < 0.4:
            others = forge_array(arrays, rng)
        else:
            forged = forge(document, places, rng)
        write_file(bad, "model", forged, others)
        what = outcome(bad, expected, rows)
        if what.startswith("CRASH"):
            changed = [name for name in arrays if others[name] is not arrays[name]]
            print(what, differences(document, forged), changed, sep="\n  ")
        found[what] += 1
    return found


def differences(one, other, path=""):
    """Return where two documents differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        return [
            d
            for k in {**one, **other}
            if one.get(k, "no") != other.get(k, "no")
            for d in differences(one.get(k, "no"), other.get(k, "no"), f"{path}.{k}")
        ]
    return [f"{path}: {str(one)[:60]} -> {str(other)[:60]}"]


def memory_now():
    """Return this process's memory in MB, and let its peak begin there."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak()


def peak():
    """Return the peak of this process's memory in MB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--damages", type=int, default=2000)
    parser.add_argument("--forgeries", type=int, default=400)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    rows, rng = make_rows(), random.Random(args.seed)
    crashed = False
    with tempfile.TemporaryDirectory() as folder:
        for name, model in make_models().items():
            path = Path(folder, "model.safetensors")
            model.save(path)
            result_of(skae.load(path), rows)
            before, start = memory_now(), time.perf_counter()
            for what, attempt, n in (
                ("damaged", try_damages, args.damages),
                ("forged", try_forgeries, args.forgeries),
            ):
                found = attempt(path, model, rows, n, rng)
                crashed |= any(key.startswith("CRASH") for key in found)
                print(f"{name}, {path.stat().st_size:,} bytes, {what}: {dict(found)}")
            seconds = time.perf_counter() - start
            print(f"  {seconds:.0f} s, peak of memory {peak() - before:.0f} MB higher")
    sys.exit(crashed)


if __name__ == "__main__":
    main()
