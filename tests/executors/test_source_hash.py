"""The hash of sources names one tree of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prometheus.core.sources import hash_of_sources

names = st.text("abc", min_size=1, max_size=3)
trees = st.dictionaries(
    st.lists(names, min_size=1, max_size=3).map("/".join), st.binary(max_size=10), max_size=6
)


@given(trees, st.randoms(use_true_random=False))
def test_the_order_of_files_does_not_matter(tree: dict[str, bytes], dice: object) -> None:
    items = list(tree.items())
    dice.shuffle(items)  # type: ignore[attr-defined]
    assert hash_of_sources(items) == hash_of_sources(tree.items())


@given(trees, trees)
def test_different_trees_have_different_hashes(one: dict[str, bytes], other: dict[str, bytes]) -> None:
    assert (hash_of_sources(one.items()) == hash_of_sources(other.items())) == (one == other)


def test_what_python_leaves_beside_sources_is_no_part_of_them() -> None:
    source = ("jobs.py", b"x = 1")
    assert hash_of_sources([source, ("__pycache__/jobs.cpython-311.pyc", b"\0")]) == hash_of_sources([source])


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a/../b", "a//b", "a\nb"])
def test_a_path_that_is_not_plain_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="not a plain relative path"):
        hash_of_sources([(path, b"")])


def test_a_file_given_twice_is_refused() -> None:
    with pytest.raises(ValueError, match="given twice"):
        hash_of_sources([("a.py", b"1"), ("a.py", b"2")])
