"""What skae promises of every estimator beyond scikit-learn's contract.

All checks of what a fit does run on fits that left PCA: at PCA every network is at zero, and
whatever goes wrong in it changes nothing. The tests of the checks, at the end, show that they
notice damage.
"""

import copy
import pickle
import pickletools
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, product

import numpy as np
import pytest
import skops.io
import torch
from estimators import (
    ESTIMATORS,
    ON_PRINCIPAL_AXES,
    SHORT,
    SOME,
    WITH_PRIOR,
    fit_trained,
    let_rows_depend_on_each_other,
    make_spots,
    scramble,
    trained_variants,
    trains,
)
from sklearn.base import clone

from skae import VariationalAutoEncoder
from skae.base import BaseAutoEncoder

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
every_variant = pytest.mark.parametrize("estimator", list(trained_variants()), ids=repr)

# -- checks of a fitted model and of the rows it was fitted to -----------------------------------


def check_same_seed_gives_the_same_bits(model, X):
    again = fit_trained(model, X)
    assert again.loss_curve_ == model.loss_curve_
    check_same_bits(again, model, X)


def check_same_bits(other, model, X):
    codes = model.transform(X)
    np.testing.assert_array_equal(other.transform(X), codes)
    np.testing.assert_array_equal(other.inverse_transform(codes), model.inverse_transform(codes))
    np.testing.assert_array_equal(other.score_samples(X), model.score_samples(X))
    assert other.score(X) == model.score(X)


def check_codes_are_centred_uncorrelated_and_ordered(model, X):
    codes = model.transform(X).astype(float)
    covariance = np.cov(codes.T).reshape(codes.shape[1], -1)
    variances = np.diag(covariance)
    scale = np.sqrt(np.outer(variances, variances))
    if isinstance(model, ON_PRINCIPAL_AXES):  # others keep their own, and are ordered
        np.testing.assert_allclose(codes.mean(axis=0) / np.sqrt(variances), 0, atol=1e-4)
        np.testing.assert_allclose(covariance / scale, np.eye(len(scale)), atol=1e-4)
    if model.whiten:
        np.testing.assert_allclose(variances, 1, rtol=1e-4)
    else:
        assert (np.diff(variances) <= 1e-6 * variances[0]).all()


def check_noise_variance_is_what_reconstructions_leave(model, X):
    X_hat = model.inverse_transform(model.transform(X)).astype(float)
    n_left = (len(X) - 1) * (min(X.shape) - model.n_components_)
    np.testing.assert_allclose(model.noise_variance_, ((X - X_hat) ** 2).sum() / n_left, rtol=1e-4)


def check_the_frame_of_the_codes_changes_no_reconstruction(model, X):
    X_hat = model.inverse_transform(model.transform(X))
    x = torch.tensor((X - model.mean_) / model.scale_, dtype=torch.float32)
    with torch.no_grad():
        x_hat = model.net_.module_.decoder(model.net_.module_.code(x)).numpy()
    np.testing.assert_allclose(X_hat, x_hat * model.scale_ + model.mean_, atol=1e-5)


def check_rows_do_not_depend_on_each_other(model, X):
    many = np.vstack([X] * 20)  # more than one inference batch
    for use, rows in (
        (model.transform, X),
        (model.inverse_transform, model.transform(X)),
        (model.score_samples, X),
    ):
        whole = use(rows)
        one_by_one = np.concatenate([use(rows[i : i + 1]) for i in range(20)])
        np.testing.assert_allclose(whole[:20], one_by_one, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(
        model.transform(many)[-1], model.transform(X)[-1], rtol=1e-4, atol=1e-5
    )


# -- they hold ------------------------------------------------------------------------------------


@every_variant
def test_same_seed_gives_the_same_bits_in_threads_too(estimator, trained, spots):
    expected = trained(estimator)
    check_same_seed_gives_the_same_bits(expected, spots)
    n_threads = 4 if type(estimator) in SOME else 2
    with ThreadPoolExecutor(n_threads) as pool:
        fits = list(pool.map(lambda _: clone(estimator).fit(spots), range(n_threads)))
    for fitted in fits:
        assert fitted.loss_curve_ == expected.loss_curve_
        np.testing.assert_array_equal(fitted.transform(spots), expected.transform(spots))


@every_variant
@pytest.mark.parametrize("random_state", [0, None])
def test_global_random_states_are_left_alone(estimator, random_state, spots):
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    model = clone(estimator).set_params(random_state=random_state).fit(spots)
    model.score(model.inverse_transform(model.transform(spots)))
    numpy_after = np.random.get_state()  # noqa: NPY002
    assert all(np.array_equal(a, b) for a, b in zip(numpy_before, numpy_after, strict=True))
    assert torch.equal(torch_before, torch.get_rng_state())


@every_estimator
def test_different_seeds_give_different_fits(estimator, trained, spots):
    fits = [trained(trains(estimator, random_state=seed)) for seed in (0, 1)]
    assert not np.allclose(*(model.transform(spots) for model in fits))


@every_variant
def test_fit_changes_neither_the_data_nor_a_parameter(estimator):
    estimator, X = clone(estimator), make_spots()
    before = copy.deepcopy(estimator.get_params())
    assert estimator.fit(X).best_iter_ > 0
    np.testing.assert_array_equal(X, make_spots())
    assert estimator.get_params() == before


@every_variant
def test_codes_are_centred_uncorrelated_and_ordered(estimator, trained, spots):
    check_codes_are_centred_uncorrelated_and_ordered(trained(estimator), spots)


@pytest.mark.parametrize(
    "estimator",
    [e for e in trained_variants() if not isinstance(e, VariationalAutoEncoder)],  # learns it
    ids=repr,
)
def test_noise_variance_is_what_reconstructions_leave(estimator, trained, spots):
    check_noise_variance_is_what_reconstructions_leave(trained(estimator), spots)


@every_variant
def test_the_frame_of_the_codes_changes_no_reconstruction(estimator, trained, spots):
    check_the_frame_of_the_codes_changes_no_reconstruction(trained(estimator), spots)


@every_variant
def test_rows_do_not_depend_on_each_other(estimator, trained, spots):
    check_rows_do_not_depend_on_each_other(trained(estimator), spots)


@pytest.mark.parametrize(
    ("estimator", "dtype"),
    [  # every variant, and every dtype with some
        *zip(trained_variants(), cycle([np.float64, np.float32, np.int64]), strict=False),
        *product([trains(estimator) for estimator in SOME], [np.float64, np.float32, np.int64]),
    ],
    ids=repr,
)
def test_output_is_float32(estimator, dtype, spots):
    X = (16 * spots).astype(dtype)
    fitted = fit_trained(estimator, X)
    codes = fitted.transform(X)
    assert codes.dtype == np.float32
    assert fitted.inverse_transform(codes).dtype == np.float32
    assert fitted.score_samples(X).dtype == np.float32


def through_pickle(fitted):
    return pickle.loads(pickle.dumps(fitted))


def through_skops(fitted):
    dumped = skops.io.dumps(fitted)
    name = f"{type(fitted).__module__}.{type(fitted).__name__}"
    types = skops.io.get_untrusted_types(data=dumped)
    users = ("estimators.", "torch.nn.modules.activation.")  # what the parameters name
    assert {t for t in types if not t.startswith(users)} <= {name}
    return skops.io.loads(dumped, trusted=types)


@every_variant
def test_a_saved_estimator_gives_the_same_bits(estimator, spots):
    fitted = fit_trained(estimator, spots)
    # What is set after the fit must not matter to what is fitted.
    fitted.set_params(hidden_layer_sizes=(7,), learning_rate_init=-1, verbose=3)
    for through in (through_pickle, copy.deepcopy, through_skops):
        before = torch.get_rng_state()
        loaded = through(fitted)
        assert torch.equal(before, torch.get_rng_state())
        check_same_bits(loaded, fitted, spots)
        assert loaded.net_.history == fitted.net_.history
        assert loaded.get_params() == fitted.get_params()


@every_estimator
def test_what_was_fitted_on_another_device_loads_on_this_one(estimator, trained, spots):
    fitted = copy.deepcopy(trained(trains(estimator)))
    fitted.set_params(device="cuda:99")  # stands for a GPU that this machine lacks
    loaded = pickle.loads(pickle.dumps(fitted))
    check_same_bits(loaded, trained(trains(estimator)), spots)


@every_variant
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_fits_and_its_fit_works_on_the_host(estimator, spots):
    fitted = fit_trained(clone(estimator).set_params(device="cuda"), spots)
    on_host = pickle.loads(pickle.dumps(fitted.set_params(device="cpu")))
    assert next(fitted.net_.module_.parameters()).is_cuda
    assert not next(on_host.net_.module_.parameters()).is_cuda
    assert not any(value.is_cuda for value in fitted.to_torch().state_dict().values())
    np.testing.assert_allclose(
        fitted.transform(spots), on_host.transform(spots), rtol=1e-3, atol=1e-3
    )


@every_estimator
def test_a_pickle_names_neither_torch_nor_skorch(estimator, trained):
    fitted = trained(trains(estimator))
    names = {arg for _, arg, _ in pickletools.genops(pickle.dumps(fitted)) if isinstance(arg, str)}
    assert not {name for name in names if name.split(".")[0] in ("torch", "skorch")}


@every_estimator
@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_components": 0}, "n_components=0 .*expected int >= 1 or float in"),
        ({"n_components": -1}, "n_components=-1 "),
        ({"n_components": 2.5}, r"n_components=2\.5 "),
        ({"n_components": 1.5}, r"n_components=1\.5 "),
        ({"n_components": "mle"}, "n_components='mle' "),
        ({"n_components": True}, "n_components=True "),
        ({"n_components": "all"}, "n_components='all' "),
        ({"max_iter": 0}, "max_iter=0 "),
        ({"batch_size": 0}, "batch_size=0 "),
        ({"hidden_layer_sizes": (0,)}, r"hidden_layer_sizes=\(0,\) "),
        ({"hidden_layer_sizes": 0}, "hidden_layer_sizes=0 "),
        ({"activation": "swish"}, "activation='swish' .*'silu'"),
        ({"init": "zero"}, "init='zero' "),
        ({"learning_rate_init": 0}, "learning_rate_init=0 "),
        ({"learning_rate_init": np.nan}, "learning_rate_init=nan "),
        ({"weight_decay": -1}, "weight_decay=-1 "),
        ({"validation_fraction": 1.0}, r"validation_fraction=1\.0 "),
        ({"n_iter_no_change": 0}, "n_iter_no_change=0 "),
        ({"tol": -1e-3}, "tol=-0.001 "),
        ({"random_state": "abc"}, "random_state='abc' "),
        ({"device": "abacus"}, "device='abacus' cannot be used here"),
        ({"callbacks": "LRScheduler"}, "callbacks='LRScheduler' "),
        ({"callbacks": [1]}, r"callbacks=\[1\] .*skorch callbacks or \(name, callback\)"),
        ({"callbacks": [("a",)]}, r"callbacks=\[\('a',\)\] "),
        ({"random_state": 2**40}, "random_state=1099511627776 "),
        ({"device": "meta"}, "device='meta' cannot be used here"),
        ({"whiten": "yes"}, "whiten='yes' "),
    ],
)
def test_a_bad_parameter_is_named_and_an_earlier_fit_stays_usable(
    estimator, parameters, message, trained, spots
):
    fitted = copy.deepcopy(trained(trains(estimator)))
    with pytest.raises(ValueError, match=message):
        fitted.set_params(**parameters).fit(spots[:40, :30])
    expected = trained(trains(estimator)).transform(spots)
    np.testing.assert_array_equal(fitted.transform(spots), expected)


@every_estimator
@pytest.mark.parametrize(
    ("make_bad", "message"),
    [
        (lambda X: np.where(X.max() == X, np.inf, X), r"contains infinity.*X\[\d+, \d+\] = inf"),
        (lambda X: np.where(np.arange(64) == 3, np.nan, X), "no value in 1 of its 64 columns: 3;"),
        (lambda X: np.where(X.max() == X, 1e300, X), "too large for float32"),
        (lambda X: np.ma.masked_array(X, np.arange(64) * np.ones((50, 1)) < 2), "columns: 0, 1;"),
        (lambda X: X.astype(str).astype(object) + "x", "columns that are not numbers: 0 "),
        (lambda X: X[:1], "1 sample"),
        (lambda X: X[0], "Expected 2D array, got 1D array"),
        (lambda X: X.reshape(-1, 8, 8), "dim 3"),
        (lambda X: X[:, :0], "0 feature"),
    ],
)
def test_bad_data_is_refused_in_words_and_an_earlier_fit_stays_usable(
    estimator, make_bad, message, trained, spots
):
    fitted = copy.deepcopy(trained(trains(estimator)))
    with pytest.raises(ValueError, match=message):
        fitted.fit(make_bad(spots[:50].copy()))
    expected = trained(trains(estimator)).transform(spots)
    np.testing.assert_array_equal(fitted.transform(spots), expected)


@every_estimator
def test_bad_rows_and_codes_are_refused_after_the_fit(estimator, spots):
    unit = 1e5 if estimator in WITH_PRIOR else 1  # in which rows of huge codes overflow
    fitted = fit_trained(trains(estimator), unit * spots)
    with pytest.raises(ValueError, match=r"X has 63 features, but .* is expecting 64"):
        fitted.transform(spots[:, 1:])
    with pytest.raises(ValueError, match="n_components_=2"):
        fitted.inverse_transform(spots[:, :3])
    with pytest.raises(ValueError, match="NaN"):
        fitted.inverse_transform([[np.nan, 0]])
    with pytest.raises(ValueError, match=r"codes of up to 3\.4e\+38"):
        fitted.inverse_transform([[3.4e38, 3.4e38]])


@every_estimator
def test_other_column_names_are_refused(estimator, spots):
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame(spots, columns=[f"p{i}" for i in range(64)])
    fitted = fit_trained(trains(estimator), frame)
    with pytest.raises(ValueError, match="feature names should match"):
        fitted.transform(frame.rename(columns={"p3": "q"}))


@every_estimator
@pytest.mark.parametrize("init", ["pca", "random"])
def test_a_loss_that_is_not_finite_is_never_silent(estimator, init, spots):
    model = estimator(2, init=init, max_iter=3, learning_rate_init=1e30, random_state=0)
    if init == "random":
        with pytest.raises(ValueError, match=r"not finite in epoch 1.*lower learning_rate_init"):
            model.fit(spots)
    else:
        with pytest.warns(UserWarning, match=r"epoch 1.*lower learning_rate_init, now 1e\+30"):
            model.fit(spots)
        assert model.best_iter_ == 0
        assert model.score(spots) > 0


@every_estimator
def test_a_row_too_large_for_float32_is_refused_in_words(estimator, spots):
    fitted = fit_trained(trains(estimator), 1e-10 * spots)
    with pytest.raises(ValueError, match="too large for float32 in units of the training rows"):
        fitted.transform(1e30 * spots)
    with pytest.raises(ValueError, match=r"scale of .*e-41"):
        fitted.fit(1e-40 * spots)


@every_estimator
def test_torchs_default_dtype_does_not_matter(estimator, trained, spots):
    expected = trained(trains(estimator)).transform(spots)
    torch.set_default_dtype(torch.float64)
    try:
        codes = fit_trained(trains(estimator), spots).transform(spots)
        images = fit_trained(trains(estimator, image_shape=(8, 8)), spots).transform(spots)
    finally:
        torch.set_default_dtype(torch.float32)
    assert codes.dtype == images.dtype == np.float32
    assert codes.shape == expected.shape


@every_estimator
@pytest.mark.filterwarnings("ignore:Of 64 codes only")  # of rank 8
def test_whitening_does_not_blow_up_what_is_rounding_error(estimator, digits):
    X = np.repeat(digits[:200, 2:10], 8, axis=1)  # rank 8
    # At PCA: what training adds to idle codes, as for a prior, is no rounding error.
    fitted = estimator(64, whiten=True, learning_rate_init=1e-30, **SHORT).fit(X)
    noise = 0.01 * np.random.default_rng(0).normal(size=X.shape)
    assert np.abs(fitted.transform(X + noise)).max() < 100


@every_estimator
def test_an_interrupted_fit_leaves_the_earlier_one(estimator, trained, spots):
    fitted = copy.deepcopy(trained(trains(estimator)))

    class Interrupted:
        def __array__(self, *args, **kwargs):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fitted.fit(Interrupted())
    check_same_bits(fitted, trained(trains(estimator)), spots)


@every_estimator
@pytest.mark.filterwarnings("ignore:Of [25] codes only")
@pytest.mark.filterwarnings(r"ignore:X has \d+ rows in \d+ groups.*stays at PCA")
def test_odd_tables_are_fitted(estimator):
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(60, 3))
    tables = {
        "constant": np.ones((60, 3)),
        "constant and not exact in binary": np.full((47, 3), 0.1),
        "one constant column": np.hstack([noise, np.ones((60, 1))]),
        "one feature": noise[:, :1],
        "equal columns": np.repeat(noise[:, :1], 3, axis=1),
        "equal rows": np.repeat(noise[:2], 30, axis=0),
        "wide": rng.normal(size=(24, 100)),
        "tiny numbers": noise * 1e-20,
        "huge numbers": noise * 1e15,
        "far from zero": noise + 1e9,
        "fortran order": np.asfortranarray(noise),
        "reversed": noise[::-1, ::-1],
        "big endian": noise.astype(">f8"),
        "half precision": noise.astype(np.float16),
    }
    for name, X in tables.items():
        for n_components in (1, 5, 0.9) if estimator in SOME else (5,):
            model = estimator(n_components, hidden_layer_sizes=(16,), **SHORT).fit(X)
            X_hat = model.inverse_transform(model.transform(X))
            assert np.isfinite(X_hat).all(), name
            assert np.isfinite(model.score(X)), name
            if isinstance(model, BaseAutoEncoder):  # others score in nats
                assert model.score(X) > -1e-3, name
        trained = fit_trained(estimator(2, hidden_layer_sizes=(16,), init="random", **SHORT), X)
        X_hat = trained.inverse_transform(trained.transform(X))
        assert np.isfinite(X_hat).all(), name
        assert np.isfinite(trained.score(X)), name


# -- and they notice damage -------------------------------------------------------------------
#
# A check that passes on a broken model is worth nothing. At PCA the same damage changes no
# number: the networks' outputs are zero, whatever their weights or their layers do.


@every_variant
def test_checks_notice_weights_that_changed_after_the_fit(estimator, trained, spots):
    """As a fit that keeps the wrong epoch's weights, or a copy that drops some, would have it."""
    model = trained(estimator)
    damaged = scramble(copy.deepcopy(model))
    with pytest.raises(AssertionError, match="not equal"):
        check_same_bits(damaged, model, spots)
    with pytest.raises(AssertionError, match="not equal"):
        check_same_seed_gives_the_same_bits(damaged, spots)
    if isinstance(model, ON_PRINCIPAL_AXES):
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            check_codes_are_centred_uncorrelated_and_ordered(damaged, spots)
    if not isinstance(model, VariationalAutoEncoder):
        with pytest.raises(AssertionError, match="Not equal to tolerance"):
            check_noise_variance_is_what_reconstructions_leave(damaged, spots)


@every_variant
def test_checks_notice_networks_that_mix_rows(estimator, trained, spots):
    """As batch normalisation, or a kernel over a batch, would have it outside training."""
    damaged = let_rows_depend_on_each_other(copy.deepcopy(trained(estimator)))
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_rows_do_not_depend_on_each_other(damaged, spots)


@every_variant
def test_checks_notice_a_frame_that_is_not_undone(estimator, trained, spots):
    damaged = copy.deepcopy(trained(estimator))
    damaged.net_.module_.frame.inverse_axes.mul_(1.01)
    with pytest.raises(AssertionError, match="Not equal to tolerance"):
        check_the_frame_of_the_codes_changes_no_reconstruction(damaged, spots)
