"""Signal-propagation theory of networks at initialization, in plain numbers: without torch, without files.

`gaussian` has the Gaussian moments of an activation (`Phi`), `affine` an affine map's effect on variances. `profile`
predicts the gradient over depth and `recurrent` over time; `mean_field` has fixed points, chi and the critical line,
and `sensitivity` one term of the tolerance. `forecast` compares a prediction with a measurement, and `sentences` words
the result.
"""
