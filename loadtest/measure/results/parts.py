"""What `make results` makes: a plain list of parts, each with its commands and the JSON file that they end in.

In commands `{data}` is the folder of downloaded data sets, `{var}` the folder of what is made on the way, `{inputs}`
the digest of the code and data that decide what comes out, and `{json}` the file to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["DATA_SETS", "PARTS", "DataSet", "Part", "quality_part"]

Command = tuple[str, ...]

PYTHON = "python"
"""In a command, the Python that runs this one."""


@dataclass(frozen=True, slots=True)
class DataSet:
    """A data set that is imported.

    importer: the importer's name.
    recipe: what it is trained with.
    source: its folder in `{data}`; None where it is made up.
    fetch: where to get it.
    pictured: whether the documentation has a picture of how its relevance holds.
    """

    name: str
    importer: str
    recipe: str
    source: str | None = None
    fetch: str = ""
    pictured: bool = False

    @property
    def imports(self) -> Command:
        source = () if self.source is None else (f"{{data}}/{self.source}",)
        return (PYTHON, "-m", "catalog.importers", self.importer, *source, f"{{var}}/data/{self.name}")

    @property
    def files(self) -> Command:
        """The options that name its items and events."""
        folder = f"{{var}}/data/{self.name}"
        return ("--items", f"{folder}/items.parquet", "--events", f"{folder}/events.parquet")


@dataclass(frozen=True, slots=True)
class Part:
    """A measurement.

    commands: are run in this order; one that begins with `unless FOLDER` only where that folder is not there.
    code: files and folders of the repository that decide what comes out.
    data: the data set that is imported before.
    report: the file that is copied to the JSON file in the end; None where a command writes the JSON itself.
    needs: folders that must be there, and how to get each of them.
    follows: names of parts before it in the list: it is made again when they were.
    hours: whether it takes long, or wants a machine to itself: it runs where it is asked for by name only.
    """

    name: str
    commands: tuple[Command, ...]
    code: tuple[str, ...]
    data: DataSet | None = None
    report: str | None = None
    needs: tuple[tuple[str, str], ...] = ()
    follows: tuple[str, ...] = ()
    hours: bool = False

    @property
    def output(self) -> str:
        return f"{self.name}.json"


DATA_SETS: Mapping[str, DataSet] = {
    own.name: own
    for own in (
        DataSet("shop", "shop", "demo", pictured=True),
        DataSet(
            "movielens",
            "movielens",
            "small",
            "movielens-latest-small",
            "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        ),
        DataSet(
            "lastfm",
            "lastfm",
            "small",
            "lastfm-hetrec-2k",
            "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
        ),
    )
}

SHOP_TRAINS = "`make results ONLY=quality-shop FORCE=yes` trains it"
BASELINES = ("catalog", "trainer/core", "trainer/data", "trainer/evaluation")
TRAINER = ("catalog", "trainer", "requirements/cpu.txt")


ALL_STEPS = "training.minutes=60"
"""A recipe makes fewer steps where its minutes are too few for them; figures are of all, however busy a machine is."""


def quality_part(data: DataSet) -> Part:
    """Trains on a data set, keeps the report of the bundle, and draws how its relevance holds where it is shown."""
    out = f"{{var}}/bundles/{data.name}"
    train = (PYTHON, "trainer/run.py", *data.files, "--out", out, "--recipe", data.recipe, ALL_STEPS)
    report = f"{out}/current/report.json"
    if not data.pictured:
        return Part(f"quality-{data.name}", (train,), TRAINER, data, report=report)
    pictured = ("--report", report, "--picture", f"docs/pictures/reliability-{data.name}.png")
    draw = (PYTHON, "-m", "trainer.analysis.reliability", *pictured)
    return Part(f"quality-{data.name}", (train, draw), TRAINER, data, report=report)


def _baselines(data: DataSet) -> Part:
    measure = (PYTHON, "-m", "trainer.evaluation.baselines", *data.files, "--json", "{json}")
    return Part(f"baselines-{data.name}", (measure,), BASELINES, data)


def _relevance() -> Part:
    bundle = "{var}/bundles/shop/current"
    measure = (PYTHON, "-m", "loadtest.relevance", "--bundle", bundle, "--json", "{json}")
    code = (*TRAINER, "loadtest/relevance")
    return Part("relevance-shop", (measure,), code, needs=((bundle, SHOP_TRAINS),), follows=("quality-shop",))


def _guided() -> Part:
    """By name, as it wants a machine to itself."""
    bundle, events = "{var}/bundles/shop/current", "{var}/data/shop/events.parquet"
    measure = (PYTHON, "-m", "loadtest.guided", "--bundle", bundle, "--events", events, "--json", "{json}")
    needs = ((bundle, SHOP_TRAINS),)
    return Part(
        "guided", (measure,), (*TRAINER, "server", "loadtest/guided.py"), DATA_SETS["shop"], None, needs, hours=True
    )


def _misspellings() -> Part:
    """By name, as somebody has to read again which words are changed."""
    bundle, events = "{var}/bundles/shop/current", "{var}/data/shop/events.parquet"
    command = (PYTHON, "-m", "trainer.analysis.misspellings", "--bundle", bundle, "--events", events)
    needs = ((bundle, SHOP_TRAINS),)
    return Part("misspellings", ((*command, "--json", "{json}"),), TRAINER, DATA_SETS["shop"], needs=needs, hours=True)


CORPUS = "{data}/general-corpus"
COMPARED = ("--rows", "gems,input_side,no_null_space,single_subspace,full,lora,lora_moe", "--seeds", "0,1")
"""Every method, and the null space as it is by default and without one: some 28 runs, where all rows and three seeds
are 55 to 77."""


def _comparison(data: DataSet) -> Part:
    """The methods against each other, from a base pretrained on general text; an interrupted one goes on."""
    out = f"{{var}}/comparison-{data.name}-{{inputs}}"
    general = f"{CORPUS}/wikipedia_en_sample.txt.gz"
    pretrain = (PYTHON, "-m", "trainer.analysis.pretrain_base", "--corpus", general, "--out", f"{out}/base")
    compare = (
        *(PYTHON, "-m", "trainer.analysis.ablation", *data.files, "--out", f"{out}/runs", "--base", f"{out}/base"),
        *("--held-out", f"{CORPUS}/wikitext2_test.txt.gz", "--json", "{json}", *COMPARED),
        *("--picture", f"docs/pictures/comparison-{data.name}.png", f"null_space.corpus={general}"),
    )
    return Part(
        f"comparison-{data.name}",
        (("unless", f"{out}/base", *pretrain), compare),
        TRAINER,
        data,
        needs=((CORPUS, "general text: wikipedia_en_sample.txt.gz and wikitext2_test.txt.gz, a document a paragraph"),),
        hours=True,
    )


def _alone(name: str, *command: str, code: str) -> Part:
    """A measurement that needs no data; it is made by name, as it wants a machine to itself."""
    return Part(name, ((PYTHON, *command, "--json", "{json}"),), (*TRAINER, "server", code), hours=True)


def _loaded(name: str, *command: str, code: str) -> Part:
    """A measurement of a server of the bundled store, by name too."""
    bundles = "{var}/bundles/shop"
    measure = (PYTHON, *command, "--bundles", bundles, "--json", "{json}")
    return Part(name, (measure,), (*TRAINER, "server", code), needs=((f"{bundles}/current", SHOP_TRAINS),), hours=True)


COMPLEMENTARY = "tests/trainer/gems/complementary.py"

PARTS: tuple[Part, ...] = (
    *(quality_part(data) for data in DATA_SETS.values()),
    *(_baselines(data) for data in DATA_SETS.values()),
    _relevance(),
    _misspellings(),
    *(_comparison(DATA_SETS[name]) for name in ("movielens", "lastfm")),
    Part(
        "complementary",
        ((PYTHON, "-m", "tests.trainer.gems.complementary", "{json}"),),
        (*TRAINER, COMPLEMENTARY),
        hours=True,
    ),
    _alone("training", "-m", "loadtest.training", code="loadtest/training"),
    _alone(
        "training-parts",
        *("-m", "loadtest.training", "--methods", "gems", "--sequences", "1", "--steps", "1"),
        code="loadtest/training",
    ),
    _alone("engine", "-m", "loadtest.engine", code="loadtest/engine"),
    _alone("breakdown", "-m", "loadtest.breakdown", code="loadtest/breakdown.py"),
    _alone("index", "-m", "loadtest.index", code="loadtest/index"),
    Part(
        "scale",
        ((PYTHON, "-m", "loadtest.scale", *("--events", "50000000", "--items", "1000000"), "--json", "{json}"),),
        ("catalog/data", "trainer/data", "loadtest/scale.py"),
        hours=True,
    ),
    Part(
        "many-items",
        ((PYTHON, "-m", "loadtest.many_items", "--items", "10000000", "--json", "{json}"),),
        ("catalog", "server/retrieval", "loadtest/many_items"),
        hours=True,
    ),
    _alone("live", "-m", "loadtest.live", code="loadtest/live.py"),
    _alone("prior", "-m", "loadtest.prior", code="loadtest/prior.py"),
    _alone("facets", "-m", "loadtest.facets", "--items", "10000,100000", code="loadtest/facets.py"),
    _alone("suggest", "-m", "loadtest.suggest", "--items", "2000,100000", code="loadtest/suggest.py"),
    _guided(),
    *(
        _loaded(
            f"load-{profile}",
            *("-m", "loadtest.load", "--profile", profile, "--out", f"{{var}}/load/{profile}"),
            code="loadtest/load",
        )
        for profile in ("steady", "spike", "ramp", "soak")
    ),
    _loaded("overload", "-m", "loadtest.overload", code="loadtest/overload"),
)
