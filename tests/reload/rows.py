#!/usr/bin/env python3
"""The ways in which prompt files change, one row each, and which of them a test acts out.

Prints the rows that no test covers, with the reason; ends with 1 when a row has neither a test nor
a reason, or both."""
import re
import sys
from collections import Counter
from pathlib import Path

ROWS = {
    "A": ("Single files", [
        "written over by the shell", "made by the shell", "appended to", "written slowly",
        "a temporary file renamed over", "moved in", "moved in from another file system",
        "copied over", "copied over with an older time", "removed and copied by one tool",
        "removed", "removed and made again", "touched, another mode or owner",
        "made unreadable and readable", "emptied", "sed in place", "tools that leave backups",
        "sed on a symbolic link", "tee, dd, ed", "a tail of NUL bytes", "a hard link made",
        "written through another hard link", "a nameless file linked",
        "stored into a mapping", "two files exchanged", "removed under a writer",
        "the same text again", "the same size and time",
        "renamed with the id inside", "renamed to another ending", "a storm of rewrites",
        "a full disk", "what a crash leaves", "hostile content"]),
    "B": ("Editors", [
        "vim", "vim without a backup", "vim that copies, links", "vim without a change",
        "vim killed", "emacs", "emacs saving itself", "emacs with care", "nano", "joe and ed",
        "other editors' habits", "saving what is not finished", "several editors and git"]),
    "C": ("Git work trees", [
        "checkout", "many files", "a slow checkout", "stash", "rebase", "conflicts",
        "pull, reset, restore and their like", "clean and rm", "worktrees, submodules, sparse",
        "a stale lock", "the repository's root served", "what mergetool leaves",
        "files become directories and back", "started amid a checkout",
        "nothing but .git changes"]),
    "D": ("Kubernetes", [
        "first projection", "values change", "keys come and go", "keys come and go, older kubelets",
        "a sync without a change", "keys in directories", "the old version removed amid a scan",
        "single files mounted", "read-only, not root", "made after the start", "emptied",
        "the kubelet restarts amid an update", "drivers that write file by file",
        "a sidecar writes", "restarted with a bad file"]),
    "E": ("Links and releases", [
        "git-sync", "a directory below the link", "the old tree removed amid a scan",
        "the link swapped or made anew", "links to nowhere, loops, files", "farms of links",
        "a link's target edited", "the directory replaced", "an ancestor renamed",
        "the directory removed and made again", "what package managers leave"]),
    "F": ("Copying", [
        "rsync", "rsync in place", "rsync with delayed updates", "rsync through another directory",
        "rsync with nothing to do", "tar", "cp of a directory", "unzip, scp, sftp, kubectl cp",
        "conflict copies", "templates of ansible"]),
    "G": ("Places and limits", [
        "deep directories made", "a directory moved in", "a directory renamed", "one moved out",
        "a tree removed", "unreadable directories", "loops and depth", "what is no file",
        "odd names", "mounted over", "unmounted", "unmounted lazily", "overlay changed below",
        "changes behind FUSE", "the attribute cache of NFS", "errors and hangs of the disk",
        "no more watches", "no more instances", "the queue overflows", "events of the unknown",
        "the clock jumps", "stopped for long", "no memory", "remounted read-only",
        "other rules for names and times", "very many files", "no /proc"]),
    "H": ("Start, stop, operators", [
        "no directory at the start", "unreadable at the start", "faults at the start",
        "started amid writes", "asked to reload", "stopped amid a scan", "two servers",
        "back to an old version", "a bad file mended", "a bad file deleted", "a new file is bad"]),
}

# {row: why no Linux machine can act it out alone, and what stands in for it}
NO_TEST = {}

TEST = re.compile(r"^\s+def test_([A-H][0-9]+)_", re.MULTILINE)


def titles():
    """{row: title}"""
    return {f"{group}{i}": title for group, (_, rows) in ROWS.items()
            for i, title in enumerate(rows, 1)}


def tests(directory):
    """{row: how many tests}"""
    files = sorted(directory.glob("test_*.py"))
    return Counter(row for file in files for row in TEST.findall(file.read_text(encoding="utf-8")))


def main():
    known, found = titles(), tests(Path(__file__).parent)
    faults = [f"{row}: a test for a row that is not known" for row in found if row not in known]
    faults += [f"{row}: a reason for a row that is not known" for row in NO_TEST.keys() - known]
    for row, title in known.items():
        if row in NO_TEST and found[row]:
            faults.append(f"{row} ({title}): a test, and a reason to have none")
        elif row in NO_TEST:
            print(f"{row} ({title}): no test, as it {NO_TEST[row]}")
        elif not found[row]:
            faults.append(f"{row} ({title}): neither a test nor a reason")
    for fault in faults:
        print(fault, file=sys.stderr)
    covered = sum(1 for row in known if found[row])
    print(f"{covered} of {len(known)} rows are tested, by {sum(found.values())} tests")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
