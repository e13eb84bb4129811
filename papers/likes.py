"""The papers that `like:` names: compared by their vectors where they have one, by their words where not."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from papers import vectors
from papers.encoders import Encoder, Vectors
from papers.index import Document
from papers.likeness import Like, Profile, near, profile
from papers.query import Query


@dataclass(frozen=True, slots=True)
class Likes:
    """Papers by arXiv id: the profiles of those without a vector, and the vectors, float32[d], of all others."""

    profiles: dict[str, Profile] = field(default_factory=dict)
    vectors: dict[str, Vectors] = field(default_factory=dict)

    @classmethod
    def of(cls, papers: Mapping[str, Document], encoder: Encoder | None) -> "Likes":
        """Return what there is of ``papers``, which the archive holds; no vector is made."""
        known = vectors.known(encoder, [paper.id for paper in papers.values()]) if encoder and papers else {}
        return cls(
            {name: profile(paper) for name, paper in papers.items() if paper.id not in known},
            {name: known[paper.id] for name, paper in papers.items() if paper.id in known},
        )

    def add(self, others: "Likes") -> None:
        self.profiles.update(others.profiles)
        self.vectors.update(others.vectors)

    def against(self, papers: Vectors, least: float) -> dict[str, Like]:
        """Return them for matching: ``papers`` float32[n, d] are the index's, alike from the closeness ``least``."""
        return self.profiles | {name: near(papers @ vector, least) for name, vector in self.vectors.items()}

    def said(self, query: Query, topics: Vectors) -> Vectors:
        """Return float32[k, d]: the vectors of a query's ``topics``, and of the papers that it names."""
        named = [name for side in query.alternatives for name in side.like if name in self.vectors]
        return np.concatenate([topics, *(self.vectors[name][None, :] for name in named)])
