"""What measurements write down: the commit that was measured, and their results as files."""

import json
import subprocess
from pathlib import Path

from intradp_ros import files


def git(*words: str) -> str:
    """What git says of this checkout; nothing where it is none."""
    done = subprocess.run(['git', *words], capture_output=True, text=True,
                          cwd=Path(__file__).parent)
    return done.stdout.strip()


def commit() -> str:
    return git('rev-parse', '--short', 'HEAD')


def write(path: Path | str, result: object, text: str = '') -> None:
    """Write PATH.json and, for people, PATH.md."""
    files.write(Path(f'{path}.json'), (json.dumps(result, indent=1) + '\n').encode())
    if text:
        files.write(Path(f'{path}.md'), text.encode())


def continued(path: Path | str | None, fresh: dict, rows: str) -> dict:
    """What PATH.json holds, to be added to, if all but its rows is as in `fresh`; else `fresh`."""
    file = Path(f'{path}.json')
    if path and file.exists():
        earlier = json.loads(file.read_text())
        if {**earlier, rows: []} == fresh:
            return earlier
    return fresh
