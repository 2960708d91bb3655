"""Warm-up records: written as TensorFlow Serving reads them, read with suspicion."""

import os
import struct

import numpy as np
import pytest
import tensorflow as tf
from tensorflow_serving.apis import prediction_log_pb2

from tfrec.serving import warmup
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError

INPUTS = {
    "k": np.array(5, np.int32),
    "history": np.array([[1, -(10**12)], [3, 4]], np.int64),
    "rating": np.array([[0.5, np.inf]], np.float32),
    "gender": np.array(["F", "é"], object),
    "seen": np.zeros([2, 0], np.int64),
}
SIGNATURES = {
    "retrieve": {
        "inputs": {
            "history": {"dtype": "int64", "shape": [None, None]},
            "k": {"dtype": "int32", "shape": []},
        }
    }
}
GOOD = {"history": INPUTS["history"], "k": INPUTS["k"]}


def logs(count):
    return [warmup.predict_log("warmup", {"n": np.array(n)}) for n in range(count)]


def path_of(folder):
    return folder / "assets.extra" / "tf_serving_warmup_requests"


def write_raw(folder, *records):
    path_of(folder).parent.mkdir()
    with tf.io.TFRecordWriter(str(path_of(folder))) as writer:
        for record in records:
            writer.write(record)


def test_the_file_is_a_tfrecord_of_prediction_logs(tmp_path):
    warmup.write(tmp_path, [warmup.predict_log("retrieve", INPUTS, "nann"), *logs(2)])
    assert [p.name for p in (tmp_path / "assets.extra").iterdir()] == [
        "tf_serving_warmup_requests"
    ]
    found = [
        prediction_log_pb2.PredictionLog.FromString(record.numpy())
        for record in tf.data.TFRecordDataset(str(path_of(tmp_path)))
    ]
    assert len(found) == 3
    request = found[0].predict_log.request
    assert request.model_spec.name == "nann"
    assert request.model_spec.signature_name == "retrieve"
    assert request.inputs.keys() == INPUTS.keys()
    for name, expected in INPUTS.items():
        value = tf.make_ndarray(request.inputs[name])
        if name == "gender":
            value = np.array([text.decode() for text in value], object)
        assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(value, expected)


def test_read_gives_what_was_written_in_order(tmp_path):
    warmup.write(tmp_path, logs(3))
    assert list(warmup.read(tmp_path)) == logs(3)
    warmup.write(tmp_path, logs(1))
    assert list(warmup.read(tmp_path)) == logs(1)
    warmup.write(tmp_path, [])
    assert list(warmup.read(tmp_path)) == []


def test_a_folder_without_records_has_none(tmp_path):
    assert list(warmup.read(tmp_path)) == []


def test_a_failed_write_keeps_the_old_records(tmp_path, monkeypatch):
    warmup.write(tmp_path, logs(2))

    class FullDisk(tf.io.TFRecordWriter):
        def write(self, record):
            super().write(record)
            raise tf.errors.ResourceExhaustedError(None, None, "no space left")

    monkeypatch.setattr(tf.io, "TFRecordWriter", FullDisk)
    with pytest.raises(OSError, match="tf_serving_warmup_requests.*no space left"):
        warmup.write(tmp_path, logs(5))
    assert list(warmup.read(tmp_path)) == logs(2)
    assert len(list((tmp_path / "assets.extra").iterdir())) == 1


def test_there_are_at_most_a_thousand(tmp_path):
    warmup.write(tmp_path, logs(1000))
    assert len(list(warmup.read(tmp_path))) == 1000
    with pytest.raises(ValueError, match="at most 1000.* Received: 1001"):
        warmup.write(tmp_path, logs(1001))
    assert len(list(warmup.read(tmp_path))) == 1000


def refused(folder, code, message):
    with pytest.raises(ServingError, match=message) as caught:
        list(warmup.read(folder))
    assert caught.value.code == code
    assert str(path_of(folder)) in caught.value.message


def test_more_than_a_thousand_are_refused_before_any_is_given(tmp_path):
    write_raw(tmp_path, *[log.SerializeToString() for log in logs(1001)])
    message = "at most 1000 warm-up records. Received: 1001"
    refused(tmp_path, grpc.StatusCode.INVALID_ARGUMENT, message)
    with pytest.raises(ServingError):
        next(warmup.read(tmp_path))


def test_a_record_must_be_a_prediction_log(tmp_path):
    write_raw(tmp_path, logs(1)[0].SerializeToString(), b"\xff\xff no protobuf")
    refused(tmp_path, grpc.StatusCode.INVALID_ARGUMENT, "record 1 of .*PredictionLog")


def test_a_cut_file_is_refused_wherever_it_was_cut(tmp_path):
    warmup.write(tmp_path, logs(2))
    whole = path_of(tmp_path).read_bytes()
    assert len(whole) % 2 == 0
    for size in range(1, len(whole)):
        if size == len(whole) // 2:  # the end of the first record
            continue
        path_of(tmp_path).write_bytes(whole[:size])
        refused(tmp_path, grpc.StatusCode.DATA_LOSS, "must be a whole TFRecord file")


def test_a_flipped_bit_is_refused_wherever_it_is(tmp_path):
    warmup.write(tmp_path, logs(1))
    whole = bytearray(path_of(tmp_path).read_bytes())
    for place in range(len(whole)):
        whole[place] ^= 1
        path_of(tmp_path).write_bytes(whole)
        refused(tmp_path, grpc.StatusCode.DATA_LOSS, "must be a whole TFRecord file")
        whole[place] ^= 1


def test_a_length_beyond_the_file_is_not_believed(tmp_path):
    """With its checksum right, TensorFlow would ask for that much memory."""
    path_of(tmp_path).parent.mkdir()
    length = struct.pack("<Q", 2**60)
    path_of(tmp_path).write_bytes(length + masked_crc32c(length) + bytes(100))
    refused(tmp_path, grpc.StatusCode.DATA_LOSS, f"record 0 of {2**60} bytes")


def masked_crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    crc ^= 0xFFFFFFFF
    rotated = ((crc >> 15) | (crc << 17)) & 0xFFFFFFFF
    return struct.pack("<I", (rotated + 0xA282EAD8) & 0xFFFFFFFF)


def test_the_checksum_of_the_test_is_tensorflows(tmp_path):
    write_raw(tmp_path, b"abc")
    raw = path_of(tmp_path).read_bytes()
    assert raw[8:12] == masked_crc32c(raw[:8])


def test_what_is_no_file_is_refused(tmp_path):
    path_of(tmp_path).parent.mkdir()
    os.mkfifo(path_of(tmp_path))
    refused(tmp_path, grpc.StatusCode.DATA_LOSS, "Received: no file")


def test_check_lets_what_suits_pass():
    other = prediction_log_pb2.PredictionLog()
    other.classify_log.request.model_spec.signature_name = "classify"
    warmup.check([warmup.predict_log("retrieve", GOOD), other], SIGNATURES)


@pytest.mark.parametrize(
    ("signature", "inputs", "message"),
    [
        ("score", GOOD, r"must call one of \['retrieve'\]. Received: 'score'"),
        ("retrieve", {"k": GOOD["k"]}, "must call 'retrieve' with .*history"),
        ("retrieve", {**GOOD, "seen": GOOD["history"]}, "Received: .*seen"),
        ("retrieve", {**GOOD, "k": np.array(5)}, "Received: .*tf.int64"),
        ("retrieve", {**GOOD, "k": np.ones([1], np.int32)}, r"shape=\(1,\)"),
    ],
)
def test_check_errors(signature, inputs, message):
    record = warmup.predict_log(signature, inputs)
    with pytest.raises(ValueError, match=message):
        warmup.check([record], SIGNATURES)
