"""The public names of `models`, and the old ones."""

import pytest

import models


def test_old_names_give_the_new_with_a_warning():
    for old, new in models._RENAMED.items():
        with pytest.warns(DeprecationWarning, match=f"models.{old} is now models.{new}"):
            assert getattr(models, old) is getattr(models, new)


def test_unknown_name_raises_as_an_attribute():
    with pytest.raises(AttributeError, match="module 'models' has no attribute 'llama3'"):
        _ = models.llama3


def test_all_names_are_there():
    assert all(hasattr(models, name) for name in models.__all__)
