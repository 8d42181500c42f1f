from catalog.ids.index import ItemIndex
from loadtest.catalogs import even_codes
from loadtest.changes import CHANGED, change_figures


def test_inserting_and_deleting_take_time():
    index, _ = ItemIndex.build(even_codes(2000, 3, 32, 0), [32] * 3)
    figures = change_figures(index, turns=3, seed=0)
    assert figures["changed_items"] == CHANGED
    for key in ("insert_s", "delete_s"):
        assert 0 < figures["spread"][key]["p10"] <= figures[key] <= figures["spread"][key]["p90"]
