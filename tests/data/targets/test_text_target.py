"""Labels that are texts to generate."""

import pyarrow as pa
import pytest

from motet.data.targets import TextTarget
from motet.problems import InputError


def test_a_column_that_is_not_there_is_named_with_the_nearest():
    with pytest.raises(InputError, match=r"task 'answer': .* no column 'answer' \(did you mean"):
        TextTarget("answer").fit(pa.table({"answers": ["a", "b"]}))
