"""One process at a time writes a run's folder; the lock ends with its process."""

import errno
import os
import signal
import subprocess
import sys

import pytest
from filelock import FileLock
from tests.support.waiting import wait_until

from gradlab.artifacts import lock
from gradlab.artifacts.lock import HeldError, holding, holding_tables, is_held

HOLDER = """
import os, signal, sys
from pathlib import Path
from gradlab.artifacts.lock import holding

with holding(Path(sys.argv[1])):
    if os.fork() == 0:  # a worker that outlives the process
        signal.pause()
    print("held", flush=True)
    signal.pause()
"""


def test_a_second_process_is_refused_by_name_until_the_first_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as holder:
        assert holder.stdout.readline() == "held\n"
        assert is_held(tmp_path)
        with pytest.raises(HeldError) as refusal, holding(tmp_path):
            pass
        assert str(refusal.value).startswith(f"{tmp_path} is being written by process {holder.pid} on ")
        assert "\n" not in str(refusal.value)
        holder.kill()
        wait_until(lambda: not is_held(tmp_path))
        with holding(tmp_path):
            assert is_held(tmp_path)
        os.killpg(holder.pid, signal.SIGKILL)  # the worker
    assert not list(tmp_path.iterdir())


def test_a_folder_can_be_held_again_after_an_error(tmp_path):
    for _ in range(2):
        with pytest.raises(ValueError, match="no"), holding(tmp_path), holding_tables(tmp_path):
            raise ValueError("no")
    assert not is_held(tmp_path)


def test_two_runs_in_one_process_do_not_share_a_folder(tmp_path):
    with holding(tmp_path), pytest.raises(HeldError, match=f"process {os.getpid()} on"), holding(tmp_path):
        pass


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOLCK])
def test_without_locks_one_warning_is_printed_and_the_run_goes_on(tmp_path, monkeypatch, capsys, number):
    def refuse(self, *arguments, **options):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(FileLock, "acquire", refuse)
    monkeypatch.setattr(lock, "_warned", False)
    for _ in range(2):
        with holding(tmp_path), holding_tables(tmp_path):
            pass
    assert capsys.readouterr().err.count("its file system has no locks") == 1


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), holding(tmp_path / "file"):
        pass
    assert not is_held(tmp_path / "file")
