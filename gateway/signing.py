"""Brings chargers' signing requests to the authority, outside of their conversations: it may take its time."""

import asyncio

from chargers import authority, certificates
from gateway.db import in_db


async def sign_certificates() -> None:
    """One round: what is asked for goes to the authority, what is signed to its charger. Nothing without one."""
    if not authority.can_sign():
        return
    requests = await in_db(certificates.claim_requests)
    await asyncio.gather(*map(_sign, requests))
    await in_db(certificates.send_signed)


async def _sign(request: certificates.Request) -> None:
    try:
        chain = await asyncio.to_thread(authority.sign, request.pem)
    except authority.Unfit as error:
        await in_db(certificates.not_signed, request.pk, str(error), for_good=True)
    except authority.Unreachable as error:
        await in_db(certificates.not_signed, request.pk, str(error), for_good=False)
    else:
        await in_db(certificates.signed, request.pk, chain)
