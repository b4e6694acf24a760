"""The environment of a run, of which git is asked without running what a repository names."""

import os
import subprocess
import time

import pytest

from gradlab.artifacts.environment import describe_environment


@pytest.mark.skipif(os.name == "nt", reason="the programs are shell scripts")
def test_nothing_that_a_repository_names_is_run(tmp_path, monkeypatch):
    repository = tmp_path / "repository"
    repository.mkdir()
    monkeypatch.chdir(repository)

    def git(*arguments):
        names = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *names, *arguments], check=True, capture_output=True)

    git("init")
    (repository / "file").write_text("a")
    (repository / ".gitattributes").write_text("file filter=own\n")
    git("add", ".")
    git("commit", "-m", "first")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran-$1\ncat\n")
    program.chmod(0o755)
    hook = repository / ".git" / "hooks" / "post-index-change"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text(f"#!/bin/sh\n{program} hook </dev/null\n")
    hook.chmod(0o755)
    git("config", "core.fsmonitor", f"{program} fsmonitor")
    git("config", "filter.own.clean", f"{program} clean")
    git("config", "filter.own.required", "true")
    (repository / "file").write_text("b")
    past = time.time() - 10
    os.utime(repository / "file", (past, past))

    def ran():
        return sorted(path.name for path in tmp_path.glob("ran-*"))

    environment = describe_environment(device="cpu", threads=1)
    assert (len(environment["git_sha"] or ""), environment["git_dirty"]) == (40, True)
    assert ran() == []
    git("status")  # the programs work
    assert {"ran-clean", "ran-fsmonitor"} <= set(ran())
