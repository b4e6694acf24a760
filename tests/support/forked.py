"""Commands run one after another by one process that has imported torch, each in a fork of its own.

A command's start costs seconds, most of them for imports. This process imports once and stays without threads.
"""

import atexit
import json
import os
import subprocess
import sys
import traceback
from importlib import import_module
from importlib.metadata import distribution
from pathlib import Path


class Forked:
    """A process that runs commands of gradlab; a context manager."""

    def __enter__(self):
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8",
            env=os.environ | {"OMP_NUM_THREADS": "1"},
        )  # fmt: skip
        return self

    def __exit__(self, *error):
        self._process.stdin.close()
        self._process.wait(timeout=60)
        self._process.stdout.close()

    def run(self, program: str, words: list[str], folder: Path) -> tuple[int, str]:
        """The exit code of a command given in a folder, and what it printed."""
        log = folder / ".printed.txt"
        self._process.stdin.write(json.dumps([program, words, str(folder), str(log)]) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        printed = log.read_text(encoding="utf-8", errors="replace")
        log.unlink()
        return int(answer), printed


def serve() -> None:
    mains = {item.name: item.value for item in distribution("gradlab").entry_points if item.group == "console_scripts"}
    for module in ("torch", "matplotlib.pyplot", "pandas", "gradlab.run.execute", "gradlab.sweep.rebuild"):
        import_module(module)
    for line in sys.stdin:
        program, words, folder, log = json.loads(line)
        if (child := os.fork()) == 0:
            os._exit(call(mains.get(program, ""), program, words, folder, log))
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def call(target: str, program: str, words: list[str], folder: str, log: str) -> int:
    """Run a command in this process, with its output in a file, and return its exit code."""
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(folder)
    sys.argv = [program, *words]
    try:
        if program == "python":
            sys.argv = words
            sys.path.insert(0, folder)
            text = Path(words[0]).read_text(encoding="utf-8")
            exec(compile(text, words[0], "exec"), {"__name__": "__main__"})
        else:
            module, _, name = target.partition(":")
            getattr(import_module(module), name)()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(bool(error.code))
    except BaseException:
        traceback.print_exc()
        code = 1
    atexit._run_exitfuncs()  # os._exit would leave joblib's processes behind
    sys.stdout.flush()
    sys.stderr.flush()
    return code


if __name__ == "__main__":
    serve()
