"""The commands of the documentation, typed into a shell."""

import os
import re
import subprocess

from usher.settings import ROOT


def block(page: str, title: str) -> str:
    """The commands of a page under docs/ that begin with the comment `# title`."""
    text = (ROOT / "docs" / page).read_text()
    (commands,) = re.findall(rf"```sh\n# {title}\n(.*?)```", text, re.DOTALL)
    return str(commands)


class Shell:
    """A platform engineer's shell: what one block of commands sets, the next one knows."""

    def __init__(self, **variables: str) -> None:
        self.variables = variables

    def run(self, commands: str) -> str:
        """What the commands print; none of them may fail."""
        script = f'set -euo pipefail\n{commands}\nprintf \'\\n%s\\n%s\' "${{JOB:-}}" "${{SAVEPOINT:-}}"'
        done = self._typed(script)
        assert done.returncode == 0, f"{commands}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        output, self.variables["JOB"], self.variables["SAVEPOINT"] = done.stdout.rsplit("\n", 2)
        return output.strip()

    def refused(self, commands: str, **variables: str) -> str:
        """All that is printed by commands that must fail."""
        done = Shell(**self.variables | variables)._typed(commands)
        assert done.returncode == 1, f"{done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done.stdout + done.stderr

    def _typed(self, script: str) -> subprocess.CompletedProcess[str]:
        environment = {"HOME": os.environ["HOME"]} | self.variables
        return subprocess.run(
            ["bash", "-c", script], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=480
        )


def is_sentence(output: str) -> bool:
    """Whether nothing is in it that is for programmers."""
    return not re.search(r"^\s+at |Traceback|Exception", output, re.MULTILINE)
