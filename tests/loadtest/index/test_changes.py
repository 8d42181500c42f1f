from catalog.ids.index import ItemIndex
from loadtest.index.changes import CHANGED, change_figures
from loadtest.synthetic.codes import uniform_codes


def test_inserting_and_deleting_take_time():
    index, _ = ItemIndex.build(uniform_codes(2000, 3, 32, 0), [32] * 3)
    figures = change_figures(index, turns=3, seed=0)
    assert figures["changed_items"] == CHANGED
    for key in ("insert_s", "delete_s"):
        assert 0 < figures["spread"][key]["p10"] <= figures[key] <= figures["spread"][key]["p90"]
