"""A beam search written the slow way, over dictionaries of paths."""

import torch


def slow_search(index, width, wanted, model):
    """Best first: (leaf, score). Nodes are paths; ties go to the smaller path, hence to the lower leaf.

    model(path): log-probabilities of the codes after a path.
    """
    paths = [index.path(leaf) for leaf in sorted(wanted)]
    beams = {(): torch.tensor(0.0)}
    for level in range(index.depth):
        after = {path: model(path) for path in beams}
        legal = sorted({path[: level + 1] for path in paths if path[:level] in beams})
        scored = [(beams[path[:-1]] + after[path[:-1]][path[-1]], path) for path in legal]
        beams = {path: score for score, path in sorted(scored, key=lambda pair: (-pair[0], pair[1]))[:width]}
    return [(index.leaf(path), float(score)) for path, score in beams.items()]
