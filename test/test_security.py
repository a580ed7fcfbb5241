"""Nothing that arrives or is loaded is ever executed."""

import ast
import pickle
from pathlib import Path

import pytest
import torch

from intradp_ros.errors import ModelError
from intradp_ros.model import zoo

PACKAGE = Path(zoo.__file__).parents[1]
# What runs or rebuilds objects out of data.
MODULES = {'pickle', 'cPickle', '_pickle', 'dill', 'cloudpickle', 'joblib', 'shelve', 'marshal'}
CALLS = {'eval', 'exec', 'compile', '__import__'}


def faults(source: str) -> list[str]:
    """Name what a module imports or calls that it must not."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.split('.')[0] in MODULES]
        elif isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] in MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            name, options = ast.unparse(node.func), {k.arg: k.value for k in node.keywords}
            if name in CALLS:
                found.append(name)
            elif name in ('torch.load', 'load_state_dict_from_url') and not (
                    isinstance(options.get('weights_only'), ast.Constant)
                    and options['weights_only'].value is True):
                found.append(f'{name} without weights_only=True')
            elif name in ('np.load', 'numpy.load') and 'allow_pickle' in options:
                found.append(f'{name} with allow_pickle')
            elif name in ('yaml.load', 'yaml.unsafe_load', 'os.system', 'os.popen'):
                found.append(name)
            elif 'shell' in options:
                found.append(f'{name} with shell')
    return found


def test_the_package_executes_no_data():
    files = sorted(PACKAGE.rglob('*.py'))
    assert len(files) > 50
    assert {str(f): wrong for f in files if (wrong := faults(f.read_text()))} == {}


@pytest.mark.parametrize('source', [
    'import pickle', 'from pickle import loads', 'import joblib', 'eval(x)', 'torch.load(path)',
    'torch.load(p, weights_only=False)', 'np.load(p, allow_pickle=True)', 'yaml.load(text)',
    'subprocess.run(line, shell=True)'])
def test_the_search_finds(source):
    assert faults(source)


class Bomb:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


def test_a_weights_file_with_code_is_refused_and_not_run(tmp_path):
    file, target = tmp_path / 'model.pt', tmp_path / 'executed'
    torch.save({'weight': Bomb(target)}, file)
    pickle.loads(pickle.dumps(Bomb(target)))
    assert target.exists()  # it would do it
    target.unlink()
    with pytest.raises(ModelError, match='model.pt'):
        zoo.load(torch.nn.Linear(1, 1), file, 'linear')
    assert not target.exists()
