"""Where a request comes from, and whether it may come from there."""

from collections.abc import Iterable, Mapping, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address

from django.conf import settings

from accounts_app.contracts import IpRule

Address = IPv4Address | IPv6Address


def client_address(headers: Mapping[str, str], peer: str) -> str:
    """Return the caller's address: ``peer``, or what trusted proxies say about whom they speak for.

    ``headers`` are Django's, or a mapping with lower-case names (several X-Forwarded-For lines joined by commas). Each
    proxy adds at the end whom it heard from, so the list is read backwards for as long as the speaker is one of
    settings.TRUSTED_PROXIES; whatever stands before that anybody may have written. Empty when ``peer`` is no address
    (a Unix socket).
    """
    speaker = _address(peer)
    if speaker is None:
        return ""
    for hop in reversed(headers.get("x-forwarded-for", "").split(",")):
        said = _address(hop) if _is_trusted(speaker) else None
        if said is None:
            break
        speaker = said
    return str(speaker)


def address_admitted(rules: Sequence[IpRule], address: str) -> bool:
    """Whether ``rules`` let ``address`` in. At each level a denial wins, and an allow list admits only its own.

    An address that is not known is refused wherever there is any rule.
    """
    if not rules:
        return True
    known = _address(address)
    return known is not None and all(
        _level_admits([rule for rule in rules if rule.level == level], known) for level in {r.level for r in rules}
    )


def _level_admits(rules: Iterable[IpRule], address: Address) -> bool:
    denied = [address in rule.network for rule in rules if rule.action == "deny"]
    allowed = [address in rule.network for rule in rules if rule.action == "allow"]
    return not any(denied) and (not allowed or any(allowed))


def _is_trusted(address: Address) -> bool:
    return any(address in network for network in settings.TRUSTED_PROXIES)


def _address(text: str) -> Address | None:
    """Read ``1.2.3.4``, ``1.2.3.4:5678``, ``::1``, ``[::1]:5678``; IPv4 inside IPv6 is IPv4. None for nonsense."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address
