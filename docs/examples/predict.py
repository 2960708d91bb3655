"""Asks a served NANN for movies by TensorFlow Serving's official stubs, without tfrec.

python docs/examples/predict.py [host:port]
"""

import sys

import grpc
import tensorflow as tf
from tensorflow_serving.apis import predict_pb2, prediction_service_pb2_grpc

address = sys.argv[1] if len(sys.argv) > 1 else "localhost:8500"
request = predict_pb2.PredictRequest()
request.model_spec.name = "nann"
request.model_spec.signature_name = "retrieve"
request.inputs["history"].CopyFrom(tf.make_tensor_proto([[50, 181, 172]], tf.int64))
request.inputs["k"].CopyFrom(tf.make_tensor_proto(5, tf.int32))
with grpc.insecure_channel(address) as channel:
    stub = prediction_service_pb2_grpc.PredictionServiceStub(channel)
    answer = stub.Predict(request, timeout=10)
print("version", answer.model_spec.version.value)
print("ids", tf.make_ndarray(answer.outputs["ids"]))
print("scores", tf.make_ndarray(answer.outputs["scores"]))
