"""Configurations are taken over, folders looked at, labels kept to their rules."""

import asyncio
import contextlib

import pytest

from tests.serving.server import fakes
from tfrec.serving.apis import grpc, model_pb2
from tfrec.serving.errors import ServingError
from tfrec.serving.server.lifecycle import State


def served(models, name: str) -> list[int]:
    versions = models.manager.versions(name)
    return [v.id.version for v in versions if v.state is State.AVAILABLE]


def labelled(label: str, name: str = "half") -> model_pb2.ModelSpec:
    return model_pb2.ModelSpec(name=name, version_label=label)


@contextlib.asynccontextmanager
async def background(work):
    """Runs a coroutine that does not end by itself."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def failure(work) -> ServingError:
    with pytest.raises(ServingError) as error:
        await work
    return error.value


def test_versions_that_appear_are_found(tmp_path):
    half = tmp_path / "half"
    fakes.write(half, 1)

    async def body():
        async with fakes.serving(tmp_path) as models:
            await models.take(fakes.config_of(half))
            await models.manager.wait_for(models.names)
            async with background(models.keep_looking(0.01)):
                fakes.write(half, 2)
                await fakes.until(lambda: served(models, "half") == [2])
                half.rename(tmp_path / "away")  # what is loaded stays
                fakes.write(half, 3)
                await fakes.until(lambda: served(models, "half") == [3])

    asyncio.run(body())


def test_a_base_path_that_vanishes_ends_nothing(tmp_path, caplog):
    half = tmp_path / "half"
    fakes.write(half, 1)

    async def body():
        async with fakes.serving(tmp_path) as models:
            await models.take(fakes.config_of(half))
            await models.manager.wait_for(models.names)
            half.rename(tmp_path / "away")
            assert await models.look() == {}
            await models.look()
            assert served(models, "half") == [1]

    asyncio.run(body())
    assert caplog.text.count("Could not find base path") == 1


def test_an_empty_base_path_ends_what_it_served(tmp_path, caplog):
    half = tmp_path / "half"
    folder = fakes.write(half, 1)

    async def body():
        async with fakes.serving(tmp_path) as models:
            await models.take(fakes.config_of(half))
            await models.manager.wait_for(models.names)
            folder.rename(tmp_path / "away")
            await models.look()
            await fakes.until(lambda: served(models, "half") == [])

    asyncio.run(body())
    assert "Did you forget to name your leaf directory as a number" in caplog.text


def test_a_reload_adds_and_removes_models_and_waits_for_new_ones(tmp_path):
    paths = [tmp_path / name for name in ("a", "b", "c")]
    for path in paths:
        fakes.write(path, 1)

    async def body():
        async with fakes.serving(tmp_path) as models:
            seen = []
            models.follow(lambda config: seen.append(len(models.names)))
            await models.take(fakes.config_of(*paths[:2]))
            await models.manager.wait_for(models.names)
            await models.reload(fakes.config_of(*paths[1:]))
            assert models.names == {"b", "c"}
            assert served(models, "c") == [1]
            await fakes.until(lambda: served(models, "a") == [])
            assert seen == [0, 2, 2]

    asyncio.run(body())


def test_a_reload_that_breaks_a_rule_changes_nothing(tmp_path):
    fakes.write(tmp_path / "a", 1)

    async def body():
        async with fakes.serving(tmp_path) as models:
            await models.take(fakes.config_of(tmp_path / "a"))
            config = models.config
            error = await failure(models.reload(fakes.config_of(tmp_path / "none")))
            assert error.code == grpc.StatusCode.INVALID_ARGUMENT
            assert models.config is config
            assert models.names == {"a"}

    asyncio.run(body())


def test_a_new_model_that_can_not_be_loaded_is_reported(tmp_path):
    fakes.write(tmp_path / "bad", 1, fail="no graph")
    (tmp_path / "empty").mkdir()

    async def body():
        async with fakes.serving(tmp_path) as models:
            error = await failure(models.reload(fakes.config_of(tmp_path / "bad")))
            assert error.code == grpc.StatusCode.UNKNOWN
            assert "1 model(s) did not become available" in error.message
            assert "INVALID_ARGUMENT: no graph" in error.message
            error = await failure(models.reload(fakes.config_of(tmp_path / "empty")))
            assert error.code == grpc.StatusCode.NOT_FOUND
            assert "Unable to find a numerical version path" in error.message

    asyncio.run(body())


def test_labels_name_available_versions(tmp_path):
    half = tmp_path / "half"
    for number in (1, 2):
        fakes.write(half, number)
    config = fakes.config_of(half)
    (model,) = config.model_config_list.config
    model.model_version_policy.all.SetInParent()

    async def body():
        async with fakes.serving(tmp_path) as models:
            await models.take(config)
            await fakes.until(lambda: served(models, "half") == [2, 1])
            model.version_labels["stable"] = 1
            await models.reload(config)
            assert models.resolve(labelled("stable")).id.version == 1
            changed = type(config).FromString(config.SerializeToString())
            changed.model_config_list.config[0].version_labels["stable"] = 3
            error = await failure(models.reload(changed))
            assert error.code == grpc.StatusCode.FAILED_PRECONDITION
            assert error.message == (
                "Request to assign label to version 3 of model half, which is not "
                "currently available for inference"
            )
            assert models.resolve(labelled("stable")).id.version == 1

    asyncio.run(body())


def test_a_new_label_may_name_any_version_if_that_is_allowed(tmp_path):
    half = tmp_path / "half"
    fakes.write(half, 1)
    config = fakes.config_of(half)
    (model,) = config.model_config_list.config
    model.version_labels["stable"] = 1

    async def body():
        async with fakes.serving(tmp_path, any_label=True) as models:
            await models.take(config)
            await models.manager.wait_for(models.names)
            assert models.resolve(labelled("stable")).id.version == 1
            changed = type(config).FromString(config.SerializeToString())
            changed.model_config_list.config[0].version_labels["stable"] = 3
            error = await failure(models.take(changed))
            assert error.code == grpc.StatusCode.FAILED_PRECONDITION

    asyncio.run(body())


def test_unknown_labels_and_names(tmp_path):
    async def body():
        async with fakes.serving(tmp_path) as models:
            for spec, message in (
                (labelled("x"), "Unrecognized servable version label: x"),
                (model_pb2.ModelSpec(), "ModelSpec has no name specified."),
            ):
                with pytest.raises(ServingError) as error:
                    models.resolve(spec)
                assert error.value.code == grpc.StatusCode.INVALID_ARGUMENT
                assert error.value.message == message

    asyncio.run(body())


@pytest.mark.parametrize("target", ["other", "outside"])
def test_a_base_path_that_is_a_link_is_held_to_the_rules_at_each_look(
    tmp_path, caplog, target
):
    root, link = tmp_path / "root", tmp_path / "root" / "half"
    fakes.write(root / "first", 1)
    fakes.write(root / "other", 2)
    fakes.write(tmp_path / "outside", 2)
    link.symlink_to("first")

    async def body():
        async with fakes.serving(root) as models:
            await models.take(fakes.config_of(link))
            await models.manager.wait_for(models.names)
            async with background(models.keep_looking(0.01)):
                new = root / "new"
                new.symlink_to(root / target if target == "other" else "../outside")
                new.rename(link)
                if target == "other":
                    await fakes.until(lambda: served(models, "half") == [2])
                    return
                await fakes.until(lambda: "must be below `--model_root`" in caplog.text)
                assert served(models, "half") == [1]

    asyncio.run(body())


def test_a_configuration_file_that_changes_is_taken_over(tmp_path, caplog):
    for name in ("a", "b"):
        fakes.write(tmp_path / name, 1)
    path = tmp_path / "models.config"
    first, second = fakes.config_of(tmp_path / "a"), fakes.config_of(tmp_path / "b")
    path.write_text(str(first))

    async def body():
        async with fakes.serving(tmp_path) as models:
            await models.take(first)
            await models.manager.wait_for(models.names)
            async with background(models.keep_reading(path, 0.01)):
                path.write_text("no configuration")
                await fakes.until(lambda: "The configuration stays" in caplog.text)
                assert models.names == {"a"}
                path.write_text(str(second))
                await fakes.until(lambda: served(models, "b") == [1])
                await fakes.until(lambda: served(models, "a") == [])

    asyncio.run(body())


def test_a_configuration_file_is_taken_over_also_where_a_model_has_no_version(
    tmp_path, caplog
):
    fakes.write(tmp_path / "a", 1)
    (tmp_path / "b").mkdir()
    path = tmp_path / "models.config"
    path.write_text(str(fakes.config_of(tmp_path / "a", tmp_path / "b")))

    async def body():
        async with fakes.serving(tmp_path) as models:
            await models.take(fakes.config_of(tmp_path / "a"))
            async with background(models.keep_reading(path, 0.01)):
                await fakes.until(lambda: "No versions of servable b" in caplog.text)
                assert models.names == {"a", "b"}

    asyncio.run(body())
    assert "The configuration stays" not in caplog.text
