"""`python -m tfrec.data list|info|prepare`: data sets at the command line."""

import argparse
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq
from rich import console, table

from tfrec import artifacts
from tfrec.data import catalog, prepared
from tfrec.data.errors import DataError


def main(arguments: list[str] | None = None) -> int:
    """Runs a command; returns the exit status, 1 after an error."""
    options = _parser().parse_args(arguments)
    try:
        options.run(options)
    except (artifacts.ArtifactError, pa.ArrowInvalid, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tfrec.data",
        description="Lists, describes and prepares data sets. They live in "
        "--data_home, else $TFREC_DATA_HOME, else ~/.cache/tfrec.",
    )
    home = argparse.ArgumentParser(add_help=False)
    home.add_argument("--data_home", help="folder of prepared sets")
    commands = parser.add_subparsers(required=True, metavar="list|info|prepare")
    add = commands.add_parser
    show = add("list", parents=[home], help="what is known, what is there, where")
    show.set_defaults(run=_list)
    info = add("info", parents=[home], help="rows, columns, terms and source of a set")
    info.add_argument("name", help="for example ml-100k")
    info.set_defaults(run=_info)
    make = add(
        "prepare", parents=[home], help="download or read a raw file, write the set"
    )
    names = [name for name, known in catalog.KNOWN.items() if known.raw]
    make.add_argument("name", help=", ".join(names))
    make.add_argument("--raw", help="the raw file or folder, when it is at hand")
    make.add_argument("--overwrite", action="store_true", help="replace what is there")
    make.set_defaults(run=_prepare)
    return parser


def _list(options: argparse.Namespace) -> None:
    root = catalog.home(options.data_home)
    found = {p.parent.name for p in root.glob("*/meta.json")}
    shown = table.Table("set", "there", title=str(root))
    shown.add_column("how to get it", overflow="fold")
    for name in [*catalog.KNOWN, *sorted(found - set(catalog.KNOWN))]:
        known = catalog.KNOWN.get(name)
        if known is None:
            how = "put here by hand"
        elif known.url is not None:
            how = f"python -m tfrec.data prepare {name}"
        elif known.raw is not None:
            how = f"prepare {name} --raw={known.raw}, from {known.page}"
        else:
            how = f"a prepared folder; {known.page}"
        shown.add_row(name, "yes" if name in found else "no", how)
    console.Console().print(shown)


def _info(options: argparse.Namespace) -> None:
    folder = catalog.home(options.data_home) / options.name
    if not (folder / "meta.json").is_file():
        raise DataError(catalog.how_to_get(options.name, folder))
    _describe(folder)


def _prepare(options: argparse.Namespace) -> None:
    _describe(
        catalog.make(
            options.name, options.raw, options.data_home, overwrite=options.overwrite
        )
    )


def _describe(folder: pathlib.Path) -> None:
    """Prints `meta.json` and the tables' columns; no row is read."""
    meta = artifacts.load(
        folder, kind=prepared.KIND, format=prepared.FORMAT, verify=False
    )
    print(f"{meta.get('name', folder.name)}: {folder}")
    for key, value in meta.items():
        if key not in ("name", "files", "kind"):
            print(f"  {key}: {value}")
    print(f"  sha256: {prepared.checksum(meta)}")
    for name in meta["files"]:
        if name.endswith(".parquet"):
            rows = pq.ParquetFile(folder / name)
            columns = ", ".join(rows.schema_arrow.names)
            num_rows = rows.metadata.num_rows
            print(f"  {name.removesuffix('.parquet')}: {num_rows} rows: {columns}")


if __name__ == "__main__":
    sys.exit(main())
