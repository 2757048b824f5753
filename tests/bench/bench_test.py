"""The benchmark's own judgement: what it computes and what it calls equal. Nothing here takes a time."""
import pathlib
import sys
import tempfile
import unittest
import xml.dom.minidom

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts" / "lib"))

import inputs  # noqa: E402  (the path is set above)
import judge  # noqa: E402
import plots  # noqa: E402
import report  # noqa: E402
import rows  # noqa: E402
from contestant import Failed  # noqa: E402


class Faster(rows.Row):
    name = "faster"
    contestants = ("syncline", "rsync", "unison")
    goals = (rows.Goal("half of rsync", rows.ratio_at_most("s", "rsync", 0.5)),
             rows.Goal("unison", rows.ratio_at_most("s", "unison", 1)), rows.Goal("one second", rows.at_most("s", 1)))

    def title(self):
        return "this & that"


def results_of(syncline, rsync):
    results = report.Results(Faster(rows.Sizes()))
    for name, values in (("syncline", syncline), ("rsync", rsync)):
        for run, value in enumerate(values):
            results.add(name, run, {"s": value, "wire": 2048.0})
    return results


class Report(unittest.TestCase):
    def test_ratios_are_those_of_one_run(self):
        results = results_of([1.0, 10.0, 3.0], [2.0, 40.0, 3.0])  # 0.5, 0.25, 1: medians alone would say 1
        self.assertEqual(0.5, results.ratio("s", "rsync"))
        self.assertEqual(3.0, results.median("syncline", "s"))

    def test_a_run_without_the_peer_does_not_count(self):
        self.assertEqual(0.5, results_of([1.0, 9.0], [2.0]).ratio("s", "rsync"))

    def test_goals_are_met_missed_or_open(self):
        goals = results_of([1.0], [2.0]).goals()
        self.assertEqual([True, None, True], [met for _, met in goals])
        self.assertEqual([False, None, False], [met for _, met in results_of([1.5], [2.0]).goals()])

    def test_a_failure_is_in_the_table_with_its_reason(self):
        results = results_of([1.0], [2.0])
        results.fail("unison", "FAILED: it never listened")
        self.assertIn("FAILED: it never listened", report.text_of(results))
        self.assertIn("it never listened", report.markdown_of([results]))

    def test_plots_are_xml_with_a_bar_for_each(self):
        document = xml.dom.minidom.parseString(plots.svg_of(results_of([1.0, 2.0], [2.0])))
        self.assertEqual(1 + 2, len(document.getElementsByTagName("rect")))
        self.assertIsNone(plots.svg_of(results_of([], [])))


class Judge(unittest.TestCase):
    def setUp(self):
        self.top = pathlib.Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_one_byte_makes_a_difference(self):
        for name, last in (("a", b"x"), ("b", b"x"), ("c", b"y")):
            (self.top / name / "sub").mkdir(parents=True)
            inputs.write(self.top / name / "sub" / "file", bytes(100_000) + last)
        judge.check_equal(self.top / "a", self.top / "b")
        with self.assertRaisesRegex(Failed, "sub/file"):
            judge.check_equal(self.top / "a", self.top / "b", self.top / "c")

    def test_a_missing_file_is_not_equal(self):
        (self.top / "a").mkdir(), (self.top / "b").mkdir()
        inputs.write(self.top / "a" / "file", b"")
        with self.assertRaises(Failed):
            judge.check_equal(self.top / "b", self.top / "a")

    def test_a_listing_lacks_what_is_not_there(self):
        source, target = self.top / "a", self.top / "b"
        (source / "sub").mkdir(parents=True), (target / "sub").mkdir(parents=True)
        inputs.write(source / "sub" / "file", b"")
        expected = judge.listing(source)
        inputs.write(target / "sub" / ".file.temporary", b"")
        with self.assertRaises(Failed):
            judge.wait_listing(expected, target, 0.05)
        inputs.write(target / "sub" / "file", b"")
        judge.wait_listing(expected, target, 0.05)


class Inputs(unittest.TestCase):
    def test_runs_differ_and_contestants_get_the_same(self):
        with tempfile.TemporaryDirectory() as directory:
            made = inputs.Inputs(pathlib.Path(directory) / "inputs", directory)
            first, second = made.small_files(30, "r-0", 1000), made.small_files(30, "r-1", 1000)
            with self.assertRaises(Failed):
                judge.check_equal(first, second)
            self.assertEqual(first, made.small_files(30, "r-0", 1000))
            made.forget("r-0")
            self.assertEqual([False, True], [first.exists(), second.exists()])

    def test_pages_change_no_more_than_they_say(self):
        with tempfile.TemporaryDirectory() as directory:
            path = pathlib.Path(directory) / "file"
            before = bytes(200 * inputs.PAGE)
            inputs.write(path, before)
            self.assertEqual(2 * inputs.PAGE, inputs.rewrite_pages(path, "seed"))
            after = path.read_bytes()
            pages = [i for i in range(200) if after[i * inputs.PAGE:(i + 1) * inputs.PAGE] != before[:inputs.PAGE]]
            self.assertEqual((2, len(before)), (len(pages), len(after)))


if __name__ == "__main__":
    unittest.main()
