"""Models that really read and write files are refused before anything of them runs."""

import pytest
import tensorflow as tf

from tests.serving import attacks
from tfrec.serving import allow_list
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError


@pytest.mark.parametrize("name", attacks.ATTACKS)
def test_an_attack_that_works_is_refused(name, tmp_path):
    attack = attacks.ATTACKS[name]
    folder = attacks.write(attack, tmp_path)
    with pytest.raises(ServingError, match=f"`{attack.op}`") as refused:
        allow_list.check(folder)
    assert refused.value.code == grpc.StatusCode.FAILED_PRECONDITION
    assert "docs/serving.md" in refused.value.message
    assert not list(tmp_path.glob("target*"))

    serve = tf.saved_model.load(str(folder)).signatures["serving_default"]
    answer = serve(x=tf.constant([""]))["output_0"]
    if attack.writes:
        assert list(tmp_path.glob("target*"))
    else:
        assert attacks.SECRET in b"".join(tf.reshape(answer, [-1]).numpy())
