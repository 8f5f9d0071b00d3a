#!/usr/bin/env python3
"""Adds up what `./dev test` ran: the reports that ctest wrote (*.xml) and the one-word outcomes of
the other checks (*.check; "skipped: REASON" is one too) in one directory. Test programs hold many cases; they are counted by what
cmocka and unittest say at their end, a program that says neither counts as one. A program that
ctest holds failed (crash, time limit, leak found at exit) without a failed case counts as one more.

Prints failed and skipped programs, then, last and alone, "N passed, N failed, N skipped". Exit code
0 only if something ran and nothing failed.
"""
import pathlib
import re
import sys
import xml.etree.ElementTree as ElementTree

CMOCKA = re.compile(r"^\[  (PASSED|FAILED|SKIPPED) +\] (\d+) test\(s\)", re.MULTILINE)
UNITTEST = re.compile(r"^Ran (\d+) tests? in [^\n]*\n+(?:OK|FAILED|NO TESTS RAN)([^\n]*)$",
                      re.MULTILINE)
# A skipped case with what it printed before it gave up, which is the reason.
CMOCKA_SKIP = re.compile(r"^\[ RUN      \] (\w+)\n((?:(?!\[ RUN).*\n)*?)\[  SKIPPED \] \1$",
                         re.MULTILINE)
UNITTEST_SKIP = re.compile(r"^(\w+) \(.*\) \.\.\. skipped (.*)$", re.MULTILINE)


def count_cases(output):
    """(passed, failed, skipped) by the closing lines of cmocka and unittest in `output`."""
    count = {"PASSED": 0, "FAILED": 0, "SKIPPED": 0}
    for word, number in CMOCKA.findall(output):
        count[word] += int(number)
    for ran, detail in UNITTEST.findall(output):
        part = {word: int(number) for word, number in re.findall(r"([a-z ]+)=(\d+)", detail)}
        part = {word.strip(): number for word, number in part.items()}
        failed = sum(part.get(word, 0) for word in ("failures", "errors", "unexpected successes"))
        skipped = part.get("skipped", 0)
        # Failed subtests are counted one by one and may outnumber the tests they belong to.
        count["PASSED"] += max(0, int(ran) - failed - skipped)
        count["FAILED"] += failed
        count["SKIPPED"] += skipped
    return count["PASSED"], count["FAILED"], count["SKIPPED"]


def count_program(case):
    """(passed, failed, skipped, skipped cases) of one <testcase> of ctest."""
    output = case.findtext("system-out") or ""
    passed, failed, skipped = count_cases(output)
    names = ["%s: %s" % (name, " ".join(reason.split()).removeprefix("skipped: "))
             for pattern in (CMOCKA_SKIP, UNITTEST_SKIP)
             for name, reason in pattern.findall(output)]
    status = case.get("status")
    if status == "notrun":
        skip = case.find("skipped")
        reason = skip.get("message", "") if skip is not None else ""
        # Only a program that ran and said so (exit code 77) is a skip; one that is missing is not.
        if reason.startswith("SKIP_"):
            return passed, failed, max(skipped, 1), names
        return passed, max(failed, 1), skipped, names
    if status != "run":
        return passed, max(failed, 1), skipped, names
    if passed + failed + skipped == 0:
        return 1, 0, 0, names
    return passed, failed, skipped, names


def main(directory):
    passed = failed = skipped = 0
    for path in sorted(pathlib.Path(directory).glob("*.check")):
        outcome, _, reason = path.read_text().strip().partition(": ")
        passed += outcome == "passed"
        skipped += outcome == "skipped"
        failed += outcome not in ("passed", "skipped")
        if outcome != "passed":
            print("%s: %s%s" % (outcome or "failed", path.stem, reason and ": " + reason))
    for path in sorted(pathlib.Path(directory).glob("*.xml")):
        for case in ElementTree.parse(path).getroot().iter("testcase"):
            one = count_program(case)
            passed += one[0]
            failed += one[1]
            skipped += one[2]
            if one[1]:
                print("failed: %s %s (%d)" % (path.stem, case.get("name"), one[1]))
            if one[2]:
                for text in one[3] or ["see its output"]:
                    print("skipped: %s %s: %s" % (path.stem, case.get("name"), text))
    print("%d passed, %d failed, %d skipped" % (passed, failed, skipped))
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: summary.py DIRECTORY")
    sys.exit(main(sys.argv[1]))
