"""What operators see of a running system: metrics and traces. Logs are in ``logging``."""

from ipaddress import ip_network

from config.settings.env import env, refuse

# Who may read /metrics: everybody who brings this token, or, without one, these networks.
METRICS_TOKEN = env.str("METRICS_TOKEN", default="")
try:
    METRICS_NETWORKS = [ip_network(each) for each in env.list("METRICS_NETWORKS", default=["127.0.0.0/8", "::1/128"])]
except ValueError as error:
    refuse("METRICS_NETWORKS", f"must be networks such as 10.0.0.0/8,fd00::/8: {error}")
