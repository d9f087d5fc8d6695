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
import time
import warnings
from collections import defaultdict
from itertools import product
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
QUALITY, SECONDS = ("auroc", "auprc"), ("fit", "score")
RATES = (0.01, 0.05, 0.1)
ENOUGH = 99  # rows that have to calibrate for a rate of 1 %
MAIN = "detector"
SPEED_TABLES = ("6_cardio", "12_fault", "30_satellite", "40_vowels", "27_PageBlocks", "35_SpamBase")


def of_pyod():
    """Return PyOD's detectors by name, as functions of a seed; none where it is not installed."""
    try:
        from pyod.models import auto_encoder, ecod, iforest, knn, pca, vae
    except ImportError as error:
        print(f"PyOD's detectors are left out: {error}")
        return {}
    return {
        "PyOD AutoEncoder": lambda seed: auto_encoder.AutoEncoder(verbose=0, random_state=seed),
        "PyOD VAE": lambda seed: vae.VAE(verbose=0, random_state=seed),
        "PyOD KNN": lambda seed: knn.KNN(method="mean", n_neighbors=5),
        "PyOD PCA": lambda seed: pca.PCA(random_state=seed),
        "PyOD IForest": lambda seed: iforest.IForest(random_state=seed),
        "PyOD ECOD": lambda seed: ecod.ECOD(),
    }


OF_SCIKIT_LEARN = {
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
    pattern = "ecg5000/ecg5000.npz" if options.only == "ecg" else "adbench/*.npz"
    for path in sorted(folder.glob(pattern)):
        if options.tables and path.stem not in options.tables:
            continue
        stored = np.load(path)
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
    of_pyod = hasattr(model, "decision_scores_")
    return model.decision_function(X) if of_pyod else -model.score_samples(X)


def alarms(model, train, normal):
    """Return the shares of unseen normal rows below p-values, and below quantiles of the fit's."""
    p, scores = model.p_values(normal), model.score_samples(normal)
    limits = np.quantile(model.score_samples(train), RATES)
    return {
        "calibrating": len(model.calibration_scores_),
        "conformal": [float((p <= rate).mean()) for rate in RATES],
        "training": [float((scores < limit).mean()) for limit in limits],
    }


def seconds(function, *arguments):
    started = time.perf_counter()
    result = function(*arguments)
    return time.perf_counter() - started, result


def run(model, train, test, y):
    """Fit a method and score rows with it.

    PyOD's PCA divides by variances of zero where columns depend on each other: where its scores
    are not finite, it is fitted again with as many components as the training rows have dimensions.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted, _ = seconds(model.fit, train)
        scored, scores = seconds(oddness, model, test)
        unknown = int((~np.isfinite(scores)).sum())
        if unknown:
            model.set_params(n_components=int(np.linalg.matrix_rank(train - train.mean(axis=0))))
            scores = np.nan_to_num(oddness(model.fit(train), test))
    found = {"fit": fitted, "score": scored, "unknown": unknown}
    found |= {"auroc": roc_auc_score(y, scores), "auprc": average_precision_score(y, scores)}
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
        for seed, setting in product(range(options.seeds), options.settings):
            train, test, outliers = split(X, y, setting, options.rows, seed)
            scaler = StandardScaler().fit(train)
            scaled = scaler.transform(train), scaler.transform(test)
            for method, make in methods.items():
                key = (name, setting, seed, method, options.rows)
                if key not in kept:
                    rows = (train, test) if method.endswith("raw") else scaled
                    kept[key] = run(make(seed), *rows, outliers)
                    if path:
                        with path.open("a") as file:
                            file.write(json.dumps([key, kept[key]]) + "\n")
                runs[name, setting, seed][method] = kept[key]
            tell(name, setting, seed, train, runs[name, setting, seed])
    return dict(runs)


def tell(name, setting, seed, train, found):
    figures = [f"{method} {each['auroc']:.3f}" for method, each in found.items()]
    print(f"{name} {setting} {seed}: {len(train)} x {train.shape[1]}", *figures, flush=True)
    for method, each in found.items():
        for message in each.get("warnings", []):
            print(f"    {method} warns: {message}")
        if each["unknown"]:
            print(f"    {method}: {each['unknown']} scores are not finite", flush=True)


def rank(method, found, others):
    """Return the rank of a method's AUROC among the peers', and of a peer's beside ours, too."""
    against = [other for other in others if other in found and other != method]
    if method in others and MAIN in found:
        against.append(MAIN)
    own, theirs = found[method]["auroc"], np.array([found[other]["auroc"] for other in against])
    return 1 + (theirs > own).sum() + (theirs == own).sum() / 2


def row(name, *cells):
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def head(*names):
    print()
    row(*names)
    row(*["---"] * len(names))


def report_quality(methods, runs, others):
    settings = sorted({setting for _, setting, _ in runs})
    heads = [f"{setting}: {what}" for setting in settings for what in ("AUROC", "AUPRC", "rank")]
    head("method", *heads, "mean AUROC", "mean AUPRC", "fit, s", "scoring, s")
    for method in methods:
        cells, means = [], []
        for setting in settings:
            some = [found for key, found in runs.items() if key[1] == setting]
            means.append([np.mean([each[method][what] for each in some]) for what in QUALITY])
            place = np.mean([rank(method, each, others) for each in some])
            cells += [*(f"{mean:.3f}" for mean in means[-1]), f"{place:.1f}"]
        fit, score = (np.median([each[method][w] for each in runs.values()]) for w in SECONDS)
        means = (f"{mean:.3f}" for mean in np.mean(means, axis=0))
        row(method, *cells, *means, f"{fit:.2f}", f"{score:.4f}")


def report_alarms(methods, runs):
    rates = [f"{rate:.0%}" for rate in RATES]
    heads = [f"1% where {ENOUGH} calibrate", *(f"training scores, {rate}" for rate in rates)]
    head("method", "setting", *rates, *heads)
    for method, setting in product(methods, sorted({setting for _, setting, _ in runs})):
        some = [found[method] for key, found in runs.items() if key[1] == setting]
        some = [found for found in some if "conformal" in found]
        if some:
            conformal, training = (
                [f"{share:.4f}" for share in np.mean([found[how] for found in some], axis=0)]
                for how in ("conformal", "training")
            )
            enough = [found["conformal"][0] for found in some if found["calibrating"] >= ENOUGH]
            at_one = f"{np.mean(enough):.4f} ({len(enough)} runs)" if enough else ""
            row(method, setting, *conformal, at_one, *training)


def speed_of_fits(options):
    """Compare fits of the detector with those of its estimator, by turns."""
    head("table", "rows × features", "estimator, s", "detector, s", "ratio", "epochs of both")
    options.tables, ratios = options.tables or SPEED_TABLES, []
    for name, X, y in tables(options):
        train, *_ = split(X, y, "normal", options.rows, 0)
        train, times, epochs = StandardScaler().fit_transform(train), [], []
        for seed in range(options.seeds):
            both = AutoEncoder(0.8, random_state=seed), OURS[MAIN](seed)
            times.append([seconds(model.fit, train)[0] for model in both])
            epochs.append(f"{both[0].n_iter_} {both[1].estimator_.n_iter_}")
        ratios.append(np.median([ours / own for own, ours in times]))
        own, ours = np.median(times, axis=0)
        shape = f"{len(train)} × {train.shape[1]}"
        row(name, shape, f"{own:.2f}", f"{ours:.2f}", f"{ratios[-1]:.2f}", ", ".join(epochs))
    print(f"Fits: median ratio {np.median(ratios):.3f}, largest {max(ratios):.3f}")


def speed_of_scores(n_rows=1_000_000, n_features=20, repeats=7):
    """Compare score_samples with transform of the same fit, by turns."""
    rng = np.random.default_rng(0)
    X = np.tanh(rng.normal(size=(n_rows, 5)) @ rng.normal(size=(5, n_features)))
    X += 0.1 * rng.normal(size=X.shape)
    model = OURS[MAIN](0).fit(X[:20_000])
    own, scaled = model.estimator_, X / model.scale_
    uses = (own.transform, scaled), (own.score_samples, scaled), (model.score_samples, X)
    times = np.array([[seconds(*use)[0] for use in uses] for _ in range(repeats)])
    medians, ratios = np.median(times, axis=0), np.median(times / times[:, :1], axis=0)
    print(f"Scores of {n_rows} rows of {n_features} features, medians of {repeats}:")
    names = "transform", "score_samples of the estimator", "score_samples of the detector"
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
    others = {**of_pyod(), **OF_SCIKIT_LEARN}
    methods = {**OURS, **(OF_CURVES if options.only == "ecg" else {}), **others}
    methods = {name: methods[name] for name in options.methods or methods}
    runs = all_runs(methods, options)
    report_quality(methods, runs, others)
    report_alarms(methods, runs)


if __name__ == "__main__":
    main()
