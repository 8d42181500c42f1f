"""What the sources say about a question, written out with NumPy and sets: what the compiled loops must say too."""

from collections import Counter
from itertools import chain, pairwise

import numpy as np

from catalog.priors import clicks
from catalog.priors.priors import CONTENT, FEATURES, TASTE
from catalog.priors.words import analyzer, item_fields, words_of
from catalog.priors.words.features import ALIKE, MAX_NAMED

COLUMN = {name: place for place, name in enumerate(FEATURES)}


def candidates(priors, items, query, history, present, bm25_N):
    """The candidates and their features, for a catalog with its words in English.

    bm25_N: of every item, which tantivy says.
    """
    listed, split = priors.settings.listed, analyzer("english")
    present = np.array(present)
    said = dict(neighbours(priors, len(items), history))
    popular = np.argsort(-padded(priors.learned.events_N, len(items)), kind="stable")
    found = set(popular[:listed].tolist())
    next_kinds = dict(evidence_of_kinds(priors, items, history))
    if query is None:
        likeliest = np.argsort(-next_kinds["next_category"][0], kind="stable")[:3]
        found |= {item for kind in likeliest for item in priors._next[0].best[kind].tolist()}
    value_NF = np.zeros((len(items), len(FEATURES)))
    if query is not None:
        fitted = clicks.of_counts(priors.learned.queries, priors.learned.count_TN, lambda text: words_of(split, text))
        alone = clicks.ClickSettings(same_words=0.5, shared_words=0.0, sharpness=4.0)
        for name, settings in (("same_clicks", alone), ("alike_clicks", priors.settings.alike)):
            said[name] = padded(clicks.score(fitted, [query], settings).toarray()[0], len(items))
        said["bm25"] = bm25_N
        compare(items, query, split, present, value_NF)
        named = [value_NF[:, COLUMN[name]] for name in ("exact_title", "identifier", "title_begun")]
        found |= {item for own in named for item in np.flatnonzero(own)[:MAX_NAMED].tolist()}
    for name, all_N in said.items():
        value_N = np.where(present, all_N, 0)
        best = np.lexsort((np.arange(len(items)), -value_N))[: 2 * listed if name == "bm25" else listed]
        found |= {item for item in best.tolist() if value_N[item] > 0}
        value_NF[:, COLUMN[name]] = value_N / max(value_N.max(initial=0), 1e-9)
    value_NF[:, CONTENT], alike = contents(items, split, present, history)
    if query is None:
        found |= alike
    item_C = np.array(sorted(item for item in found if present[item]), np.int64)
    value_NF[:, TASTE] = tastes(items, history)
    if query is not None:
        value_NF[:, COLUMN["intent"]] = intent_of(priors, items, words_of(split, query))
    for name, (_, evidence_N) in next_kinds.items():
        value_NF[:, COLUMN[name]] = evidence_N
    value_NF[:, COLUMN["popularity"]] = priors.popularity_N
    return item_C, value_NF[item_C]


def neighbours(priors, items, history):
    newest = list(dict.fromkeys(history[::-1].tolist()))
    settings = priors.settings
    for name, asked in (
        ("ease", settings.ease),
        ("transitions", settings.transitions),
        ("item_knn", settings.item_knn),
    ):
        weight_NN = getattr(priors.learned, f"{name}_NN").toarray()
        known = [(asked.decay**age, item) for age, item in enumerate(newest[: asked.last]) if item < len(weight_NN)]
        yield name, padded(sum((w * weight_NN[item] for w, item in known), np.zeros(len(weight_NN))), items)


def padded(value_N, items):
    """With zeros for items that came later."""
    return np.append(value_N, np.zeros(items - len(value_N)))


def compare(items, query, split, present, value_NF):
    """The features of words but BM25. No word of the query is misspelled."""
    asked = words_of(split, query)
    fields = {name: [words_of(split, text) for text in texts] for name, texts in texts_of(items).items()}
    shown = np.flatnonzero(present)
    rarity = {w: np.log1p(len(shown) / max(1, sum(w in fields["text"][row] for row in shown))) for w in asked}
    total = max(sum(rarity.values()), 1e-9)
    names = {name for names in items.table["categories"].to_pylist() for name in names or ()}
    typed = [set(words_of(split, name)) for name in names if set(words_of(split, name)) <= set(asked)]
    longest = max(map(len, typed), default=1) or 1
    for row in range(len(items)):
        own = {name: words[row] for name, words in fields.items()}
        value_F = value_NF[row]
        value_F[COLUMN["covered"]] = sum(rarity[w] for w in asked if w in own["text"]) / total
        numbers = [w for w in asked if any(map(str.isdigit, w))]
        value_F[COLUMN["numbers"]] = np.mean([w in own["text"] for w in numbers]) if numbers else 1
        title, brand, categories = (own.get(name, []) for name in ("title", "brand", "categories"))
        value_F[COLUMN["title_covered"]] = sum(rarity[w] for w in asked if w in title) / total
        value_F[COLUMN["title_asked"]] = min(sum(w in title for w in asked) / max(len(title), 1), 1)
        value_F[COLUMN["brand"]] = bool(asked) and sum(w in brand for w in asked) >= max(len(brand), 1)
        value_F[COLUMN["category"]] = sum(rarity[w] for w in asked if w in categories) / total
        value_F[COLUMN["attributes"]] = sum(rarity[w] for w in asked if w in own["attributes"]) / total
        pairs = [(one, other) for one, other in pairwise(asked) if (one, other) in set(pairwise(title))]
        pairs_asked = sum(rarity[one] + rarity[other] for one, other in pairwise(asked))
        value_F[COLUMN["beside"]] = sum(rarity[one] + rarity[other] for one, other in pairs) / max(pairs_asked, 1e-9)
        named = [set(words_of(split, name)) for name in items.table["categories"][row].as_py() or ()]
        value_F[COLUMN["category_named"]] = (
            max((len(name) for name in named if name <= set(asked)), default=0) / longest
        )
        value_F[COLUMN["exact_title"]] = bool(asked) and title == asked
        value_F[COLUMN["identifier"]] = folded(query) == folded(items.ids[row]) != ""
        begun = folded(items.table["title"][row].as_py() or "")
        if len(folded(query)) >= 2 and begun.startswith(folded(query)):
            value_F[COLUMN["title_begun"]] = len(folded(query)) / len(begun)


def texts_of(items):
    """The fields of words; the columns `finish` and `uses` of these catalogs are attributes."""
    fields, names = item_fields(items), items.table.column_names
    finishes = items.table["finish"].to_pylist() if "finish" in names else [None] * len(items)
    uses = items.table["uses"].to_pylist() if "uses" in names else [None] * len(items)
    attributes = [" ".join([finish or "", *(use or ())]) for finish, use in zip(finishes, uses, strict=True)]
    text = [f"{text} {more}" for text, more in zip(fields["text"], attributes, strict=True)]
    return {**fields, "text": text, "attributes": attributes}


def intent_of(priors, items, words):
    """How much the words of a query speak for each item's category, by the names of the categories."""
    learned, evidence_G = priors.learned, {}
    names = [name for name, _ in sorted(priors._taste.number_of_category.items(), key=lambda pair: pair[1])]
    for row, word in enumerate(learned.intent_words):
        if word in words:
            for name, value in zip([*names[: priors._categories], None], learned.evidence_VG[row], strict=False):
                evidence_G[name] = evidence_G.get(name, 0) + float(value)
    return [evidence_G.get((names or [None])[-1], 0) for names in items.table["categories"].to_pylist()]


def evidence_of_kinds(priors, items, history):
    """The evidence for every kind, and for the kind of every item, by name. What was counted is taken from the priors:
    `NextKinds` has tests of its own."""
    taste, (of_categories, of_brands) = priors._taste, priors._next
    categories = [(names or [None])[-1] for names in items.table["categories"].to_pylist()]
    brands = [name or None for name in items.table["brand"].to_pylist()]
    for feature, own, named, names, known in (
        ("next_category", of_categories, taste.number_of_category, categories, priors._categories),
        ("next_brand", of_brands, taste.number_of_brand, brands, priors._brands),
    ):
        numbers = [-1 if name is None else named[name] for name in names]
        kind_N = [known if n < 0 else known + 1 if n >= known else n for n in numbers]
        after_NK, after_KK, usual_K = own.after_NK.toarray(), own.after_KK.toarray(), own.usual_K
        evidence_K = np.zeros(known + 2)
        for age, item in enumerate(list(dict.fromkeys(history[::-1].tolist()))[:5]):
            item_K = after_NK[item] if item < len(after_NK) else 0 * usual_K
            kind_K = after_KK[kind_N[item]] if kind_N[item] <= known else 0 * usual_K
            share_K = (kind_K + 20 * usual_K) / (kind_K.sum() + 20)
            share_K = (item_K + 5 * share_K) / (item_K.sum() + 5)
            evidence_K[:-1] += 0.7**age * np.log(share_K / usual_K)
        yield feature, (evidence_K[:-1], evidence_K[kind_N])


def contents(items, split, present, history):
    """The likeness of every item to a history and to its last item; and the items that have any of the
    eight rarest words of the last one, which must be few enough to be listed all, as BM25 orders them."""
    texts = texts_of(items)["text"]
    words = [words_of(split, text) if here else [] for text, here in zip(texts, present, strict=True)]
    times = Counter(chain.from_iterable(words))
    number_of = {word: number for number, word in enumerate(times)}
    rarity_V = np.array([np.log(sum(present) / n) if n > 1 else 0 for n in times.values()])
    vector_NV = np.zeros((len(items), len(times)))
    for row, own in enumerate(words):
        vector_NV[row, [number_of[word] for word in own]] = [rarity_V[number_of[word]] for word in own]
    vector_NV /= np.maximum(np.linalg.norm(vector_NV, axis=1, keepdims=True), 1e-9)
    recent = history[-10:]
    weight_H = 0.8 ** np.arange(len(recent))[::-1]
    whole_V = weight_H @ vector_NV[recent] / max(weight_H.sum(), 1e-9)
    last_V = vector_NV[recent[-1]] if len(recent) else whole_V
    rarest = sorted(words[recent[-1]] if len(recent) else (), key=lambda word: -rarity_V[number_of[word]])[:8]
    known = [number_of[word] for word in rarest if rarity_V[number_of[word]] > 0]
    alike = set(np.flatnonzero(vector_NV[:, known].any(1)).tolist())
    assert len(alike) <= ALIKE
    return vector_NV @ np.stack([whole_V, last_V], 1), alike


def folded(text):
    return "".join(c for c in text.casefold() if c.isalnum())


def tastes(items, history):
    recent = history[-10:]
    value_NF = np.zeros((len(items), 3))
    if len(recent) == 0:
        return value_NF
    weight_H = 0.8 ** np.arange(len(recent))[::-1]
    weight_H /= weight_H.sum()
    brands = items.table["brand"].to_pylist()
    categories = [(names or [None])[-1] for names in items.table["categories"].to_pylist()]
    log_price_N = np.log(np.array([p or np.nan for p in items.table["price"].to_pylist()], float))
    priced_H = np.isfinite(log_price_N[recent])
    usual = np.average(log_price_N[recent][priced_H], weights=weight_H[priced_H]) if priced_H.any() else None
    for row in range(len(items)):
        for column, values in ((0, brands), (1, categories)):
            same = [bool(values[row]) and values[row] == values[item] for item in recent]
            value_NF[row, column] = weight_H @ np.array(same, float)
        if usual is not None:
            value_NF[row, 2] = np.exp(-abs(np.nan_to_num(log_price_N[row], nan=usual) - usual))
    return value_NF
