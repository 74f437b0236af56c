"""The special functions, activations and losses."""

from tests.oracles import Oracle

ORACLES: list[Oracle] = []

PENDING = """
    relu sigmoid softplus logit xlogy entr erf erfc erfinv ndtr mills log_ndtr polygamma digamma
    gammaln beta betaln iv i1
"""
EXACT = dict.fromkeys(PENDING.split(), "not measured yet")
