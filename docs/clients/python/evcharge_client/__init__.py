"""The client of evcharge: `EvCharge` is the live line, `Login` and `Api` are REST. asyncio and `websockets`."""

from .api import Api, Login
from .client import EvCharge
from .errors import EvChargeError

__all__ = ["Api", "EvCharge", "EvChargeError", "Login"]
