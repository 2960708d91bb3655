"""SimNet on pairs of ids against the equation."""

import numpy as np
import pytest

from tests.pdn import numpy_pdn, problems
from tfrec.pdn.pair_scores import pair_scorer


def test_scores_are_those_of_the_equation():
    model = problems.model(seed=2)
    categories = problems.categories()
    random = np.random.default_rng(0)
    triggers, items = random.integers(1, problems.NUM_ITEMS + 1, (2, 40), np.int32)
    found = pair_scorer(model, {"category": categories})(triggers, items)
    assert found.dtype == np.float32
    buckets = model.cooccurrence.buckets(triggers, items).numpy()
    for place, (j, i) in enumerate(zip(triggers, items, strict=True)):
        pair = [{"item": n, "category": categories[n]} for n in (j, i)]
        expected = numpy_pdn.similarity(model, *pair, buckets[place])
        np.testing.assert_allclose(found[place], expected[0], rtol=1e-5, atol=1e-6)


def test_vectors_are_refused():
    model = problems.model(seed=2, path_width=3)
    with pytest.raises(ValueError, match="scalar paths. Received: path_width=3"):
        pair_scorer(model, {"category": problems.categories()})
