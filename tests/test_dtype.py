"""dtype="float64": for those who need the digits."""

import copy
import pickle

import numpy as np
import pytest
import torch
from estimators import ESTIMATORS, SOME, TRAINS, trained_variants, trains
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.utils.estimator_checks import check_transformer_preserve_dtypes

from skae import AutoEncoder, VariationalAutoEncoder
from skae._training.engine import speed

every_estimator = pytest.mark.parametrize("estimator", ESTIMATORS)
some_estimators = pytest.mark.parametrize("estimator", SOME)
# A step this small leaves the weights where they start.
AT_PCA = {"dtype": "float64", "learning_rate_init": 1e-30}
# Trains on the rows of scikit-learn's checks too; the variational model needs more for that.
RANDOM = {"init": "random", "max_iter": 3}
FEW_ROWS = {VariationalAutoEncoder: {"init": "random", "beta": 0.01}}


def in_float64(estimator):
    return clone(estimator).set_params(dtype="float64")


def reconstruct(model, X):
    return model.inverse_transform(model.transform(X))


def outputs(model, X):
    codes = model.transform(X)
    return codes, model.inverse_transform(codes), model.score_samples(X)


# -- oracles -------------------------------------------------------------------------------


@every_estimator
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_at_pca_it_is_scikit_learns_to_the_last_digits(estimator, dtype, spots):
    X = (spots + 10).astype(dtype)
    model, exact = trains(estimator, **AT_PCA).fit(X), X.astype(np.float64)
    pca = PCA(2).fit(exact)
    assert model.best_iter_ == 0
    codes = pca.transform(exact)
    if estimator is VariationalAutoEncoder:  # whose codes are those of probabilistic PCA
        np.testing.assert_allclose(model.score(X), pca.score(exact), rtol=1e-7)
        codes *= 1 - pca.noise_variance_ / pca.explained_variance_
    X_hat = codes @ pca.components_ + pca.mean_
    np.testing.assert_allclose(reconstruct(model, X), X_hat, atol=1e-10)
    errors = np.square(exact - X_hat).sum()
    np.testing.assert_allclose(np.square(exact - reconstruct(model, X)).sum(), errors, rtol=1e-10)


@some_estimators
def test_float32_is_the_same_model_with_fewer_digits(estimator, spots):
    """At the start, before training lets rounding grow."""
    narrow = trains(estimator, learning_rate_init=1e-30).fit(spots)
    wide = trains(estimator, **AT_PCA).fit(spots)
    for one, other in zip(outputs(narrow, spots), outputs(wide, spots), strict=True):
        assert (one.dtype, other.dtype) == (np.float32, np.float64)
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-4)
        assert (one != other).any()


# -- trained fits --------------------------------------------------------------------------


@pytest.mark.parametrize("estimator", list(trained_variants()), ids=repr)
def test_all_is_in_float64(estimator, trained, spots):
    model = trained(in_float64(estimator))
    for X in (spots, spots.astype(np.float32)):
        assert {output.dtype for output in outputs(model, X)} == {np.dtype(np.float64)}
    weights = {**dict(model.net_.module_.encoder.named_parameters())}
    weights |= {f"decoder.{n}": p for n, p in model.net_.module_.decoder.named_parameters()}
    assert {p.dtype for p in weights.values()} == {torch.float64}
    if hasattr(model, "sample"):
        assert model.sample(3, random_state=0).dtype == np.float64


@pytest.mark.parametrize("estimator", list(trained_variants()), ids=repr)
def test_rows_do_not_depend_on_each_other_to_the_last_digits(estimator, trained, spots):
    model = trained(in_float64(estimator))
    for whole, *rows in zip(
        outputs(model, spots), *(outputs(model, spots[i : i + 1]) for i in range(9)), strict=True
    ):
        np.testing.assert_allclose(whole[:9], np.concatenate(rows), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("estimator", list(trained_variants()), ids=repr)
def test_a_pickle_keeps_every_digit(estimator, trained, spots):
    model = trained(in_float64(estimator))
    # What is set after the fit must not matter to what is fitted.
    loaded = pickle.loads(pickle.dumps(copy.deepcopy(model).set_params(dtype="float32")))
    for one, other in zip(outputs(model, spots), outputs(loaded, spots), strict=True):
        assert other.dtype == np.float64
        np.testing.assert_array_equal(one, other)


@some_estimators
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_scikit_learns_check_of_dtypes_passes(estimator, dtype):
    model = estimator(2, dtype=dtype, **{**TRAINS, **FEW_ROWS.get(estimator, RANDOM)})
    check_transformer_preserve_dtypes(estimator.__name__, model)


@some_estimators
def test_the_frame_of_the_codes_is_undone_to_the_last_digits(estimator, trained, spots):
    model = trained(trains(estimator, dtype="float64"))
    codes, module = model.transform(spots), model.net_.module_
    x = torch.from_numpy((spots - model.mean_) / model.scale_)
    with torch.no_grad():
        x_hat = module.loss.reconstruct(module.decoder(module.code(x))).numpy()
    X_hat = x_hat * model.scale_ + model.mean_
    np.testing.assert_allclose(model.inverse_transform(codes), X_hat, atol=1e-12)


def test_another_dtype_is_refused(spots):
    with pytest.raises(ValueError, match=r"dtype='float16' .*'float64'"):
        AutoEncoder(2, dtype="float16").fit(spots)


def test_a_row_that_float32_cannot_hold_in_units_of_the_training_rows_is_no_error(spots):
    wide = trains(AutoEncoder, **AT_PCA).fit(1e-3 * spots)
    far = np.where(np.arange(64) == 3, 3e38, spots[:1])
    with np.errstate(over="ignore"):
        assert np.isfinite(wide.transform(far)).all()


@pytest.mark.parametrize("precision", ["auto", "bfloat16"])
def test_a_fit_in_float64_takes_bfloat16_only_if_told_to(precision, spots, monkeypatch):
    """As on hardware that gains from it, with a network that is large enough."""
    monkeypatch.setattr(speed, "has_bfloat16", lambda device: True)
    monkeypatch.setattr(speed, "BFLOAT16_SIZE", 0)
    exact, model = (
        trains(AutoEncoder, dtype="float64", precision=p).fit(spots) for p in ("float32", precision)
    )
    assert model.best_iter_ > 0
    assert model.transform(spots).dtype == np.float64
    assert (model.loss_curve_ == exact.loss_curve_) == (precision == "auto")
