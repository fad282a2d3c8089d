"""People with an organization, a key and money, for tests that talk to running processes."""

import uuid
from dataclasses import dataclass
from decimal import Decimal

import httpx2
from django.db import transaction
from django.test import Client

from accounts_app.models import User
from accounts_app.services.api_keys import api_key_create
from accounts_app.services.principals import principal_by_session
from accounts_app.services.users import user_create
from accounts_app.tenancy.context import Tenant, bound
from billing_app.services.wallets import wallet_topup

PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Account:
    """Somebody with an organization of their own. ``secret`` is an API key of theirs."""

    user: User
    tenant: Tenant
    secret: str
    base_url: str = ""
    password: str = PASSWORD

    @property
    def email(self) -> str:
        """The address to sign in with."""
        return str(self.user.email)

    @property
    def organization_id(self) -> uuid.UUID:
        """The organization that everything of this account belongs to."""
        assert self.tenant.organization_id
        return self.tenant.organization_id

    @property
    def headers(self) -> dict[str, str]:
        """The header that lets a program in."""
        return {"Authorization": f"Bearer {self.secret}"}

    @property
    def cookie(self) -> str:
        """The cookie of a new session, as a browser would send it after signing in."""
        client = Client()
        client.force_login(self.user)
        return f"sessionid={client.cookies['sessionid'].value}"

    def api(self, timeout: float = 30) -> httpx2.Client:
        """Return a client of the REST API of the running server, to be closed by the caller."""
        return httpx2.Client(base_url=self.base_url, headers=self.headers, timeout=timeout)


def account_create(*, balance: Decimal | int = 10, base_url: str = "", email: str = "") -> Account:
    """Make a person with a personal organization, a key, and ``balance`` USD in the wallet. Committed at once."""
    with transaction.atomic():
        user = user_create(email=email or f"{uuid.uuid4().hex}@example.com", password=PASSWORD)
    tenant = principal_by_session(user, None).tenant
    assert tenant.organization_id
    with bound(tenant), transaction.atomic():
        key = api_key_create(name="test")
        if balance:
            wallet_topup(organization_id=tenant.organization_id, amount=Decimal(balance), key=f"test-{uuid.uuid4()}")
    return Account(user=user, tenant=tenant, secret=key.secret, base_url=base_url)
