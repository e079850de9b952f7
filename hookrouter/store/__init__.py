"""The journal: what must survive us, on disk before it is acted on."""

from hookrouter.store.opening import Store, open_store, read_group, record_place
from hookrouter.store.retention import Retention

__all__ = ["Retention", "Store", "open_store", "read_group", "record_place"]
