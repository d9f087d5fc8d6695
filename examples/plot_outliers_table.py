"""Which values of my table are wrong?
===================================

In some rows a weight is in pounds and not in kilograms. Each is a weight that its column may have,
so that a check of columns one by one finds none. ``AutoEncoderOutlierDetector`` knows from good
rows which values go together: it tells which rows are odd, and which features make them so.
"""

# %%
# Weights in pounds
# -----------------
# Rows are parcels, and made up: the weight is about the volume times a density, and the postage
# grows with weight and distance. Of 500 new parcels, 20 have their weight in pounds.
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from skae import AutoEncoder, AutoEncoderOutlierDetector
from skae.display import OutlierDisplay

rng = np.random.default_rng(0)


def draw_parcels(n):
    length, width, height = np.exp(rng.normal([3.6, 3.2, 2.8], 0.35, size=(n, 3))).T
    weight = length * width * height / 1000 * np.exp(rng.normal(-1.2, 0.25, size=n))
    zone = rng.integers(1, 6, size=n)
    postage = 4 + 0.6 * weight + 1.5 * zone + rng.normal(scale=0.3, size=n)
    columns = {"length": length, "width": width, "height": height, "weight": weight}
    return pd.DataFrame(columns | {"zone": zone, "postage": postage})


X_train, X_new = draw_parcels(5000), draw_parcels(500)
is_wrong = np.isin(np.arange(500), rng.choice(500, size=20, replace=False))
X_new.loc[is_wrong, "weight"] *= 2.2
is_beyond = ((X_new < X_train.min()) | (X_new > X_train.max())).any(axis=1)
print(f"a value beyond its column: {is_beyond[is_wrong].sum()} of the 20 wrong rows")

# %%
# Alarms at 1 %, and what is to blame
# -----------------------------------
# Of 5,000 rows 500 validate and set the threshold. The code keeps 99 % of the variance, so that
# what is left is small in rows whose values go together. Shares add up to 1: the postage is too low
# for the weight, and all features of that relation are named.
detector = AutoEncoderOutlierDetector(AutoEncoder(0.99), false_alarm_rate=0.01, random_state=0)
is_alarm = detector.fit(X_train).predict(X_new) == -1
print(f"alarms: {is_alarm[is_wrong].sum()} of the 20 wrong rows,", end=" ")
print(f"{is_alarm[~is_wrong].sum()} of the other 480")
print(detector.explain(X_new[is_alarm & is_wrong]).mean().round(2).to_string())

# %%
# A list of rows to look at
# -------------------------
# ``adjust="bh"`` makes a list for a whole set: of the rows whose adjusted p-value is at most 0.1, a
# share of at most 0.1 are false alarms in the mean. The picture shows the oddest wrong row.
is_listed = detector.p_values(X_new, adjust="bh") <= 0.1
print(f"listed: {is_listed.sum()} rows, of which {is_wrong[is_listed].sum()} are wrong")
OutlierDisplay.from_estimator(detector, X_new[is_wrong])
plt.show()
