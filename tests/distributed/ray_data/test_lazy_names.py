import subprocess
import sys

import pytest

import keras_pli.distributed as distributed


@pytest.mark.slow
def test_importing_the_room_imports_no_ray():
    code = "import sys, keras_pli.distributed; print('ray' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "False"


def test_every_name_is_there():
    for name in distributed.__all__:
        assert callable(getattr(distributed, name)), name
    assert set(distributed.__all__) <= set(dir(distributed))
    with pytest.raises(AttributeError, match=r"has no attribute 'explained'"):
        distributed.explained  # noqa: B018
