#!/usr/bin/env python3
"""Runs the recipe through ../duplicates.csv, which the Java recipe is checked with as well."""

import sys

from duplicates import Duplicates


def main():
    duplicates, checked = None, 0
    for line in open(sys.argv[1], encoding="utf-8"):
        words = line.strip().split(",")
        if words == [""] or line.startswith("#"):
            continue
        if words[0] == "remember":
            duplicates = Duplicates(int(words[1]))
            continue
        stream, boot, seq, uid, verdict = words
        found = duplicates.is_duplicate(stream, boot or None, seq or None, uid)
        if found != (verdict == "duplicate"):
            sys.exit(f"wrong: {line}")
        checked += 1
    print(f"{checked} checked")


if __name__ == "__main__":
    main()
