"""What gcov counted, a line a file: `coverage.py BUILD_TREE [--missed]`."""
import json
import pathlib
import re
import subprocess
import sys

SUBJECT = re.compile(r"^(node/replica\w*\.(cpp|h)|protocol/(merge|version_vector)\.(cpp|h)|protocol/hlc\.h|storage/folder_"
                     r"(apply|build|clean|dispose|limbo|staging|swap)\.cpp)$")


def source_of(note, tree):
    """node/CMakeFiles/syncline_node.dir/replica.cpp.gcno as node/replica.cpp."""
    return re.sub(r"CMakeFiles/\w+\.dir/|(\.o)?\.gcno$", "", str(note.relative_to(tree)))


def counted(tree, root):
    """{file: {line: times}} over all translation units."""
    lines = {}
    # Notes without counts are of units that nothing of the simulator calls for: their lines count as not reached.
    reached = {data.with_suffix("") for data in tree.rglob("*.gcda")}
    notes = [note for note in tree.rglob("*.gcno") if note.with_suffix("") not in reached and SUBJECT.match(source_of(note, tree))]
    for data in [*tree.rglob("*.gcda"), *notes]:
        done = subprocess.run(["gcov", "--json-format", "--stdout", data], capture_output=True, text=True, check=True, cwd=data.parent)
        for unit in done.stdout.splitlines():
            for file in json.loads(unit)["files"]:
                path = (data.parent / file["file"]) if not file["file"].startswith("/") else pathlib.Path(file["file"])
                try:
                    name = str(path.resolve().relative_to(root))
                except ValueError:
                    continue
                if not SUBJECT.match(name):
                    continue
                seen = lines.setdefault(name, {})
                for line in file["lines"]:
                    seen[line["line_number"]] = seen.get(line["line_number"], 0) + line["count"]
    return lines


def spans(numbers):
    """[3, 4, 5, 9] as ["3-5", "9"]."""
    out = []
    for n in sorted(numbers):
        if out and out[-1][1] == n - 1:
            out[-1][1] = n
        else:
            out.append([n, n])
    return [f"{a}-{b}" if b > a else str(a) for a, b in out]


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    tree = (root / sys.argv[1]).resolve()
    lines = counted(tree, root)
    if not lines:
        sys.exit("no counters were written")
    reached = total = 0
    print(f"{'file':32} {'lines':>6} {'reached':>8}")
    for name in sorted(name for name in lines if lines[name]):
        all_lines = lines[name]
        hit = sum(count > 0 for count in all_lines.values())
        reached, total = reached + hit, total + len(all_lines)
        print(f"{name:32} {len(all_lines):6} {100 * hit / len(all_lines):7.1f}%")
        if "--missed" in sys.argv:
            print("    " + " ".join(spans(n for n, count in all_lines.items() if count == 0)))
    print(f"{'all':32} {total:6} {100 * reached / total:7.1f}%")


if __name__ == "__main__":
    main()
