"""How calls end, in words. The room above owns the codes; one that is not listed here is shown as it is."""

from django.utils.translation import pgettext_lazy

ENDINGS = {
    "completed": pgettext_lazy("ending", "completed"),
    "client_gone": pgettext_lazy("ending", "caller left"),
    "upstream_cut": pgettext_lazy("ending", "cut off by the provider"),
    "timeout": pgettext_lazy("ending", "timed out"),
    "no_usage": pgettext_lazy("ending", "completed, usage not reported"),
    "zero_output": pgettext_lazy("ending", "no output"),
    "no_funds": pgettext_lazy("ending", "stopped: no money left"),
    "refused": pgettext_lazy("ending", "refused by the provider"),
    "worker_killed": pgettext_lazy("ending", "interrupted"),
    "expired": pgettext_lazy("ending", "ran out of time"),
}
