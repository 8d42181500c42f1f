"""Where libraries keep what they compile and download, on machines where their usual places cannot be written.

A container may run as a user without a home, with its code read-only. Then numba finds no place for its machine code
and refuses to be imported, and vLLM, PyTorch, Triton and others fail or complain later. They read their variables when
they are imported, so `catalog`, which every program imports first, calls `provide_caches`.

What is compiled there is loaded again and run, so nobody else may be able to write into the folder.
"""

from __future__ import annotations

import getpass
import os
import stat
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["VARIABLE", "Caches", "CachesError", "choose_caches", "provide_caches", "provided"]

VARIABLE = "GEMSERVE_CACHES"
"""Names the folder in which ours is made; all caches whose own variable is not set are then kept there."""

REFUSED = 2
COMPILED = ("catalog/priors/kernels", "catalog/search")
"""The folders of functions that numba compiles."""


class CachesError(Exception):
    """There is no folder for caches, or one that somebody else could write to. The message says what to do."""


@dataclass(frozen=True, slots=True)
class Caches:
    """A folder of caches, and the variables that lead libraries there."""

    folder: Path
    variables: Mapping[str, str]

    def __str__(self) -> str:
        return f"caches are kept in {self.folder} ({', '.join(self.variables)}); {VARIABLE} names another place"


_PROVIDED: list[Caches] = []


def provided() -> Caches | None:
    """The caches that this process has provided; None where it had no need to, or inherited the variables."""
    return _PROVIDED[-1] if _PROVIDED else None


def provide_caches() -> None:
    """Sets the variables of this process and of those that it starts. Ends the program where it could not compile."""
    try:
        caches = choose_caches(os.environ)
    except CachesError as error:
        print(f"gemserve: {error}", file=sys.stderr)
        raise SystemExit(REFUSED) from None
    if caches is not None:
        os.environ.update(caches.variables)
        _PROVIDED.append(caches)


def choose_caches(environment: Mapping[str, str], code: Path = Path(__file__).parent.parent) -> Caches | None:
    """The caches for libraries whose variables are not set and whose usual places cannot be written.

    None where there are no such libraries. code: the folder of the packages. Raises CachesError.
    """
    named = environment.get(VARIABLE)
    lacking = {
        variable: name
        for variable, (name, usual) in _usual_places(environment, code).items()
        if variable not in environment and (named or not usual)
    }
    if not lacking:
        return None
    folder = _own_folder(_parent(named))
    variables = {variable: str(folder / name) for variable, name in lacking.items()}
    return Caches(folder, variables)


def _usual_places(environment: Mapping[str, str], code: Path) -> Mapping[str, tuple[str, bool]]:
    """Of every variable, the name of its folder in ours, and whether its usual place will do."""
    try:
        home = Path.home()
    except RuntimeError:  # a user whom the machine does not know, and who has no HOME
        home = Path("nowhere")
    cache = Path(environment.get("XDG_CACHE_HOME") or home / ".cache")
    config = Path(environment.get("XDG_CONFIG_HOME") or home / ".config")
    beside = all(_writable(code / folder / "__pycache__") for folder in COMPILED)
    models = cache / "huggingface"  # may have been filled before, and then is only read
    return {
        "NUMBA_CACHE_DIR": ("numba", beside or _writable(cache / "numba")),
        "XDG_CACHE_HOME": ("xdg-cache", _writable(cache)),
        "XDG_CONFIG_HOME": ("xdg-config", _writable(config)),
        "VLLM_CACHE_ROOT": ("vllm", _writable(cache / "vllm")),
        "VLLM_CONFIG_ROOT": ("vllm-config", _writable(config / "vllm")),
        "HF_HOME": ("huggingface", _writable(models) or (models.is_dir() and os.access(models, os.R_OK | os.X_OK))),
        "TORCHINDUCTOR_CACHE_DIR": ("torchinductor", _has_user_name()),  # a temporary folder of the user's name
        "TRITON_HOME": ("triton", _writable(home / ".triton")),
        "TRITON_CACHE_DIR": ("triton-cache", "TRITON_HOME" in environment or _writable(home / ".triton" / "cache")),
        "MPLCONFIGDIR": ("matplotlib", _writable(config / "matplotlib") and _writable(cache / "matplotlib")),
        "CUDA_CACHE_PATH": ("cuda", _writable(home / ".nv" / "ComputeCache")),
        "FLASHINFER_WORKSPACE_BASE": ("flashinfer", _writable(home / ".cache" / "flashinfer")),
    }


def _writable(folder: Path) -> bool:
    """Whether files can be made in a folder, or the folder itself where there is none yet."""
    if not folder.is_absolute():  # a home that nobody knows
        return False
    try:
        while not folder.exists():
            folder = folder.parent
        return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)
    except OSError:  # a folder above it that cannot be looked into
        return False


def _has_user_name() -> bool:
    try:
        return bool(getpass.getuser())
    except (KeyError, OSError):
        return False


def _parent(named: str | None) -> Path:
    if named:
        parent = Path(named).absolute()
        try:
            parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise CachesError(f"{VARIABLE} is {named}, which cannot be made ({error.strerror}): name another") from None
        return parent
    try:
        return Path(tempfile.gettempdir()).absolute()
    except OSError:
        raise CachesError(
            f"there is no place for caches, as neither the home nor a temporary folder can be written: mount a folder"
            f" at /tmp, or set {VARIABLE} to one that can be written"
        ) from None


def _own_folder(parent: Path) -> Path:
    """A folder of this user's, in which nobody else can write. Raises CachesError."""
    folder = parent / f"gemserve-caches-{os.geteuid()}"
    remedy = f"remove it, or set {VARIABLE} to another place"
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        pass
    except OSError as error:
        raise CachesError(
            f"{folder}, for caches, cannot be made ({error.strerror}): set {VARIABLE} to a folder that can be written"
        ) from None
    try:
        found = folder.lstat()
    except OSError as error:
        raise CachesError(f"{folder}, for caches, cannot be read ({error.strerror}): {remedy}") from None
    if stat.S_ISLNK(found.st_mode):
        raise CachesError(f"{folder}, for caches, is a symbolic link: {remedy}")
    if not stat.S_ISDIR(found.st_mode):
        raise CachesError(f"{folder}, for caches, is no folder: {remedy}")
    if found.st_uid != os.geteuid():
        raise CachesError(f"{folder}, for caches, belongs to user {found.st_uid}: {remedy}")
    if found.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise CachesError(f"{folder}, for caches, can be written by others: {remedy}")
    if not _writable(folder):
        raise CachesError(f"{folder}, for caches, cannot be written: {remedy}")
    return folder
