"""Writes the expressions of a dashboard as recording rules, so that promtool can tell whether they are sound.

    dashboard_rules.py DASHBOARD > rules.json
"""

import json
import sys

# What Grafana puts in their place.
VARIABLES = {"$__rate_interval": "1m", "$instance": ".*", "$topic": ".*"}


def expressions(value):
    if isinstance(value, dict):
        if isinstance(value.get("expr"), str):
            yield value["expr"]
        for inner in value.values():
            yield from expressions(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from expressions(inner)


def rule(number, expression):
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return {"record": f"dashboard:{number}", "expr": expression}


with open(sys.argv[1], encoding="utf-8") as file:
    found = list(expressions(json.load(file)))
assert found, "the dashboard has no expression"
rules = [rule(number, expression) for number, expression in enumerate(found)]
json.dump({"groups": [{"name": "dashboard", "rules": rules}]}, sys.stdout)
