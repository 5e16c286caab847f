"""The normal quantile in plain arithmetic, so that every compiler gives the same bits."""

from __future__ import annotations

import math

_CENTRE = (
    3.3871328727963666080e0,
    1.3314166789178437745e2,
    1.9715909503065514427e3,
    1.3731693765509461125e4,
    4.5921953931549871457e4,
    6.7265770927008700853e4,
    3.3430575583588128105e4,
    2.5090809287301226727e3,
)
_UNDER_CENTRE = (
    1.0,
    4.2313330701600911252e1,
    6.8718700749205790830e2,
    5.3941960214247511077e3,
    2.1213794301586595867e4,
    3.9307895800092710610e4,
    2.8729085735721942674e4,
    5.2264952788528545610e3,
)
_TAIL = (
    1.42343711074968357734e0,
    4.63033784615654529590e0,
    5.76949722146069140550e0,
    3.64784832476320460504e0,
    1.27045825245236838258e0,
    2.41780725177450611770e-1,
    2.27238449892691845833e-2,
    7.74545014278341407640e-4,
)
_UNDER_TAIL = (
    1.0,
    2.05319162663775882187e0,
    1.67638483018380384940e0,
    6.89767334985100004550e-1,
    1.48103976427480074590e-1,
    1.51986665636164571966e-2,
    5.47593808499534494600e-4,
    1.05075007164441684324e-9,
)
_FAR = (
    6.65790464350110377720e0,
    5.46378491116411436990e0,
    1.78482653991729133580e0,
    2.96560571828504891230e-1,
    2.65321895265761230930e-2,
    1.24266094738807843860e-3,
    2.71155556874348757815e-5,
    2.01033439929228813265e-7,
)
_UNDER_FAR = (
    1.0,
    5.99832206555887937690e-1,
    1.36929880922735805310e-1,
    1.48753612908506148525e-2,
    7.86869131145613259100e-4,
    1.84631831751005468180e-5,
    1.42151175831644588870e-7,
    2.04426310338993978564e-15,
)


def normal_quantile(u: float) -> float:
    """The x that a standard normal stays below with probability `u`, to about 1e-15 (-inf at 0).

    M. J. Wichura, Algorithm AS 241 (PPND16), Applied Statistics 37(3), 1988.

    >>> normal_quantile(0.5), round(normal_quantile(0.975), 6)
    (0.0, 1.959964)
    """
    q = u - 0.5
    if abs(q) <= 0.425:  # noqa: PLR2004 - the algorithm's own borders, here and below
        r = 0.180625 - q * q
        return q * _polynomial(r, _CENTRE) / _polynomial(r, _UNDER_CENTRE)
    if u <= 0.0:
        return -math.inf
    r = math.sqrt(-math.log(min(u, 1.0 - u)))
    if r <= 5.0:  # noqa: PLR2004
        x = _polynomial(r - 1.6, _TAIL) / _polynomial(r - 1.6, _UNDER_TAIL)
    else:
        x = _polynomial(r - 5.0, _FAR) / _polynomial(r - 5.0, _UNDER_FAR)
    return -x if q < 0.0 else x


def _polynomial(x: float, coefficients: tuple[float, ...]) -> float:
    """Horner's rule, lowest power first."""
    value = 0.0
    for place in range(len(coefficients) - 1, -1, -1):
        value = value * x + coefficients[place]
    return value
