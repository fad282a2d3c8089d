"""Money: what a credit is worth, and what a new account is given. Amounts are USD."""

from decimal import Decimal, InvalidOperation

from config.settings.env import PRODUCTION, env, refuse


def _usd(name: str, default: str, *, least: Decimal) -> Decimal:
    try:
        amount = Decimal(str(env(name, default=default)))
    except InvalidOperation:
        refuse(name, "must be a decimal number of USD, such as 0.01.")
    if not amount.is_finite() or amount < least:
        refuse(name, f"must be at least {least} USD.")
    return amount


CREDIT_USD = _usd("CREDIT_USD", "0.01", least=Decimal("0.0000000001"))
SIGNUP_CREDIT_USD = _usd("SIGNUP_CREDIT_USD", "0", least=Decimal(0))
# Whether owners put money into their wallets by themselves, on the page and over the API. Otherwise operators do.
WALLET_SELF_TOPUP = env.bool("WALLET_SELF_TOPUP", default=not PRODUCTION)
