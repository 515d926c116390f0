"""The errors a user can cause, each with what was expected, what was found, where, and what to do.

Everything lmpipe raises on purpose is a kind of LmpipeError; the command line prints its message
without a traceback. Anything else that escapes is a bug of ours and keeps its traceback.
"""


class LmpipeError(Exception):
    """A mistake or a condition outside the program, told in one clear sentence."""


class RecipeError(LmpipeError):
    """A recipe cannot be read: unknown key, wrong type, value out of range."""


class InputError(LmpipeError):
    """An input file is missing, empty or not what its source says it is."""


class DownloadError(LmpipeError):
    """A server does not give what was asked for, or gives something else."""


class QuarantineError(LmpipeError):
    """A source holds more bad records than its recipe allows."""


class GuardError(LmpipeError):
    """A filter or a deduplication would remove more than its guard allows."""


class DatasetError(LmpipeError):
    """A committed dataset is damaged, or was written by another version."""


class StorageError(LmpipeError):
    """The disk is full, or a folder cannot be written."""


class TrainingError(LmpipeError):
    """A training cannot start, or ended without its result."""


class WarehouseError(LmpipeError):
    """The database of results cannot be opened, migrated or queried."""
