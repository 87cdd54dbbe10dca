"""What can go wrong with the database and the profile directory."""

from __future__ import annotations

from lutra.errors import BugError, EnvironmentalError, LocalError


class StoreError(EnvironmentalError):
    """The database cannot do what was asked, for a reason outside the program."""

    code = "store"


class DiskFullError(StoreError):
    """No room is left; what was being saved is not saved, everything before it is."""

    code = "store.full"


class ReadOnlyError(StoreError):
    """The disk or folder cannot be written to."""

    code = "store.read-only"


class DiskError(StoreError):
    """The disk reports a failure."""

    code = "store.disk"


class DamagedDatabaseError(StoreError):
    """A page of the database is not what was written."""

    code = "store.damaged"


class DatabaseMissingError(StoreError):
    """The profile had a database, and the file is not there any more."""

    code = "store.missing"


class DatabaseInUseError(StoreError):
    """Another process has the database open."""

    code = "store.in-use"


class NewerDatabaseError(StoreError):
    """The database was written by a newer Lutra; it is left untouched."""

    code = "store.newer"


class WrongKeyError(LocalError):
    """The key does not open the database."""

    code = "store.wrong-key"


class StoreClosedError(LocalError):
    """The store was closed."""

    code = "store.closed"


class WrongThreadError(BugError):
    """The store was used outside the thread that owns it."""

    code = "store.thread"


class StatementError(BugError):
    """A statement is wrong or breaks a rule of the schema."""

    code = "store.statement"


class BackupError(StoreError):
    """A backup, or the trial restore of one, does not hold what the database holds."""

    code = "store.backup"


class ProfileError(EnvironmentalError):
    """The profile directory cannot be used."""

    code = "profile"


class ProfileInUseError(ProfileError):
    """Another Lutra runs on the profile."""

    code = "profile.in-use"


class ProfileExistsError(LocalError):
    """A profile is already there; it is left untouched."""

    code = "profile.exists"


class ProfileWipedError(ProfileError):
    """What was here is deleted, because this device was removed; the message says so."""

    code = "profile.wiped"


class ProfileMissingError(LocalError):
    """There is no profile at that place."""

    code = "profile.missing"


class PassphraseNeededError(LocalError):
    """The profile is locked with a passphrase and none was given."""

    code = "profile.passphrase-needed"


class WrongPassphraseError(LocalError):
    """The passphrase does not open the profile."""

    code = "profile.wrong-passphrase"


class KeyringError(ProfileError):
    """The operating system's keyring does not answer or does not have the key."""

    code = "profile.keyring"
