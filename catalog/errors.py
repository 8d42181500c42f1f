"""The errors of the catalog, one tree, so that a caller can catch exactly as much as it means to.

    CatalogError
    ├── ItemsError        an items file or table breaks the items contract
    ├── EventsError       an events file or table breaks the events contract
    ├── DatasetError      a data set cannot be imported: a file is missing, or is not what it should be
    ├── ItemIndexError    codes that make no index, or an index on disk that is damaged
    ├── PromptError       a prompt that cannot be rendered
    ├── FilterError       a filter that cannot be read, or does not fit the columns of the items
    └── BundleError       a bundle that is missing, incomplete or corrupted
        └── VersionTaken  a bundle of this name exists, or is being published

Every message says what was wrong, where, and what to do about it.
"""

__all__ = [
    "BundleError",
    "CatalogError",
    "DatasetError",
    "EventsError",
    "FilterError",
    "ItemIndexError",
    "ItemsError",
    "PromptError",
    "VersionTaken",
]


class CatalogError(Exception):
    """Anything the catalog cannot accept."""


class ItemsError(CatalogError):
    """An items file or table breaks the items contract."""


class EventsError(CatalogError):
    """An events file or table breaks the events contract."""


class DatasetError(CatalogError):
    """A data set cannot be imported: a file is missing, or is not what it should be."""


class ItemIndexError(CatalogError):
    """Codes that make no index, or an index on disk that is damaged."""


class PromptError(CatalogError):
    """A prompt that cannot be rendered."""


class FilterError(CatalogError):
    """A filter that cannot be read, or does not fit the columns of the items.

    position: offset of the character where the mistake begins, from 0 to the length of the text;
    length: how many characters belong to it, 0 where something is missing at the end.
    """

    def __init__(self, message: str, *, position: int, length: int) -> None:
        super().__init__(message)
        self.position = position
        self.length = length


class BundleError(CatalogError):
    """A bundle that is missing, incomplete or corrupted."""


class VersionTaken(BundleError):
    """A bundle of this name exists, or is being published."""
