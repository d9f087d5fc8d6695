"""What only PCA has, and what to use in its place."""

from typing import TYPE_CHECKING, Any

# Attributes of PCA, IncrementalPCA and TruncatedSVD that autoencoders lack, and what to use.
INSTEAD = {
    "components_": (
        "the directions of a curved code differ from row to row. components_at(X) is their mean "
        "over rows, of the shape of PCA's components_, and jacobian(X) those of each row"
    ),
    "singular_values_": (
        "a curved code is no projection. explained_variance_ has the variances of codes, and PCA's "
        "singular values are the roots of (n_samples_ - 1) * explained_variance_"
    ),
    "n_features_": "take n_features_in_",
    "n_samples_seen_": "take n_samples_",
    "var_": "take scale_, the root of the mean variance of the features",
    "get_covariance": "VariationalAutoEncoder, which is a model of the rows, has it",
    "get_precision": "VariationalAutoEncoder, which is a model of the rows, has it",
}
# What only some autoencoders have: models of the rows.
ELSEWHERE = {
    "sample": (
        "new rows are drawn by VariationalAutoEncoder, AdversarialAutoEncoder and "
        "WassersteinAutoEncoder, whose codes have a distribution"
    ),
    "impute": "missing values are filled by AutoEncoderImputer and VariationalAutoEncoder",
}


class SaysWhatInstead:
    """An autoencoder that names what stands in the place of what only PCA has."""

    if not TYPE_CHECKING:  # type checkers would take any name for an attribute

        def __getattr__(self, name: str) -> Any:
            advice = INSTEAD.get(name)
            if name in ELSEWHERE:
                text = f"{type(self).__name__} has no {name}: {ELSEWHERE[name]}."
                raise AttributeError(text, name=name, obj=self)
            if advice is None:  # the error of Python, or of the property that has just failed
                return super().__getattribute__(name)
            kind, fitted = type(self).__name__, "net_" in vars(self)
            when = "" if fitted else f", and this {kind} is not fitted yet"
            raise AttributeError(
                f"{kind} has no {name} as PCA has{when}: {advice}.", name=name, obj=self
            )
