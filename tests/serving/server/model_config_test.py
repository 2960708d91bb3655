"""Text-format configurations and their rules."""

import pathlib

import pytest
from google.protobuf import text_format

from tests.serving.server import fakes
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server import model_config
from tfrec.serving.server.config import LoadConfig, ServerConfig
from tfrec.serving.server.model_config import Config, ModelRules

TEXT = """
model_config_list {
  config {
    name: 'half' base_path: '%(root)s/half' model_platform: 'tensorflow'
    model_version_policy { specific { versions: 1 versions: 3 } }
    version_labels { key: 'stable' value: 1 }
    logging_config {
      log_collector_config { filename_prefix: 'half/requests' }
      sampling_config { sampling_rate: 0.5 }
    }
  }
  config {
    name: 'other' base_path: '%(root)s/deep/other' model_type: TENSORFLOW
    model_version_policy { all {} }
  }
}
"""


@pytest.fixture
def root(tmp_path) -> pathlib.Path:
    """A folder with two base paths."""
    for name in ("half", "deep/other"):
        (tmp_path / "models" / name).mkdir(parents=True)
    return tmp_path / "models"


@pytest.fixture
def config(root) -> Config:
    """Two models that keep to the rules."""
    return text_format.Parse(TEXT % {"root": root}, Config())


@pytest.fixture
def rules(root, tmp_path) -> ModelRules:
    """What the models must keep to."""
    return ModelRules((root.resolve(),), tmp_path / "logs")


def problem(rules: ModelRules, config: Config) -> str:
    with pytest.raises(ServingError) as error:
        rules.check(config)
    assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT
    return error.value.message


def test_a_file_is_read(tmp_path, root, config, rules):
    path = tmp_path / "models.config"
    path.write_text(TEXT % {"root": root})
    assert model_config.read_models(path) == config
    rules.check(config)


@pytest.mark.parametrize("text", ["model_config_list {", "models { }", "\xff\xfe"])
def test_a_file_that_is_none_is_named(tmp_path, text):
    path = tmp_path / "models.config"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(ServingError, match="must be a ModelServerConfig in text"):
        model_config.read_models(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "other"}, "Illegal to list model other multiple times"),
        ({"name": ""}, "`name` of a model must not be empty"),
        ({"name": "a/b"}, "`name` of a model must not be empty, nor contain"),
        ({"name": "a\0b"}, "`name` of a model must not be empty, nor contain"),
        ({"model_platform": ""}, "Illegal setting neither ModelServerConfig::model"),
        ({"model_platform": "caffe"}, "Model half requests unsupported platform caffe"),
        ({"model_type": 1}, "Illegal setting both ModelServerConfig::model_type"),
        ({"base_path": "models/half"}, "Expected model half to have an absolute path"),
        ({"base_path": ""}, "Expected model half to have an absolute path"),
        ({"base_path": "/etc"}, "`base_path` of model half must be below `--model"),
        ({"base_path": "{root}/../x"}, "`base_path` of model half must be below"),
        ({"base_path": "{root}/none"}, "Could not find base path"),
        ({"base_path": "{root}/a\0b"}, "`base_path` of model half must be a path"),
        ({"base_path": "{root}/" + "a" * 300}, "Could not find base path"),
    ],
)
def test_broken_rules_are_named(root, config, rules, changes, message):
    model = config.model_config_list.config[0]
    for name, value in changes.items():
        if isinstance(value, str):
            value = value.replace("{root}", str(root))
        setattr(model, name, value)
    assert message in problem(rules, config)


def test_a_link_does_not_lead_out_of_the_root(tmp_path, root, config, rules):
    (tmp_path / "secret").mkdir()
    (root / "link").symlink_to(tmp_path / "secret")
    config.model_config_list.config[0].base_path = str(root / "link")
    assert "must be below `--model_root`" in problem(rules, config)


def test_a_custom_configuration_is_refused(rules):
    config = Config()
    config.custom_model_config.SetInParent()
    assert "`custom_model_config` is not supported" in problem(rules, config)


@pytest.mark.parametrize(
    "prefix",
    ["", ".", "..", "../x", "/etc/x", "a/../../x", "a\0", "../{}", "a/../../{}"],
)
def test_a_log_stays_below_its_folder(config, rules, prefix):
    prefix = prefix.format(rules.request_log_dir.name)  # the folder by another way
    logging = config.model_config_list.config[0].logging_config
    logging.log_collector_config.filename_prefix = prefix
    assert "`filename_prefix` of model half must be" in problem(rules, config)


@pytest.mark.parametrize("rate", [-0.1, 1.5, float("nan")])
def test_a_sampling_rate_is_a_probability(config, rules, rate):
    config.model_config_list.config[
        0
    ].logging_config.sampling_config.sampling_rate = rate
    assert "`sampling_rate` of model half must be from 0 to 1" in problem(rules, config)


def test_other_log_collectors_are_refused(config, rules):
    logging = config.model_config_list.config[0].logging_config
    logging.log_collector_config.type = "kafka"
    assert "must be one of ('', 'tfrecord')" in problem(rules, config)


def test_a_log_needs_its_folder(root, config):
    rules = ModelRules((root.resolve(),))
    assert "needs `--request_log_dir`" in problem(rules, config)


def test_roots_are_the_parents_of_the_first_base_paths(root, config):
    assert ServerConfig(config).rules().roots == (root, root / "deep")
    single = model_config.single_model("half", root / "half")
    assert ServerConfig(single).rules().roots == (root,)
    other = fakes.config_of(root / "half" / "inner")
    assert "Could not find base path" in problem(ServerConfig(single).rules(), other)
    elsewhere = fakes.config_of(root.parent)
    assert "must be below" in problem(ServerConfig(single).rules(), elsewhere)


def test_the_whole_disk_is_no_default_root():
    config = fakes.config_of(pathlib.Path("/tmp"))
    assert ServerConfig(config).rules().roots == (pathlib.Path("/tmp").resolve(),)


def test_given_roots_are_taken(tmp_path, root, config):
    rules = ServerConfig(config, model_roots=(root / "half",)).rules()
    assert "`base_path` of model other must be below" in problem(
        ModelRules(rules.roots, tmp_path), config
    )


@pytest.mark.parametrize("name", ["max_num_load_retries", "drain_seconds"])
def test_negative_numbers_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` must be at least 0"):
        LoadConfig(**{name: -1})
