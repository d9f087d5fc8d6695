"""How well does AutoEncoderOutlierDetector find outliers, and do its alarms keep their rate?

Every table of $SKAE_DATA/adbench, of each at most --rows rows, in two settings: "mixed", where
60 % of all rows train, outliers among them, and "normal", where 60 % of the normal rows do. All
other rows are scored. Rows are standardised by the training rows, but for methods called "raw".
Defaults only.

    python benchmarks/outliers.py [--tables 6_cardio 12_fault] [--methods KNN detector] [--seeds 3]
    python benchmarks/outliers.py --only ecg
    python benchmarks/outliers.py --only speed

With --file the runs are kept in a file, and those that it has already are not made again.
"""

import argparse
import json
import statistics
import time
import warnings
from collections import defaultdict
from pathlib import Path

import numpy as np
from sklearn.ensemble import IsolationForest
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.neighbors import LocalOutlierFactor
from sklearn.preprocessing import StandardScaler
from sklearn.svm import OneClassSVM

from skae import AutoEncoder, AutoEncoderOutlierDetector, VariationalAutoEncoder
from skae.datasets import data_folder

SETTINGS = ("mixed", "normal")
RATES = (0.01, 0.05, 0.1)
# The calibration rows that a rate of 1 % needs.
ENOUGH = 99
MAIN = "detector"
SPEED_TABLES = ("6_cardio", "12_fault", "30_satellite", "40_vowels", "27_PageBlocks", "35_SpamBase")


def of_pyod():
    """Return PyOD's detectors by name, as functions of a seed; none where it is not installed."""
    try:
        from pyod.models.auto_encoder import AutoEncoder as PyODAutoEncoder
        from pyod.models.ecod import ECOD
        from pyod.models.iforest import IForest
        from pyod.models.knn import KNN
        from pyod.models.pca import PCA
        from pyod.models.vae import VAE
    except ImportError as error:
        print(f"PyOD's detectors are left out: {error}")
        return {}
    return {
        "PyOD AutoEncoder": lambda seed: PyODAutoEncoder(verbose=0, random_state=seed),
        "PyOD VAE": lambda seed: VAE(verbose=0, random_state=seed),
        "PyOD KNN": lambda seed: KNN(method="mean", n_neighbors=5),
        "PyOD PCA": lambda seed: PCA(random_state=seed),
        "PyOD IForest": lambda seed: IForest(random_state=seed),
        "PyOD ECOD": lambda seed: ECOD(),
    }


def peers():
    return {
        **of_pyod(),
        "IsolationForest": lambda seed: IsolationForest(random_state=seed),
        "LocalOutlierFactor": lambda seed: LocalOutlierFactor(novelty=True),
        "OneClassSVM": lambda seed: OneClassSVM(),
    }


def detector(estimator=None, **parameters):
    """Return a function of a seed that makes a detector."""
    return lambda seed: AutoEncoderOutlierDetector(estimator, **parameters, random_state=seed)


OURS = {
    MAIN: detector(),
    "detector, raw": detector(),
    "n_estimators=3": detector(n_estimators=3),
    "refit=True": detector(refit=True),
    "variational": detector(VariationalAutoEncoder()),
    "error alone": lambda seed: AutoEncoder(0.8, random_state=seed),
}
OF_CURVES = {
    "standardize='auto', raw": detector(),
    "standardize=True, raw": detector(standardize=True),
    "standardize=False, raw": detector(standardize=False),
}


def tables(options):
    """Yield names, rows, and which of them are outliers."""
    folder = data_folder()
    if folder is None:
        raise SystemExit("There are no tables: set SKAE_DATA to a folder that has adbench/*.npz.")
    for path in (
        [folder / "ecg5000" / "ecg5000.npz"]
        if options.only == "ecg"
        else sorted((folder / "adbench").glob("*.npz"))
    ):
        if options.tables and path.stem not in options.tables:
            continue
        stored = np.load(path, allow_pickle=True)
        y = stored["y_anomaly" if options.only == "ecg" else "y"].astype(int)
        yield path.stem, stored["X"].astype(float), y


def split(X, y, setting, n_rows, seed):
    """Return training rows, other rows, and which of the others are outliers."""
    if len(X) > n_rows:
        X, _, y, _ = train_test_split(X, y, train_size=n_rows, stratify=y, random_state=seed)
    if setting == "mixed":
        train, test, _, y = train_test_split(X, y, train_size=0.6, stratify=y, random_state=seed)
        return train, test, y
    train, rest = train_test_split(X[y == 0], train_size=0.6, random_state=seed)
    return train, np.vstack([rest, X[y == 1]]), np.repeat([0, 1], [len(rest), y.sum()])


def oddness(model, X):
    """Return scores of rows; the higher, the odder."""
    if hasattr(model, "decision_scores_"):
        return model.decision_function(X)
    return -model.score_samples(X)


def alarms(model, train, normal):
    """Return shares of unseen normal rows that are alarms at each rate, in two ways.

    By p-values from validation rows, and by the quantile of the scores of all rows of the fit.
    """
    p, scores, seen = (
        model.p_values(normal),
        model.score_samples(normal),
        model.score_samples(train),
    )
    return {
        "calibrating": len(model.calibration_scores_),
        "conformal": [float((p <= rate).mean()) for rate in RATES],
        "training": [float((scores < np.quantile(seen, rate)).mean()) for rate in RATES],
    }


def run(model, train, test, y):
    """Fit a method and score rows with it.

    Where a peer's scores are not finite because columns do not vary in the training rows, it is fitted again
    without these columns.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        started = time.perf_counter()
        model.fit(train)
        fitted = time.perf_counter()
        scores = oddness(model, test)
        scored = time.perf_counter()
        unknown = int((~np.isfinite(scores)).sum())
        if unknown:
            varies = train.std(axis=0) > 0
            scores = np.nan_to_num(oddness(model.fit(train[:, varies]), test[:, varies]))
    found = {
        "auroc": roc_auc_score(y, scores),
        "auprc": average_precision_score(y, scores),
        "fit": fitted - started,
        "score": scored - fitted,
        "unknown": unknown,
    }
    if type(model) is AutoEncoderOutlierDetector:
        found |= alarms(model, train, test[y == 0])
        found["warnings"] = sorted({str(warning.message) for warning in caught})
    return found


def all_runs(methods, options):
    """Return what each method gave, by table, setting and seed."""
    path = Path(options.file) if options.file else None
    lines = path.read_text().splitlines() if path and path.exists() else []
    kept = {tuple(key): found for key, found in map(json.loads, lines)}
    runs = defaultdict(dict)
    for name, X, y in tables(options):
        for seed in range(options.seeds):
            for setting in options.settings:
                train, test, outliers = split(X, y, setting, options.rows, seed)
                scaler = StandardScaler().fit(train)
                scaled = scaler.transform(train), scaler.transform(test)
                for method, make in methods.items():
                    rows = (train, test) if method.endswith("raw") else scaled
                    key = (name, setting, seed, method, options.rows)
                    if key not in kept:
                        kept[key] = run(make(seed), *rows, outliers)
                        if path:
                            with path.open("a") as file:
                                file.write(json.dumps([key, kept[key]]) + "\n")
                    runs[name, setting, seed][method] = kept[key]
                tell(name, setting, seed, train, runs[name, setting, seed])
    return dict(runs)


def tell(name, setting, seed, train, found):
    figures = "  ".join(
        f"{method} {each['auroc']:.3f} {each['fit']:.1f} s" for method, each in found.items()
    )
    print(f"{name} {setting} {seed}: {len(train)} x {train.shape[1]}  {figures}", flush=True)
    for method, each in found.items():
        for message in each.get("warnings", []):
            print(f"    {method} warns: {message}", flush=True)
        if each["unknown"]:
            print(f"    {method}: {each['unknown']} scores are not finite", flush=True)


def rank(method, found, others):
    """Return the rank of a method's AUROC among those of the peers.

    A peer's is among the peers and the detector with its defaults.
    """
    against = [other for other in others if other in found and other != method]
    if method in others and MAIN in found:
        against.append(MAIN)
    own, theirs = found[method]["auroc"], np.array([found[other]["auroc"] for other in against])
    return 1 + (theirs > own).sum() + (theirs == own).sum() / 2


def report_quality(methods, runs, others):
    heads = [f"{setting}: {what}" for setting in SETTINGS for what in ("AUROC", "AUPRC", "rank")]
    print(
        "\n| method | " + " | ".join([*heads, "mean AUROC", "mean AUPRC", "fit, s", "scoring, s"])
    )
    print("|---" + "|---:" * (len(heads) + 4) + "|")
    for method in methods:
        cells, means = [], []
        for setting in SETTINGS:
            some = [found for key, found in runs.items() if key[1] == setting]
            if not some:
                cells += ["", "", ""]
                continue
            mean = [np.mean([found[method][what] for found in some]) for what in ("auroc", "auprc")]
            means.append(mean)
            place = np.mean([rank(method, found, others) for found in some])
            cells += [f"{mean[0]:.3f}", f"{mean[1]:.3f}", f"{place:.1f}"]
        cells += [f"{mean:.3f}" for mean in np.mean(means, axis=0)]
        for what, digits in (("fit", 2), ("score", 3)):
            median = statistics.median(found[method][what] for found in runs.values())
            cells.append(f"{median:.{digits}f}")
        print(f"| {method} | " + " | ".join(cells) + " |")


def report_alarms(methods, runs):
    heads = [f"{rate:.0%}" for rate in RATES]
    heads = [*heads, f"1%, {ENOUGH} calibrate", *(f"training rows, {head}" for head in heads)]
    print("\n| method | trained on | " + " | ".join(heads) + " |")
    print("|---|---" + "|---:" * len(heads) + "|")
    for method in methods:
        for setting in SETTINGS:
            some = [found[method] for key, found in runs.items() if key[1] == setting]
            some = [found for found in some if "conformal" in found]
            if not some:
                continue
            conformal, training = (
                np.mean([found[how] for found in some], axis=0) for how in ("conformal", "training")
            )
            enough = [found["conformal"][0] for found in some if found["calibrating"] >= ENOUGH]
            at_one = f"{np.mean(enough):.4f} ({len(enough)} runs)" if enough else ""
            cells = [*(f"{share:.4f}" for share in conformal), at_one]
            cells += [f"{share:.4f}" for share in training]
            print(f"| {method} | {setting} | " + " | ".join(cells) + " |")


def seconds(function, *arguments):
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def speed_of_fits(options):
    """Compare fits of the detector with those of its estimator, by turns."""
    print("| table | rows × features | estimator, s | detector, s | ratio | epochs of both |")
    print("|---|---|---:|---:|---:|---|")
    ratios = []
    options.tables = options.tables or SPEED_TABLES
    for name, X, y in tables(options):
        train, *_ = split(X, y, "normal", options.rows, 0)
        train, times, epochs = StandardScaler().fit_transform(train), [], []
        for seed in range(options.seeds):
            both = AutoEncoder(0.8, random_state=seed), OURS[MAIN](seed)
            times.append([seconds(model.fit, train)[0] for model in both])
            epochs.append(f"{both[0].n_iter_} {both[1].estimator_.n_iter_}")
        ratios.append(np.median([ours / own for own, ours in times]))
        own, ours = np.median(times, axis=0)
        print(
            f"| {name} | {len(train)} × {train.shape[1]} | {own:.2f} | {ours:.2f} | "
            f"{ratios[-1]:.2f} | {', '.join(epochs)} |",
            flush=True,
        )
    print(f"Fits: median ratio {np.median(ratios):.3f}, largest {max(ratios):.3f}")


def speed_of_scores(n_rows=1_000_000, n_features=20, repeats=7):
    """Compare score_samples with transform of the same fit, by turns."""
    rng = np.random.default_rng(0)
    codes = rng.normal(size=(n_rows, 5))
    X = np.tanh(codes @ rng.normal(size=(5, n_features))) + 0.1 * rng.normal(
        size=(n_rows, n_features)
    )
    model = detector()(0).fit(X[:20_000])
    scaled, times = X / model.scale_, []
    for _ in range(repeats):
        times.append(
            (
                seconds(model.estimator_.transform, scaled)[0],
                seconds(model.estimator_.score_samples, scaled)[0],
                seconds(model.score_samples, X)[0],
            )
        )
    times = np.array(times)
    medians, ratios = np.median(times, axis=0), np.median(times / times[:, :1], axis=0)
    names = "estimator_.transform", "estimator_.score_samples", "score_samples"
    print(f"Scores of {n_rows} rows of {n_features} features, medians of {repeats}:")
    for name, median, ratio in zip(names, medians, ratios, strict=True):
        print(f"    {name} {median:.2f} s, {ratio:.2f} times transform", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["ecg", "speed"])
    parser.add_argument("--tables", nargs="*", metavar="NAME")
    parser.add_argument("--methods", nargs="*", metavar="NAME")
    parser.add_argument("--settings", nargs="*", choices=SETTINGS, default=SETTINGS)
    parser.add_argument("--rows", type=int, default=3000, help="rows of a table at most")
    parser.add_argument("--seeds", type=int, default=1, help="splits and fits of each table")
    parser.add_argument("--file", help="keeps the runs")
    options = parser.parse_args()
    if options.only == "speed":
        speed_of_fits(options)
        speed_of_scores()
        return
    others = peers()
    ours = OURS if options.only != "ecg" else {**OURS, **OF_CURVES}
    methods = {
        name: make
        for name, make in {**ours, **others}.items()
        if options.methods is None or name in options.methods
    }
    runs = all_runs(methods, options)
    report_quality(methods, runs, others)
    report_alarms(methods, runs)


if __name__ == "__main__":
    main()
