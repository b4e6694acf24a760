from xml.etree import ElementTree

from gradlab.artifacts.junit import write_junit


def test_each_run_is_a_test_case_and_odd_names_are_escaped(tmp_path):
    records = {
        "fine": {"status": "completed", "seconds": 1.5, "gate": []},
        "<script>&": {"status": "completed", "seconds": 2.0, "gate": ["a < b", "c"]},
        "broken": {"status": "failed", "error": "model.depth must be at least 1"},
    }
    write_junit(tmp_path / "new" / "out.xml", records)
    suite = ElementTree.parse(tmp_path / "new" / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("3", "1", "1")
    fine, odd, broken = suite.findall("testcase")
    assert fine.get("time") == "1.500"
    assert len(fine) == 0
    assert odd.get("name") == "<script>&"
    assert odd.find("failure").get("message") == "a < b; c"  # pyright: ignore[reportOptionalMemberAccess]
    assert broken.find("error").get("message") == "model.depth must be at least 1"  # pyright: ignore[reportOptionalMemberAccess]
