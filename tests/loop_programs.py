"""Programs with loops and branches, and what is done with them."""

import numpy as np

import tinygrad_digits as td

_RNG = np.random.default_rng(7)
H, XS = _RNG.standard_normal(3), _RNG.standard_normal((6, 3))
W = _RNG.standard_normal((3, 3))


def rnn(w, **how):
    """Uses w from outside."""
    last, hs = td.scan(lambda h, x: (np.tanh(h @ w + x),) * 2, H, XS, **how)
    return np.sum(hs**2) + np.sum(np.sin(last))


def lstm(w):
    def step(carry, x):
        h, c = carry
        forget, new = td.nn.sigmoid(h @ w + x), np.tanh(x @ w + h)
        c = forget * c + (1 - forget) * new
        return (np.tanh(c), c), h

    return np.sum(td.scan(step, (H, H), XS)[1] ** 2)


def params_in_the_carry(w):
    def step(c, x):
        return {"w": c["w"], "h": np.tanh(c["h"] @ c["w"] + x), "n": c["n"] + 1}, c["n"] * c["h"]

    return np.sum(td.scan(step, {"w": w, "h": H, "n": 0}, XS)[1])


def training(w):
    """A gradient in each step."""

    def step(w, x):
        loss, g = td.value_and_grad(lambda w: np.sum(np.tanh(x @ w) ** 2))(w)
        return w - 0.1 * g, loss

    w, losses = td.scan(step, w, XS)
    return np.sum(w**2) + np.sum(losses)


def nested(w):
    def outer(c, x):
        c, _ = td.scan(lambda h, k: (np.tanh(h @ w + x * k), None), c, np.arange(1.0, 4.0))
        c = td.cond(np.sum(c) > 0, lambda c: c * np.sum(w), lambda c: -c, c)
        c = td.while_loop(lambda c: np.sum(c**2) < 2, lambda c: c * 1.5 + 0.1, c, max_steps=10)
        return c, c[0]

    c, ys = td.scan(outer, H, XS)
    return np.sum(c) + np.sum(ys**2)


clipped = td.custom_vjp(lambda x: x, lambda x: (x, None), lambda _, g: (np.clip(g, -0.1, 0.1),))


def custom_rule(w):
    return np.sum(td.scan(lambda h, x: (clipped(np.tanh(h @ w + x)),) * 2, H, XS)[1] ** 2)


def checkpoints_inside(w):
    cell = td.checkpoint(lambda h, w, x: np.tanh(h @ w + x))
    return np.sum(td.scan(lambda h, x: (cell(h, w, x),) * 2, H, XS)[1] ** 2)


def several_results(w):
    """An op with three results, and checks of its own."""

    def step(h, _):
        u, s, _ = np.linalg.svd(w * (2 + np.sum(h**2)))
        return 0.1 * h + s, np.sum(u**2 * s)

    h, ys = td.scan(step, H, length=3)
    return np.sum(h) + np.sum(ys)


def losses_inside(w):
    def step(h, x):
        logits = (h @ w + x)[None]
        return td.nn.softmax(logits[0]), td.nn.cross_entropy(logits, np.array([1]))

    return np.sum(td.scan(step, H, XS)[1])


def writing(w):
    def body(i, c):
        return td.at(c)[i].set(c[i] * c[i - 1] + w[i, 0])

    return np.sum(td.fori_loop(0, 3, body, H) ** 2)


def choosing(w):
    def step(h, k):
        branches = [lambda h: h @ w, lambda h: np.tanh(h) * w[0], lambda h: h]
        return td.switch(k, branches, h), h

    return np.sum(td.scan(step, H, np.array([0, 1, 2, 1, 0]))[1] ** 2)


def counting(w):
    return np.sum(
        td.while_loop(lambda c: np.sum(c**2) < 50, lambda c: 1.4 * c + w[0], H, max_steps=30)
    )


def mapped(w):
    return np.sum(td.map(lambda x: np.sin(x @ w), XS) ** 2)


def prefixes(w):
    return np.sum(td.associative_scan(np.multiply, np.sin(XS @ w) + 2) ** 2)


def shifted(w):
    """Carries that change places, one that is reset, and one of another order in memory."""

    def step(c, x):
        a, b, z, m = c
        return (b, a + x @ w, np.zeros(3), 0.5 * m.T), z + a

    c, ys = td.scan(step, (H, 2 * H, H, w), XS)
    return np.sum(c[0] * c[1]) + np.sum(ys**2) + np.sum(c[3] * W)


PROGRAMS = {
    f.__name__: f
    for f in (
        *(rnn, lstm, params_in_the_carry, training, nested, custom_rule, checkpoints_inside),
        *(several_results, losses_inside, writing, choosing, counting, mapped, prefixes, shifted),
    )
} | {
    "backwards": lambda w: rnn(w, reverse=True),
    "in segments": lambda w: rnn(w, checkpoint=True),
    "in segments of 4, backwards": lambda w: rnn(w, checkpoint=4, reverse=True),
}
TRANSFORMS = {
    "grad": td.grad,
    "hvp": lambda f: lambda w: td.hvp(f, w, np.cos(w)),
    "jvp": lambda f: lambda w: td.jvp(f, w, np.cos(w)),
    "grad of grad": lambda f: td.grad(lambda w: np.sum(np.sin(td.grad(f)(w)))),
}
WS = np.stack([W, 1.1 * W, -W])
