"""What the common tests run over. A new estimator is one line here."""

import skae

ESTIMATORS = [getattr(skae, name) for name in skae.__all__ if name[0].isupper()]

# Short fits: these tests ask about the contract, not about quality.
SHORT = {"max_iter": 3, "random_state": 0}


def variants():
    """Yield every estimator as users may configure it."""
    for estimator in ESTIMATORS:
        yield estimator(**SHORT)
        yield estimator(2, **SHORT, hidden_layer_sizes=())
        # float32 trouble hides on small networks
        yield estimator(3, **SHORT, hidden_layer_sizes=(512,))
        yield estimator(2, **SHORT, whiten=True, early_stopping=False)
        yield estimator(2, **SHORT, init="random", hidden_layer_sizes=(32,))
