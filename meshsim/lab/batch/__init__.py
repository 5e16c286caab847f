"""The batch engine: jobs in, one record each out, whatever is killed in between.

A job is a function's argument with a key that says what it is. Its record is on the disk before anybody hears of it, so
that a batch can be killed anywhere and goes on where it was; a job whose record is there is never done again.
"""

from meshsim.lab.batch import tables
from meshsim.lab.batch.engine import Settings, perform
from meshsim.lab.batch.executors import EXECUTORS
from meshsim.lab.batch.fingerprint import code_fingerprint, key_of
from meshsim.lab.batch.job import BatchError, Job, Outcome, Record
from meshsim.lab.batch.lock import hold, holder
from meshsim.lab.batch.shard import Damage
from meshsim.lab.batch.store import Store, chosen

__all__ = [
    "EXECUTORS",
    "BatchError",
    "Damage",
    "Job",
    "Outcome",
    "Record",
    "Settings",
    "Store",
    "chosen",
    "code_fingerprint",
    "hold",
    "holder",
    "key_of",
    "perform",
    "tables",
]
