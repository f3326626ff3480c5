"""Makes zones.txt anew: python3 make_zones.py > zones.txt, with the PyPI package `phonenumbers` installed."""

import phonenumbers
from phonenumbers.tzdata import TIMEZONE_DATA

zones_of = {prefix: set(zones) for prefix, zones in TIMEZONE_DATA.items()}

# +1 alone is forty zones from Newfoundland to Guam: a toll-free number, which is nowhere, would be bound by them all.
del zones_of["1"]

# An area code that is told only exchange by exchange: the exchanges that are missing may be in any of their zones.
of_exchanges = {}
for prefix, zones in zones_of.items():
    if prefix.startswith("1") and len(prefix) > 4:
        of_exchanges.setdefault(prefix[:4], set()).update(zones)
for area, zones in of_exchanges.items():
    zones_of.setdefault(area, zones)


def parent(prefix):
    shorter = (prefix[:length] for length in range(len(prefix) - 1, 0, -1))
    return next((zones_of[short] for short in shorter if short in zones_of), None)


prefixes_of = {}
for prefix, zones in sorted(zones_of.items()):
    if zones != parent(prefix):
        prefixes_of.setdefault(",".join(sorted(zones)), []).append(prefix)

print(f"""\
# Which IANA time zones a number in E.164 form, without its +, may be in, by the longest prefix that stands here. Each line: the zones,
# then the prefixes. These are facts taken from libphonenumber's table (Apache-2.0), as the PyPI package phonenumbers
# {phonenumbers.__version__} carries it. Don't edit: data/make_zones.py makes it anew and says what it leaves out and adds.""")
for zones, prefixes in sorted(prefixes_of.items()):
    print(zones, *prefixes)
