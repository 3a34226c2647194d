"""Texts are what they are said to be, and windows are cut from the front."""

import numpy as np
import pytest

import models


@pytest.mark.parametrize(("name", "size"), [("owt_5", 672_278), ("wikipedia_5", 603_675)])
def test_named_texts_have_their_published_size(name, size):
    assert len(models.load_text(name).encode()) == size


def test_the_first_words_of_owt_5():
    assert models.load_text("owt_5").startswith("Donald Trump likes to cite a certain labor-allied")


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("naïve\n", encoding="utf-8")
    assert models.load_text(path) == models.load_text(str(path)) == "naïve\n"


def test_neither_a_name_nor_a_file():
    with pytest.raises(FileNotFoundError, match="no evaluation text of that name; known: owt_5, wiki"):
        models.load_text("owt_6")


def test_a_file_that_is_not_text(tmp_path):
    path = tmp_path / "binary.txt"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="binary.txt is not UTF-8"):
        models.load_text(path)


def test_windows_are_consecutive():
    cut = models.windows(np.arange(13, dtype=np.int32), count=3, length=4)
    np.testing.assert_array_equal(cut, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]])
    assert cut.dtype == np.int32


def test_windows_say_how_many_there_would_be():
    with pytest.raises(ValueError, match="3 windows of 5 tokens need 15 tokens; the text has 13, enough for 2"):
        models.windows(np.arange(13), count=3, length=5)
    with pytest.raises(ValueError, match="both must be at least 1"):
        models.windows(np.arange(13), count=0, length=5)
