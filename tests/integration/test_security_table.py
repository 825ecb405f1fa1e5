"""The table of docs/security.md names files and tests that exist."""
import re
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HEADING = "## 3. What happens when a defence is taken out"


def rows():
    """(defence, where, test) of every row of the section's tables."""
    section = (ROOT / "docs/security.md").read_text().split(HEADING + "\n")[1].split("\n## ")[0]
    for line in section.splitlines():
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if cells and not re.fullmatch(r"-+", cells[0]) and cells[0] != "defence":
            yield cells


def has_test(path, name):
    text = path.read_text()
    if path.suffix == ".py":
        return re.search(rf"^\s+def {re.escape(name)}\(", text, flags=re.M) is not None
    return f'TEST_CASE("{name}"' in text


class SecurityTable(unittest.TestCase):
    def test_every_row_has_a_defence_a_place_and_a_test(self):
        found = list(rows())
        self.assertGreater(len(found), 20)
        for row in found:
            self.assertEqual((len(row), all(row)), (3, True), row)

    def test_every_place_is_a_file_of_the_tree_and_what_is_named_there_stands_in_it(self):
        for _, where, _ in rows():
            path, _, rest = where.partition(", ")
            self.assertTrue((ROOT / path).is_file(), where)
            text = (ROOT / path).read_text()
            for name in re.findall(r"`([^`]+)`", rest):
                self.assertTrue(name.removesuffix("*").split("::")[-1].split(" ")[0] in text, f"{name} is not in {path}")

    def test_every_test_of_the_table_exists(self):
        for defence, _, test in rows():
            path, _, name = test.partition(": ")
            self.assertTrue((ROOT / path).is_file(), test)
            self.assertTrue(has_test(ROOT / path, name.strip("`")), f"{defence}: {test}")


if __name__ == "__main__":
    unittest.main()
