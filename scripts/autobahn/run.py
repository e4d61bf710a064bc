# -*- coding: utf-8 -*-
"""Runs the cases of the Autobahn suite that apply against a server, and prints a table of the outcome.

usage: python2.7 run.py SITE CASES OUT URL

SITE: where pip put the suite. CASES: which cases do not apply, and why. OUT: where its reports go.
The suite is written in Python 2, and so this is too. Ends with 1 where a case failed.
"""
from __future__ import print_function, unicode_literals

import io
import json
import os
import site
import sys
from collections import Counter, OrderedDict

AGENT = "everbeat"
# A close that the server does not answer counts as a failure: the suite only calls it unclean.
COLUMNS = OrderedDict([
    ("OK", "passed"),
    ("NON-STRICT", "non-strict"),
    ("INFORMATIONAL", "informational"),
    ("FAILED", "failed"),
    ("NOT APPLICABLE", "not applicable"),
])


def outcome(case):
    """One word for what a case says about behaviour and close."""
    if case["behavior"] in ("OK", "NON-STRICT") and case["behaviorClose"] == "OK":
        return case["behavior"]
    if case["behavior"] == "INFORMATIONAL":
        return "INFORMATIONAL"
    return "FAILED"


def number(case):
    return [int(part) for part in case.split(".")]


def play(spec):
    """Runs the suite; it writes its reports and ends."""
    from autobahntestsuite import wstest
    path = os.path.join(spec["outdir"], "spec.json")
    with io.open(path, "w", encoding="utf-8") as out:
        out.write(json.dumps(spec, ensure_ascii=False))
    sys.argv = ["wstest", "--mode", "fuzzingclient", "--spec", path.encode("utf-8")]
    wstest.run()


def main(place, cases, out, url):
    site.addsitedir(place)
    with io.open(cases, encoding="utf-8") as text:
        wanted = json.load(text)
    excluded = [case for entry in wanted["not_applicable"] for case in entry["cases"]]
    child = os.fork()
    if child == 0:
        play({
            "outdir": out,
            "servers": [{"agent": AGENT, "url": url}],
            "cases": wanted["cases"],
            "exclude-cases": excluded,
            "exclude-agent-cases": {},
        })
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if status != 0:
        sys.exit("autobahn: the suite itself failed")

    from autobahntestsuite.case import CaseBasename, CaseCategories, Cases, CaseSubCategories
    from autobahntestsuite.caseset import CaseSet
    known = CaseSet("", CaseBasename, Cases, CaseCategories, CaseSubCategories)
    with io.open(os.path.join(out, "index.json"), encoding="utf-8") as text:
        ran = json.load(text)[AGENT]
    left_out = known.resolveCasePatternList(excluded)
    lost = set(known.resolveCasePatternList(wanted["cases"])) - set(ran) - set(left_out)
    table(ran, left_out, CaseCategories)
    for entry in wanted["not_applicable"]:
        count = len(known.resolveCasePatternList(entry["cases"]))
        print("not applicable: %s (%d cases): %s" % (", ".join(entry["cases"]), count, entry["reason"]))
    odd = [case for case in ran if outcome(ran[case]) != "OK"]
    for case in sorted(odd, key=number):
        print("%s: %s, close %s" % (case, ran[case]["behavior"], ran[case]["behaviorClose"]))
    if lost:
        sys.exit("autobahn: not run: %s" % ", ".join(sorted(lost, key=number)))
    if any(outcome(case) == "FAILED" for case in ran.values()):
        sys.exit(1)


def table(ran, left_out, titles):
    groups = {}
    for case in ran:
        groups.setdefault(number(case)[0], Counter())[outcome(ran[case])] += 1
    for case in left_out:
        groups.setdefault(number(case)[0], Counter())["NOT APPLICABLE"] += 1
    row = "{:<48}" + "{:>15}" * len(COLUMNS)
    print(row.format("group", *COLUMNS.values()))
    for group in sorted(groups):
        title = "%d %s" % (group, titles[str(group)])
        print(row.format(title, *[groups[group][column] for column in COLUMNS]))
    sums = sum(groups.values(), Counter())
    print(row.format("all", *[sums[column] for column in COLUMNS]))


if __name__ == "__main__":
    main(*[argument.decode("utf-8") for argument in sys.argv[1:]])
