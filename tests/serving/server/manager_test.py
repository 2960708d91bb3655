"""Versions come and go as TensorFlow Serving's do; workers die and come back."""

import asyncio
import pathlib
import signal

import pytest

from tests.serving.server import fakes
from tfrec.serving.apis import grpc
from tfrec.serving.errors import ServingError
from tfrec.serving.server.config import LoadConfig
from tfrec.serving.server.lifecycle import State

NAME = "model"


def states(manager) -> dict[int, State]:
    return {v.id.version: v.state for v in manager.versions(NAME)}


def want(manager, *folders: pathlib.Path) -> None:
    manager.want(NAME, {int(folder.name): folder for folder in folders})


async def ask(manager, version: int | None = None, payload: bytes = b"x") -> bytes:
    worker = manager.resolve(NAME, version).worker
    return await worker.call("Predict", payload, 20.0)


async def until_state(manager, version: int, state: State) -> None:
    await fakes.until(lambda: states(manager).get(version) is state)


def test_a_version_is_loaded_answers_and_ends(tmp_path):
    folder = fakes.write(tmp_path, 1)

    async def body():
        async with fakes.managing() as manager:
            want(manager, folder)
            assert states(manager) == {1: State.START}
            await manager.wait_for([NAME])
            assert states(manager) == {1: State.AVAILABLE}
            answer = await ask(manager)
            assert answer.startswith(b"model/1/")
            assert answer.endswith(b"/Predict/x")
            want(manager)
            await until_state(manager, 1, State.END)
            assert not fakes.is_alive(fakes.pid_of(answer))
            with pytest.raises(ServingError, match=r"request: Latest\(model\)"):
                manager.resolve(NAME, None)

    asyncio.run(body())


def test_not_found_messages_are_tensorflow_servings(tmp_path):
    async def body():
        async with fakes.managing() as manager:
            with pytest.raises(ServingError) as error:
                manager.resolve("other", None)
            assert error.value.code == grpc.StatusCode.NOT_FOUND
            assert error.value.message == (
                "Servable not found for request: Latest(other)"
            )
            with pytest.raises(ServingError) as error:
                manager.resolve("other", 3)
            assert error.value.message == (
                "Servable not found for request: Specific(other, 3)"
            )

    asyncio.run(body())


def test_the_old_version_serves_until_the_new_one_is_there_and_then_drains(tmp_path):
    old, new = fakes.write(tmp_path, 1, wait=True), fakes.write(tmp_path, 2)

    async def body():
        async with fakes.managing() as manager:
            want(manager, old)
            await manager.wait_for([NAME])
            in_flight = asyncio.create_task(ask(manager))
            await fakes.until((old / "waits").exists)
            want(manager, new)
            assert manager.resolve(NAME, None).id.version == 1
            await until_state(manager, 2, State.AVAILABLE)
            assert (await ask(manager)).startswith(b"model/2/")
            assert states(manager)[1] is State.UNLOADING
            with pytest.raises(ServingError, match=r"Specific\(model, 1\)"):
                manager.resolve(NAME, 1)
            assert not in_flight.done()
            (old / "go").touch()
            answer = await in_flight
            assert answer.startswith(b"model/1/")
            await until_state(manager, 1, State.END)
            assert not fakes.is_alive(fakes.pid_of(answer))

    asyncio.run(body())


def test_draining_ends_after_its_time(tmp_path):
    folder = fakes.write(tmp_path, 1, wait=True)
    load = LoadConfig(drain_seconds=0.05)

    async def body():
        async with fakes.managing(load) as manager:
            want(manager, folder)
            await manager.wait_for([NAME])
            in_flight = asyncio.create_task(ask(manager))
            await fakes.until((folder / "waits").exists)
            want(manager)
            await until_state(manager, 1, State.END)
            with pytest.raises(ServingError) as error:
                await in_flight
            assert error.value.code == grpc.StatusCode.UNAVAILABLE

    asyncio.run(body())


def test_a_broken_version_ends_with_its_error_and_the_old_one_stays(tmp_path):
    good, broken = fakes.write(tmp_path, 1), fakes.write(tmp_path, 2, fail="no graph")

    async def body():
        async with fakes.managing() as manager:
            want(manager, good)
            await manager.wait_for([NAME])
            want(manager, broken)
            await until_state(manager, 2, State.END)
            assert states(manager) == {2: State.END, 1: State.AVAILABLE}
            error = manager.versions(NAME)[0].error
            assert (error.code, error.message) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "no graph",
            )
            assert (await ask(manager)).startswith(b"model/1/")
            with pytest.raises(ServingError, match=r"Specific\(model, 2\)"):
                manager.resolve(NAME, 2)
            want(manager, broken)  # as every look at the folder does
            assert len(fakes.starts(broken)) == 1

    asyncio.run(body())


def test_a_load_is_tried_again(tmp_path):
    folder = fakes.write(tmp_path, 1, fail="not yet", once=True)
    loads = []
    load = LoadConfig(max_num_load_retries=1, load_retry_seconds=0.01)

    async def body():
        async with fakes.managing(load, lambda *load: loads.append(load)) as manager:
            want(manager, folder)
            await manager.wait_for([NAME])

    asyncio.run(body())
    assert [(path, is_loaded) for path, is_loaded, _ in loads] == [
        (folder, False),
        (folder, True),
    ]


def test_retries_end(tmp_path):
    folder = fakes.write(tmp_path, 1, fail="never")
    load = LoadConfig(max_num_load_retries=2, load_retry_seconds=0.01)

    async def body():
        async with fakes.managing(load) as manager:
            want(manager, folder)
            with pytest.raises(ServingError) as error:
                await manager.wait_for([NAME])
            assert error.value.code == grpc.StatusCode.UNKNOWN
            assert error.value.message == (
                "1 model(s) did not become available: {{{name: model version: 1} due "
                "to error: INVALID_ARGUMENT: never}}"
            )

    asyncio.run(body())
    assert len(fakes.starts(folder)) == 3


def test_a_newer_version_ends_the_retries_of_a_broken_one(tmp_path):
    broken, good = fakes.write(tmp_path, 1, fail="never"), fakes.write(tmp_path, 2)
    load = LoadConfig(max_num_load_retries=1, load_retry_seconds=3600)

    async def body():
        async with fakes.managing(load) as manager:
            want(manager, broken)
            await fakes.until(lambda: fakes.starts(broken))
            want(manager, good)
            await manager.wait_for([NAME])
            await until_state(manager, 1, State.END)
            assert states(manager) == {2: State.AVAILABLE, 1: State.END}

    asyncio.run(body())


def test_a_load_that_hangs_is_given_up_with_its_process(tmp_path):
    folder = fakes.write(tmp_path, 1, hang=True)

    async def body():
        async with fakes.managing() as manager:
            want(manager, folder)
            await fakes.until(lambda: fakes.starts(folder))
            assert states(manager) == {1: State.LOADING}
            want(manager)
            await until_state(manager, 1, State.END)

    asyncio.run(body())
    assert not fakes.is_alive(*fakes.starts(folder))


def test_a_broken_version_that_comes_back_is_loaded_anew(tmp_path):
    folder = fakes.write(tmp_path, 1, fail="not yet", once=True)

    async def body():
        async with fakes.managing() as manager:
            want(manager, folder)
            await until_state(manager, 1, State.END)
            want(manager)
            want(manager, folder)
            await until_state(manager, 1, State.AVAILABLE)

    asyncio.run(body())


def test_a_version_that_is_wanted_again_while_it_drains_comes_back(tmp_path):
    old, new = fakes.write(tmp_path, 1, wait=True), fakes.write(tmp_path, 2)

    async def body():
        async with fakes.managing() as manager:
            want(manager, old)
            await manager.wait_for([NAME])
            in_flight = asyncio.create_task(ask(manager))
            await fakes.until((old / "waits").exists)
            want(manager, new)
            await until_state(manager, 1, State.UNLOADING)
            want(manager, old)
            (old / "go").touch()
            first = await in_flight
            await until_state(manager, 1, State.AVAILABLE)
            await until_state(manager, 2, State.END)
            assert fakes.pid_of(await ask(manager)) != fakes.pid_of(first)

    asyncio.run(body())


def test_several_versions_serve_side_by_side(tmp_path):
    folders = [fakes.write(tmp_path, number) for number in (1, 2, 3)]

    async def body():
        async with fakes.managing() as manager:
            want(manager, *folders)
            await fakes.until(lambda: set(states(manager).values()) == {30})
            for number in (1, 2, 3):
                prefix = f"model/{number}/".encode()
                assert (await ask(manager, number)).startswith(prefix)
            assert (await ask(manager)).startswith(b"model/3/")
            want(manager, *folders[:2])
            await until_state(manager, 3, State.END)
            assert (await ask(manager)).startswith(b"model/2/")

    asyncio.run(body())


def test_a_killed_worker_is_started_again_and_requests_meanwhile_are_told(tmp_path):
    folder = fakes.write(tmp_path, 1)

    async def body():
        async with fakes.managing() as manager:
            want(manager, folder)
            await manager.wait_for([NAME])
            first = fakes.pid_of(await ask(manager))
            version = manager.resolve(NAME, None)
            worker = version.worker
            fakes.signal(first, signal.SIGKILL)
            await fakes.until(lambda: not fakes.is_alive(first))
            with pytest.raises(ServingError) as error:
                await worker.call("Predict", b"x", 20.0)
            assert error.value.code == grpc.StatusCode.UNAVAILABLE
            await until_state(manager, 1, State.LOADING)
            assert version.worker is None
            assert manager.resolve(NAME, None) is version
            await until_state(manager, 1, State.AVAILABLE)
            assert fakes.pid_of(await ask(manager)) != first

    asyncio.run(body())


def test_a_worker_that_dies_at_a_request_fails_only_what_was_in_flight(tmp_path):
    folder = fakes.write(tmp_path, 1, die=True)

    async def body():
        async with fakes.managing() as manager:
            want(manager, folder)
            await manager.wait_for([NAME])
            with pytest.raises(ServingError) as error:
                await ask(manager)
            assert error.value.code == grpc.StatusCode.UNAVAILABLE
            await until_state(manager, 1, State.LOADING)
            await until_state(manager, 1, State.AVAILABLE)
            assert len(fakes.starts(folder)) == 2

    asyncio.run(body())


def test_calls_have_deadlines_and_the_workers_codes(tmp_path):
    folder = fakes.write(tmp_path, 1, wait=True)

    async def body():
        async with fakes.managing() as manager:
            want(manager, folder)
            await manager.wait_for([NAME])
            worker = manager.resolve(NAME, None).worker
            with pytest.raises(ServingError) as error:
                await worker.call("Predict", b"x", 0.02)
            assert error.value.code == grpc.StatusCode.DEADLINE_EXCEEDED
            assert worker.in_flight == 0
            (folder / "go").touch()
            with pytest.raises(ServingError) as error:
                await worker.call("Predict", b"fail", 20.0)
            assert error.value.code == grpc.StatusCode.OUT_OF_RANGE
            assert error.value.message == "x" * 5000

    asyncio.run(body())


def test_a_link_out_of_the_base_path_is_refused(tmp_path):
    outside = fakes.write(tmp_path / "outside", 2)
    inside = fakes.write(tmp_path / "model", 1)
    link = tmp_path / "model" / "2"
    link.symlink_to(outside)

    async def body():
        async with fakes.managing() as manager:
            want(manager, inside, link)
            await until_state(manager, 2, State.END)
            await until_state(manager, 1, State.AVAILABLE)
            error = manager.versions(NAME)[0].error
            assert error.code == grpc.StatusCode.FAILED_PRECONDITION
            assert f"`{link}` must not lead out of" in error.message

    asyncio.run(body())
    assert fakes.starts(outside) == []


def test_stop_ends_all_workers(tmp_path):
    folders = [fakes.write(tmp_path, number) for number in (1, 2)]
    hanging = fakes.write(tmp_path, 3, hang=True)

    async def body():
        async with fakes.managing() as manager:
            want(manager, *folders, hanging)
            await fakes.until(lambda: list(states(manager).values()).count(30) == 2)

    asyncio.run(body())
    pids = [pid for folder in (*folders, hanging) for pid in fakes.starts(folder)]
    assert len(pids) >= 2
    assert not any(fakes.is_alive(pid) for pid in pids)


def test_ended_versions_are_forgotten_after_a_while(tmp_path, monkeypatch):
    monkeypatch.setattr("tfrec.serving.server.manager._ENDED_KEPT", 2)

    async def body():
        async with fakes.managing() as manager:
            for number in range(1, 6):
                want(manager, fakes.write(tmp_path, number))
                await until_state(manager, number, State.AVAILABLE)
            await fakes.until(
                lambda: states(manager) == {5: State.AVAILABLE, 4: 50, 3: 50}
            )

    asyncio.run(body())
