"""What the trainer's commands answer before they import what training needs."""

import subprocess
import sys

import pytest

from tests.support.paths import ROOT

PROGRAM = """
import sys
from {module} import main
try:
    status = main({arguments})
except SystemExit as end:
    status = end.code
print(status, sorted({{"torch", "transformers"}} & set(sys.modules)))
"""
FILES = ["--items", "i.parquet", "--events", "e.parquet", "--out", "out"]


@pytest.mark.parametrize(
    ("module", "arguments", "status", "told"),
    [
        ("trainer.run", ["--help"], 0, "--warm-start"),
        ("trainer.run", [*FILES, "gems.rang=3"], 2, "gems.rang is no setting, did you mean gems.rank"),
        ("trainer.run", [*FILES, "--recipe", "none"], 2, "there is no recipe none"),
        ("trainer.evaluation.__main__", ["--help"], 0, "--protocol"),
        ("trainer.evaluation.compare", ["--help"], 0, "--tolerance"),
        ("trainer.evaluation.__main__", ["--bundle", "none", "--events", "e.parquet"], 2, "none"),
    ],
)
def test_help_and_misspelled_arguments_need_no_torch(module, arguments, status, told):
    program = PROGRAM.format(module=module, arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert told in done.stdout + done.stderr
    assert done.stdout.splitlines()[-1] == f"{status} []"
