"""Tables of any kind are read as the same numbers."""

import datetime
import re
import subprocess
import sys
import warnings

import numpy as np
import pandas
import polars
import pyarrow
import pytest
import torch
from estimators import ESTIMATORS, fit_trained, make_spots, trains
from scipy.sparse import issparse
from sklearn.compose import ColumnTransformer
from sklearn.preprocessing import OneHotEncoder

from skae import AutoEncoder
from skae._data.checks import read_rows
from skae._data.tables import to_numbers

SPOTS = make_spots()
NAMES = [f"p{i}" for i in range(64)]


def chunked(table):
    """Return a table of pyarrow in three chunks."""
    return pyarrow.concat_tables([table[:100], table[100:101], table[101:]])


def read_only(X):
    X = X.copy()
    X.flags.writeable = False
    return X


# Each of these is the same table of numbers as the array it is made of.
SAME = {
    "array": lambda X: X,
    "list": lambda X: X.tolist(),
    "tuples": lambda X: tuple(map(tuple, X.tolist())),
    "objects": lambda X: X.astype(object),
    "longdouble": lambda X: X.astype(np.longdouble),
    "big-endian": lambda X: X.astype(">f8"),
    "read-only": read_only,
    "negative strides": lambda X: X[::-1, ::-1].copy()[::-1, ::-1],
    "columns first": np.asfortranarray,
    "nothing masked": lambda X: np.ma.masked_array(X, np.zeros(X.shape, bool)),
    "pandas": lambda X: pandas.DataFrame(X, columns=NAMES),
    "pandas, by column": lambda X: pandas.DataFrame(dict(zip(NAMES, X.T, strict=True))),
    "pandas, index": lambda X: pandas.DataFrame(X, index=np.arange(len(X))[::-1] % 7),
    "pandas, nullable": lambda X: pandas.DataFrame(X).astype("Float64"),
    "pandas, arrow": lambda X: pandas.DataFrame(X).astype("double[pyarrow]"),
    "pandas, equal names": lambda X: pandas.DataFrame(X, columns=["p"] * 64),
    "pandas, objects": lambda X: pandas.DataFrame(X).astype(object),
    "pandas, NaN not stored": lambda X: pandas.DataFrame(X).astype(
        pandas.SparseDtype("float64", np.nan)
    ),
    "pandas, one sparse column": lambda X: pandas.DataFrame(X).astype(
        {3: pandas.SparseDtype("float64", 0)}
    ),
    "polars": lambda X: polars.DataFrame(X, schema=NAMES),
    "pyarrow": lambda X: pyarrow.table(list(X.T), NAMES),
    "pyarrow, chunked": lambda X: chunked(pyarrow.table(list(X.T), NAMES)),
    "pyarrow, batch": lambda X: pyarrow.record_batch(list(X.T), NAMES),
    "pyarrow, equal names": lambda X: pyarrow.table(list(X.T), ["p"] * 64),
    "tensor": torch.from_numpy,
    "tensor with gradients": lambda X: torch.from_numpy(X).requires_grad_(),
    "parameter": lambda X: torch.nn.Parameter(torch.from_numpy(X)),
}


@pytest.fixture(scope="module")
def fitted():
    return fit_trained(trains(AutoEncoder), SPOTS)


@pytest.mark.parametrize("kind", SAME)
def test_a_table_of_any_kind_has_the_codes_of_its_array(kind, fitted):
    table = SAME[kind](SPOTS)
    model = trains(AutoEncoder).fit(table)
    codes = model.transform(table)
    assert type(codes) is np.ndarray
    np.testing.assert_array_equal(codes, fitted.transform(SPOTS))
    assert model.score(table) == fitted.score(SPOTS)
    back = model.inverse_transform(SAME["tensor"](codes))
    np.testing.assert_array_equal(back, fitted.inverse_transform(codes))


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_every_estimator_reads_frames_and_tensors(estimator):
    model = trains(estimator).fit(SPOTS)
    expected = model.transform(SPOTS)
    for kind in "polars", "pyarrow, batch", "tensor":
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "X has feature names")
            np.testing.assert_array_equal(model.transform(SAME[kind](SPOTS)), expected)


FLOAT32 = {
    "array": lambda X: X,
    "big-endian": lambda X: X.astype(">f4"),
    "nothing masked": lambda X: np.ma.masked_array(X),
    "pandas": lambda X: pandas.DataFrame(X),
    "pandas, nullable": lambda X: pandas.DataFrame(X).astype("Float32"),
    "pandas, arrow": lambda X: pandas.DataFrame(X).astype("float[pyarrow]"),
    "polars": lambda X: polars.DataFrame(X),
    "pyarrow": lambda X: pyarrow.table(list(X.T), NAMES),
    "tensor": torch.from_numpy,
}


@pytest.mark.parametrize("kind", FLOAT32)
def test_float32_stays_float32(kind):
    X = SPOTS.astype(np.float32)
    numbers = to_numbers(FLOAT32[kind](X))
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, X)


@pytest.mark.parametrize("kind", ["array", "nothing masked", "pandas", "tensor"])
def test_numbers_in_one_block_are_not_copied(kind):
    X = SPOTS.astype(np.float32)
    table = FLOAT32[kind](X)
    assert np.shares_memory(to_numbers(table), to_numbers(table))


SMALL = [np.float16, np.uint8, np.int8, np.int16, bool]


@pytest.mark.parametrize("dtype", SMALL)
def test_small_types_are_read_as_float64(dtype):
    X = (10 * SPOTS).astype(dtype)
    tables = [X, pandas.DataFrame(X), polars.DataFrame(X), torch.from_numpy(X)]
    tables += [pyarrow.table([pyarrow.array(column) for column in X.T.copy()], NAMES)]
    for table in tables:
        read = read_rows(AutoEncoder(), table, fitting=True).table
        assert read.dtype == np.float64
        np.testing.assert_array_equal(read, X.astype(np.float64))


def test_bfloat16_is_read_as_float32():
    X = torch.from_numpy(SPOTS).bfloat16()
    numbers = to_numbers(X)
    assert numbers.dtype == np.float32
    np.testing.assert_array_equal(numbers, X.double().numpy())


def test_small_types_beside_float32_are_float32():
    mixed = {"a": np.ones(3, np.float32), "b": np.arange(3, dtype=np.int16), "c": [True] * 3}
    for frame in pandas.DataFrame, pyarrow.table:
        numbers = to_numbers(frame(mixed))
        assert numbers.dtype == np.float32
        np.testing.assert_array_equal(numbers, [[1, 0, 1], [1, 1, 1], [1, 2, 1]])
        assert to_numbers(frame({**mixed, "d": [1, 2, 3]})).dtype == np.float64


# -- missing values -------------------------------------------------------------------------------

MISSING = np.array([[1, 0, 0.5, 7], [np.nan, 1, np.nan, 8], [3, np.nan, 2.5, np.nan]])
WITH_NULLS = {
    "number": [1, None, 3],
    "flag": [False, True, None],
    "part": [0.5, None, 2.5],
    "price": [7, 8, None],
}
ARROW = pyarrow.table(WITH_NULLS).set_column(
    3, "price", pyarrow.array([7, 8, None], pyarrow.decimal128(5, 2))
)
NULLABLE = pandas.DataFrame(WITH_NULLS).astype(
    {"number": "Int64", "flag": "boolean", "part": "Float64", "price": "UInt8"}
)
FRAMES_WITH_NULLS = {
    "list": list(zip(*WITH_NULLS.values(), strict=True)),
    "objects": np.array(list(WITH_NULLS.values()), object).T,
    "NA in objects": NULLABLE.to_numpy(dtype=object),
    "pandas": pandas.DataFrame(WITH_NULLS),
    "pandas, nullable": NULLABLE,
    "pandas, arrow": ARROW.to_pandas(types_mapper=pandas.ArrowDtype),
    "pandas, objects": NULLABLE.astype(object),
    "polars": polars.DataFrame(WITH_NULLS),
    "polars, decimal": polars.from_arrow(ARROW),
    "pyarrow": ARROW,
    "pyarrow, chunked": pyarrow.concat_tables([ARROW[:1], ARROW[1:]]),
    "pyarrow, batch": ARROW.to_batches()[0],
    "masked": np.ma.masked_array(np.where(np.isnan(MISSING), -1, MISSING), np.isnan(MISSING)),
    "tensor": torch.from_numpy(MISSING),
}


@pytest.mark.parametrize("kind", FRAMES_WITH_NULLS)
def test_missing_values_of_any_kind_are_nan(kind):
    numbers = to_numbers(FRAMES_WITH_NULLS[kind])
    assert numbers.dtype == np.float64
    np.testing.assert_array_equal(numbers, MISSING)


def test_columns_without_any_value_are_nan():
    for frame in pandas.DataFrame, polars.DataFrame, pyarrow.table:
        numbers = to_numbers(frame({"a": [1.0, 2.0], "b": [None, None]}))
        np.testing.assert_array_equal(numbers, [[1, np.nan], [2, np.nan]])


def test_the_mask_of_integers_is_nan():
    masked = np.ma.masked_array([[1, 2], [3, 4]], [[True, False], [False, False]])
    np.testing.assert_array_equal(to_numbers(masked), [[np.nan, 2], [3, 4]])
    assert to_numbers(masked.astype(np.float32)).dtype == np.float32


# -- sparse tables --------------------------------------------------------------------------------


def test_sparse_tables_become_csr():
    X = np.where(SPOTS > 0.5, SPOTS, 0)
    dense, sparse = torch.from_numpy(X), torch.from_numpy(X).to_sparse()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse")
        compressed = [dense.to_sparse_csr(), dense.to_sparse_csc(), dense.to_sparse_bsr((8, 8))]
    frame = pandas.DataFrame(X).astype(pandas.SparseDtype("float64", 0))
    for table in [sparse, sparse.clone().requires_grad_(), *compressed, frame]:
        numbers = to_numbers(table)
        assert issparse(numbers) and numbers.format == "csr"
        assert numbers.nnz == np.count_nonzero(X) or table.layout == torch.sparse_bsr
        np.testing.assert_array_equal(numbers.toarray(), X)


def test_sparse_columns_of_several_types_become_csr():
    arrays = pandas.arrays.SparseArray
    flags = arrays([True, False, True], fill_value=False)
    frame = pandas.DataFrame({"a": arrays([0, 0, 2], fill_value=0), "b": flags})
    numbers = to_numbers(frame)
    assert numbers.dtype == np.float64 and numbers.format == "csr"
    np.testing.assert_array_equal(numbers.toarray(), [[0, 1], [0, 0], [2, 1]])


# -- names of columns -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "pyarrow, batch"])
def test_names_of_columns_are_those_of_the_frame(kind, fitted):
    frame = SAME[kind](SPOTS)
    model = trains(AutoEncoder).fit(frame)
    assert list(model.feature_names_in_) == NAMES
    with pytest.raises(ValueError, match="feature names should match"):
        model.transform(pandas.DataFrame(SPOTS, columns=NAMES[::-1]))
    with pytest.warns(UserWarning, match="does not have valid feature names"):
        model.transform(SPOTS)
    assert not hasattr(model.fit(SPOTS), "feature_names_in_")


def test_equal_names_name_nothing():
    for kind in "pandas, equal names", "pyarrow, equal names":
        model = trains(AutoEncoder).fit(SAME[kind](SPOTS))
        assert model.n_features_in_ == 64 and not hasattr(model, "feature_names_in_")


def test_output_in_frames_keeps_the_index(fitted):
    frame = SAME["pandas, index"](SPOTS)
    codes = trains(AutoEncoder).fit(frame).set_output(transform="pandas").transform(frame)
    assert codes.index.equals(frame.index)
    np.testing.assert_array_equal(codes, fitted.transform(SPOTS))


# -- what is no number ----------------------------------------------------------------------------

BORN = [datetime.datetime(2000, 1, 1), datetime.datetime(2001, 1, 1)]
WAITED = [datetime.timedelta(seconds=30), datetime.timedelta(seconds=90)]
PEOPLE = {
    "height": [1.5, 1.7],
    "city": ["Rome", "Oslo"],
    "age": ["31", "42"],
    "born": BORN,
    "waited": WAITED,
}
NOT_NUMBERS = {
    "pandas": pandas.DataFrame(PEOPLE),
    "pandas, objects": pandas.DataFrame(PEOPLE, dtype=object),
    "pandas, category": pandas.DataFrame(PEOPLE).astype({"city": "category"}),
    "pandas, arrow": pyarrow.table(PEOPLE).to_pandas(types_mapper=pandas.ArrowDtype),
    "pandas, time zone": pandas.DataFrame(
        {**PEOPLE, "born": pandas.to_datetime(BORN).tz_localize("UTC")}
    ),
    "polars": polars.DataFrame(PEOPLE),
    "polars, category": polars.DataFrame(PEOPLE, schema_overrides={"city": polars.Categorical}),
    "polars, date": polars.DataFrame(PEOPLE).with_columns(polars.col("born").cast(polars.Date)),
    "pyarrow": pyarrow.table(PEOPLE),
    "pyarrow, batch": pyarrow.record_batch(PEOPLE),
    "pyarrow, dictionary": pyarrow.table(PEOPLE).set_column(
        1, "city", pyarrow.array(["Rome", "Oslo"]).dictionary_encode()
    ),
    "array": np.array(list(PEOPLE.values()), object).T,
}


# The names in what errors show.
SHOWN = {
    "ColumnTransformer": ColumnTransformer,
    "OneHotEncoder": OneHotEncoder,
    "pandas": pandas,
    "polars": polars,
}


@pytest.mark.parametrize("kind", NOT_NUMBERS)
def test_columns_that_are_not_numbers_are_named_with_a_remedy_that_works(kind):
    X = NOT_NUMBERS[kind]
    with pytest.raises(ValueError, match=r"not numbers: .*remainder='passthrough'") as caught:
        AutoEncoder().fit(X)
    message = str(caught.value)
    names = range(1, 5) if kind == "array" else list(PEOPLE)[1:]
    assert all(f"{name!r} (" in message for name in names)
    assert not re.search("'height'|leave out", message)

    encoder = eval(re.search(r"ColumnTransformer\(.*'passthrough'\)", message).group(), SHOWN)
    frame = X.to_pandas() if "on X.to_pandas()" in message else X
    two = frame[:, :2] if kind == "array" else frame[["height", "city"]]
    np.testing.assert_array_equal(
        np.asarray(encoder.fit_transform(two), float), [[0, 1, 1.5], [1, 0, 1.7]]
    )
    differences = []
    for what in "text", "dates", "durations":
        expression = re.search(rf"{what}, as with (.*?)[;.]( |$)", message).group(1)
        differences.append(np.diff(np.asarray(eval(expression, {**SHOWN, "X": X}), float))[0])
    assert differences[0] == 11 and differences[2] in (60, 60e6)  # pyarrow's are microseconds
    assert differences[1] in (366, 366 * 86400e6)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (SPOTS.astype(str).astype(object) + "x", r"0 \(object\).* and 56 more; encode categories"),
        (SPOTS.astype(str), r"0 \(<U32\).* text, as with X\[:, 0\].astype\(float\)"),
        ([[1, "a"], [2, "b"]], r"not numbers: 1 \(object\); .*OneHotEncoder.*\[1\]"),
        (np.array([["2000-01-01"]] * 2, "datetime64[D]"), "convert dates"),
        (np.zeros((2, 2), [("a", float)]), "structured array with the fields a; .*DataFrame"),
        (np.zeros((2, 2), complex), "Complex data not supported"),
        (torch.zeros((2, 2), dtype=torch.complex64), "Complex data not supported"),
        (pandas.DataFrame({"a": [1j, 2], "b": [1.0, 2]}), r"'a' \(complex128\); leave out \['a'\]"),
        (pandas.DataFrame({"p": pandas.period_range("2000", periods=2)}), "to_timestamp"),
        (pandas.DataFrame({"i": pandas.interval_range(0, 2)}), r"leave out \['i'\]"),
        (polars.DataFrame({"l": [[1, 2], [3]]}), r"'l' \(List\(Int64\)\); leave out \['l'\]"),
        (polars.DataFrame({"e": polars.Series(["a"], dtype=polars.Enum(["a"]))}), "categories"),
        (pyarrow.table({"l": [[1, 2], [3]]}), r"leave out \['l'\]"),
        (SPOTS[0].astype(str), "Expected 2D array"),
        (torch.zeros(3), "Expected 2D array"),
        (polars.Series([1.0, 2.0]), "Expected 2D array"),
        (polars.DataFrame({"a": [1.0]}).lazy(), r"LazyFrame.*pass X\.collect\(\)"),
        (np.zeros((0, 3), object), "0 sample"),
        (pandas.DataFrame({"a": []}, dtype=object), "0 sample"),
        (pandas.DataFrame(index=range(3)), "0 feature"),
        (polars.DataFrame(), "0 feature|0 sample"),
        (pyarrow.table({}), "0 feature|0 sample"),
        (pandas.Series([1.0, 2.0]), "Expected a 2-dimensional container"),
        (torch.zeros(2, 2, 2).to_sparse(), "dim 3"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused_in_words(X, message):
    with pytest.raises(ValueError, match=message):
        AutoEncoder().fit(X)


def test_objects_that_are_no_numbers_are_refused_in_words():
    with pytest.raises(TypeError, match="argument must be a string or a real number, not 'dict'"):
        AutoEncoder().fit(np.array([[{}, 1], [2, 3]], object))


FIT = """
import sys
import numpy, sklearn.base
libraries = ["pandas", "polars", "pyarrow"]
before = [name for name in libraries if sys.modules.get(name)]  # some by scikit-learn itself
import skae
X = numpy.random.default_rng(0).normal(size=(30, 3))
skae.AutoEncoder(2, max_iter=1).fit(X).transform(X.astype(object))
assert before == [name for name in libraries if sys.modules.get(name)]
"""


def test_libraries_of_frames_are_not_imported():
    subprocess.run([sys.executable, "-c", FIT], check=True)


def test_libraries_of_frames_need_not_be_there():
    hide = "import sys; sys.modules.update(pandas=None, polars=None, pyarrow=None)"
    subprocess.run([sys.executable, "-c", hide + FIT], check=True)
