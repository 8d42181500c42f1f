"""The exceptions of the catalog, as one tree, so that callers can catch a kind or all of them.

    CatalogError
    ├── ItemsError        an items file or table does not fit the items' schema
    ├── EventsError       an events file or table does not fit the events' schema
    ├── DatasetError      a data set that cannot be imported, because a file is missing or has another form
    ├── ItemIndexError    codes that cannot be indexed, or a damaged index on disk
    ├── PriorsError       what events teach cannot be read, or is of another catalog
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
    "PriorsError",
    "PromptError",
    "VersionTaken",
]


class CatalogError(Exception):
    """The base of all exceptions of the catalog."""


class ItemsError(CatalogError):
    """An items file or table that does not fit the items' schema."""


class EventsError(CatalogError):
    """An events file or table that does not fit the events' schema."""


class DatasetError(CatalogError):
    """A data set that cannot be imported, because a file is missing or has another form."""


class ItemIndexError(CatalogError):
    """Codes that cannot be indexed, or a damaged index on disk."""


class PriorsError(CatalogError):
    """A folder of what events teach that is missing, damaged, or of another catalog."""


class PromptError(CatalogError):
    """A prompt that cannot be rendered."""


class FilterError(CatalogError):
    """A filter that cannot be read, or does not fit the columns of the items.

    position: where the mistake begins, from 0 to the length of the text.
    length: number of characters of the mistake; 0 where something is missing at the end.
    """

    def __init__(self, message: str, *, position: int, length: int) -> None:
        super().__init__(message)
        self.position = position
        self.length = length


class BundleError(CatalogError):
    """A bundle that is missing, incomplete or corrupted."""


class VersionTaken(BundleError):
    """A bundle of this name exists, or is being published."""
