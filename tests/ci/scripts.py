"""The programs of .ci, which is no package."""

import importlib.util
import sys
from types import ModuleType

from tests.support.paths import ROOT

FOLDER = ROOT / ".ci"


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"ci_{name}", FOLDER / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
