"""Check what a wheel and an sdist hold: `python docs/check_dist.py dist`."""

import sys
import tarfile
import zipfile
from pathlib import Path, PurePosixPath

ROOT = Path(__file__).parents[1]


def only(folder, pattern):
    """Return the only file of a pattern in a folder."""
    found = list(Path(folder).glob(pattern))
    if len(found) != 1:
        sys.exit(f"{folder} holds {len(found)} files {pattern}, expected one; run make dist.")
    return found[0]


def check(what, found, wanted):
    """End with what is too much and what lacks, if anything."""
    too_much, lacking = sorted(found - wanted), sorted(wanted - found)
    if too_much or lacking:
        sys.exit(f"{what}: too much {too_much}, lacking {lacking}.")
    print(f"{what}: {len(found)} files as expected")


def main(folder):
    """Check the wheel and the sdist of a folder."""
    wheel = zipfile.ZipFile(only(folder, "*.whl")).namelist()
    package = {name for name in wheel if ".dist-info/" not in name}
    sources = {str(path.relative_to(ROOT)) for path in (ROOT / "skae").rglob("*.py")}
    check("package in the wheel", package, sources | {"skae/py.typed"})
    metadata = {name.split(".dist-info/")[1] for name in wheel if ".dist-info/" in name}
    check("metadata in the wheel", metadata, {"METADATA", "RECORD", "WHEEL", "licenses/LICENSE"})

    with tarfile.open(only(folder, "*.tar.gz")) as archive:
        names = {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in archive.getnames()}
    made = {"_build", "gallery", "generated", "__pycache__", ".venv"}
    check("made files in the sdist", {str(n) for n in names if made & set(n.parts)}, set())
    needed = ("pyproject.toml", "README.md", "LICENSE", "tests/estimators.py", "docs/conf.py")
    check("the rest of the sdist", {n for n in needed if PurePosixPath(n) in names}, set(needed))


if __name__ == "__main__":
    main(*sys.argv[1:])
