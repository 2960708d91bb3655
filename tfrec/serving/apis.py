"""TensorFlow Serving's protocol buffers and stubs, from `tensorflow-serving-api`.

They come with gRPC. Its event engine, which hands each message to one more thread, is
switched off for lower latency, unless the environment variable `GRPC_EXPERIMENTS` is
set; a gRPC that was imported before stays as it is.
"""

import os

os.environ.setdefault("GRPC_EXPERIMENTS", "-event_engine_client,-event_engine_listener")

try:
    import grpc
    from tensorflow_serving.apis import (
        classification_pb2,
        get_model_metadata_pb2,
        get_model_status_pb2,
        inference_pb2,
        input_pb2,
        logging_pb2,
        model_management_pb2,
        model_pb2,
        model_service_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_log_pb2,
        prediction_service_pb2,
        prediction_service_pb2_grpc,
        regression_pb2,
        status_pb2,
    )
    from tensorflow_serving.config import (
        logging_config_pb2,
        model_server_config_pb2,
    )
except ModuleNotFoundError as error:
    raise ImportError(
        "Serving needs gRPC and TensorFlow Serving's protocol: "
        'pip install "tfrec[serving]"'
    ) from error

__all__ = [
    "classification_pb2",
    "get_model_metadata_pb2",
    "get_model_status_pb2",
    "grpc",
    "inference_pb2",
    "input_pb2",
    "logging_config_pb2",
    "logging_pb2",
    "model_management_pb2",
    "model_pb2",
    "model_server_config_pb2",
    "model_service_pb2",
    "model_service_pb2_grpc",
    "predict_pb2",
    "prediction_log_pb2",
    "prediction_service_pb2",
    "prediction_service_pb2_grpc",
    "regression_pb2",
    "status_pb2",
]
