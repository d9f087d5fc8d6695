"""The text on fitted attributes that every autoencoder has."""

ATTRIBUTES = """
n_components_ : int
    Size of the code.
n_samples_ : int
    Number of training rows that count; of ``partial_fit``, of all seen so far.
explained_variance_ : ndarray of shape (n_components_,)
    Variance of each code over the training rows, before whitening, in squared units of X, with
    the degrees of freedom that PCA has (n_samples − 1). Of codes in a prior's units, which are no
    units of X, it is the variance of the best linear prediction of the rows from that code alone.
    For PCA's own codes either is PCA's ``explained_variance_``. After ``partial_fit`` it is that of
    all rows seen so far where the model is PCA, and otherwise that of validation rows and some
    of the last part. None in a model that was saved before there was this attribute.
explained_variance_ratio_ : ndarray of shape (n_components_,)
    ``explained_variance_`` over the variance of the training rows. It says how large codes are,
    **not** what share of the rows they explain, unless the model is PCA: a curved code is no
    projection, may vary more than the rows do, and the sum may exceed 1. What adds up, and may be
    drawn as a scree plot, is ``cumulative_explained_variance(X)``.
mean_ : ndarray of shape (n_features,)
    Mean of the training rows; with ``warm_start``, of those of the first fit; after
    ``partial_fit``, of those seen when training last began at PCA.
scale_ : float
    The number by which centred rows are divided: the root of the mean variance. The
    squared errors in ``loss_curve_`` and in ``net_.history`` are in units of its square,
    absolute ones in units of it.
noise_variance_ : float
    Mean squared error over the training rows per dimension that the code leaves out,
    min(n_samples, n_features) − n_components of them; for PCA's own reconstruction it
    is PCA's ``noise_variance_``. Where a method learns the noise, its variance.
pca_score_ : float or None
    ``score`` of PCA of the training rows on the validation rows, or on the training rows
    where there are none. For binary cross-entropy and Poisson that of PCA's codes with
    the best linear decoder. None with ``init="random"``.
validation_scores_ : list of float or None
    ``score`` on the validation rows after each epoch. None without validation rows.
best_validation_score_ : float or None
    ``score`` on the validation rows of what was kept: that of epoch ``best_iter_``, or
    ``pca_score_`` where the result is PCA. None without validation rows, and where it is not known,
    as of weights of a former fit. Compare it with ``pca_score_``.
loss_curve_ : list of float
    Training loss in each epoch.
n_iter_ : int
    Number of epochs run; of all calls of ``partial_fit`` together.
best_iter_ : int
    The epoch whose weights were kept; 0 is the start: PCA, or with ``warm_start`` the
    weights of the last fit where they were better.
net_ : skorch.NeuralNet
    The fitted net: ``net_.module_`` is the torch module, ``net_.history`` has every
    loss term of every epoch.
n_features_in_ : int
    Number of features.
feature_names_in_ : ndarray of shape (n_features_in_,)
    Their names, where X had them.
"""
