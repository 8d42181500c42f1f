import errno
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from catalog.bundle.disk import disk_full_reason, is_locked, lock


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_is_told_also_behind_another_error(number):
    told = OSError(number, "said by the system")
    wrapped = ValueError("cannot be saved")
    wrapped.__cause__ = told
    assert disk_full_reason(told) == disk_full_reason(wrapped) is not None


def test_the_words_of_libraries_are_understood():
    assert (
        disk_full_reason(RuntimeError("I/O error: No space left on device (os error 28)")) == "No space left on device"
    )


@pytest.mark.parametrize(
    "error", [OSError(errno.EACCES, "Permission denied"), ValueError("3 of 4 written"), KeyError()]
)
def test_other_faults_are_none(error):
    assert disk_full_reason(error) is None


def test_an_array_that_numpy_could_not_write_is_a_full_disk():
    with Path("/dev/full").open("wb", buffering=0) as full, pytest.raises(OSError, match="requested and") as raised:
        np.zeros(100_000).tofile(full)
    assert disk_full_reason(raised.value)


def test_a_lock_lasts_as_long_as_its_process(tmp_path):
    file = tmp_path / "file"
    assert not is_locked(file)
    code = "import sys; from catalog.bundle.disk import lock; s = open(sys.argv[1], 'wb'); "
    code += "print(lock(s), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        assert is_locked(file)
        with file.open("wb") as stream:
            assert not lock(stream)
        other.kill()
    assert not is_locked(file)
