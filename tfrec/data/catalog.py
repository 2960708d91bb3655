"""The sets that `tfrec` knows: where they come from, and how a missing one is got."""

import dataclasses
import os
import pathlib
from collections.abc import Callable
from typing import Any

from absl import logging

from tfrec.artifacts import ArtifactError
from tfrec.data import download, prepared
from tfrec.data.errors import DataError
from tfrec.data.readers import amazon, gowalla, movielens, userbehavior

_MOVIELENS_TERMS = (
    "MovieLens terms (GroupLens): research use, acknowledge, no redistribution, no "
    "commercial use"
)
_RECBOLE = "recbole==1.2.1"
_RECBOLE_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"


@dataclasses.dataclass(frozen=True)
class Known:
    """A set that can be prepared or at least found.

    Attributes:
        terms: of use.
        page: where its owner describes it and gives it out.
        raw: the file or folder that `prepare` reads, in words; None: there is no
            reader, a prepared folder has to be put in place.
        time_kind: what `timestamp` means.
        read: raw path to tables; None for a streaming reader or none.
        url: the official archive, if it can be had without a login.
        sha256: of that archive.
    """

    terms: str
    page: str
    raw: str | None = None
    time_kind: str = "unix"
    read: Callable[[pathlib.Path], dict[str, dict[str, Any]]] | None = None
    url: str | None = None
    sha256: str = ""


_AMAZON_PAGE = "https://jmcauley.ucsd.edu/data/amazon/"
_AMAZON_TERMS = "McAuley Amazon reviews 2014, 5-core"
KNOWN = {
    "ml-100k": Known(
        terms=_MOVIELENS_TERMS,
        page="https://grouplens.org/datasets/movielens/100k/",
        raw="ml-100k.zip or its folder",
        read=movielens.read_100k,
        url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
        sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
    ),
    "ml-1m": Known(
        terms=_MOVIELENS_TERMS,
        page="https://grouplens.org/datasets/movielens/1m/",
        raw="ml-1m.zip or its folder",
        read=movielens.read_1m,
        url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
        sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
    ),
    "gowalla": Known(
        terms="Gowalla check-ins (SNAP), split of NGCF/LightGCN",
        page="https://github.com/kuandeng/LightGCN/tree/master/Data/gowalla",
        raw="a folder with train.txt and test.txt",
        time_kind="none",
        read=gowalla.read,
    ),
    "taobao-userbehavior": Known(
        terms="Tianchi dataset 649 terms",
        page="https://tianchi.aliyun.com/dataset/649 (login)",
        raw="UserBehavior.csv",
    ),
    "amazon-beauty": Known(
        terms=_AMAZON_TERMS,
        page=_AMAZON_PAGE,
        raw="reviews_Beauty_5.json.gz or a ratings csv",
        time_kind="unix (days)",
        read=amazon.read,
    ),
    "amazon-sports": Known(
        terms=_AMAZON_TERMS,
        page=_AMAZON_PAGE,
        raw="reviews_Sports_and_Outdoors_5.json.gz or a ratings csv",
        time_kind="unix (days)",
        read=amazon.read,
    ),
    "diginetica": Known(
        terms="CIKM Cup 2016",
        page="https://competitions.codalab.org/competitions/11161 (login)",
        time_kind="order",
    ),
    "taobao-userbehavior-84k": Known(
        terms="Tianchi dataset 649 terms",
        page="https://tianchi.aliyun.com/dataset/649 (login)",
    ),
}


def home(path: str | os.PathLike | None = None) -> pathlib.Path:
    """The folder of prepared sets: `path`, else `TFREC_DATA_HOME`, else a cache."""
    if path is None:
        path = os.environ.get("TFREC_DATA_HOME") or "~/.cache/tfrec"
    return pathlib.Path(path).expanduser()


def load(
    name: str, data_home: str | os.PathLike | None = None
) -> prepared.PreparedDataset:
    """Loads a prepared set, checksums and rows checked; ml-100k is prepared if absent.

    Args:
        name: its folder's name in the data home.
        data_home: the folder of prepared sets; None: see `home`.
    Raises: DataError: the set is damaged, or absent: then it says how to get it.
    """
    folder = home(data_home) / name
    if (folder / "meta.json").is_file():
        return prepared.read(folder)
    if name != "ml-100k":
        raise DataError(how_to_get(name, folder))
    logging.info("ml-100k is not in %s: preparing it.", folder.parent)
    return prepare(name, data_home=data_home)


def prepare(
    name: str,
    raw: str | os.PathLike | None = None,
    data_home: str | os.PathLike | None = None,
    *,
    overwrite: bool = False,
) -> prepared.PreparedDataset:
    """Makes a prepared set of its raw file, and loads it.

    Args: as of `make`.
    Raises: DataError: the raw file is absent or breaks a rule, or the set is damaged.
    """
    return prepared.read(make(name, raw, data_home, overwrite=overwrite))


def make(
    name: str,
    raw: str | os.PathLike | None = None,
    data_home: str | os.PathLike | None = None,
    *,
    overwrite: bool = False,
) -> pathlib.Path:
    """Makes a prepared set of its raw file, downloaded where that needs no login.

    Of several processes that make one set at once, one does; the others wait for it.

    Args:
        name: one of `KNOWN`.
        raw: the raw file or folder; None: download.
        data_home: the folder of prepared sets; None: see `home`.
        overwrite: whether a prepared folder is replaced; else it is kept.
    Returns: the set's folder, which is not read back.
    Raises: DataError: the raw file is absent or breaks a rule.
    """
    root = home(data_home)
    folder = root / name
    if (folder / "meta.json").is_file() and not overwrite:
        return folder
    known = KNOWN.get(name)
    if known is None or known.raw is None or (raw is None and known.url is None):
        raise DataError(how_to_get(name, folder))
    with download.lock(root / ".downloads" / f"{name}.lock"):
        try:
            if overwrite or not (folder / "meta.json").is_file():
                _write(name, known, raw, folder, overwrite)
        except ArtifactError:
            # A process that the lock did not stop, of another machine, may be faster.
            if overwrite or not (folder / "meta.json").is_file():
                raise
    return folder


def _write(
    name: str,
    known: Known,
    raw: str | os.PathLike | None,
    folder: pathlib.Path,
    overwrite: bool,
) -> None:
    meta = {"name": name, "time_kind": known.time_kind, "terms": known.terms}
    if raw is None:
        tables, meta["source"] = _download(name, known, folder.parent)
    else:
        path = pathlib.Path(raw).expanduser()
        if not path.exists():
            raise DataError(f"`{path}` must exist: {known.raw}, from {known.page}")
        meta["source"] = f"{path.name}, from {known.page}"
        if known.read is None:
            userbehavior.prepare(path, folder, meta, overwrite=overwrite)
            return
        tables = known.read(path)
    prepared.write(folder, meta, tables, overwrite=overwrite)


def _download(
    name: str, known: Known, root: pathlib.Path
) -> tuple[dict[str, dict[str, Any]], str]:
    """Returns the tables and their source: the official archive, else the wheel."""
    archive = root / ".downloads" / f"{name}.zip"
    assert known.url is not None
    assert known.read is not None
    try:
        path = download.fetch(known.url, archive, known.sha256)
        return known.read(path), known.url
    except download.DownloadError as error:
        if name != "ml-100k":
            raise DataError(
                f"{error}\nOr get {known.raw} from {known.page} and run "
                f"`python -m tfrec.data prepare {name} --raw=FILE`."
            ) from error
        logging.warning("%s\nTaking the copy in %s.", error, _RECBOLE)
    with download.temporary_folder(root) as scratch:
        wheel = download.fetch_wheel(_RECBOLE, _RECBOLE_SHA256, pathlib.Path(scratch))
        return movielens.read_recbole_100k(wheel), f"wheel {_RECBOLE}"


def how_to_get(name: str, folder: pathlib.Path) -> str:
    """Says in words how a set that is not in `folder` can be had."""
    known = KNOWN.get(name)
    absent = f"`{name}` must be a prepared set in {folder}."
    if known is None:
        return f"{absent} Known sets: {', '.join(KNOWN)}."
    if known.url is not None:
        return f"{absent} Run `python -m tfrec.data prepare {name}`."
    if known.raw is not None:
        return (
            f"{absent} Get {known.raw} from {known.page}, then run "
            f"`python -m tfrec.data prepare {name} --raw=PATH`."
        )
    return (
        f"{absent} There is no reader for its raw files ({known.page}): put a folder "
        "in the prepared format there, or set TFREC_DATA_HOME to where it is."
    )
