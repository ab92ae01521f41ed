"""The package: its units, its weight, and that it installs, imports and type-checks in a fresh folder."""

from __future__ import annotations

import gzip
import json
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.checkout.origins import PAGES
from tests.support.npm import WHEEL
from tests.support.tools import node_program

NPM = [WHEEL / "bin/node", WHEEL / "lib/node_modules/npm/bin/npm-cli.js"]
HEAVIEST = 6000
SERVED = Path(__file__).parents[2] / "gateway/checkout/sdk"


def _run(*command: object, cwd: Path) -> str:
    said = subprocess.run(
        [str(one) for one in command], cwd=cwd, capture_output=True, text=True, timeout=120, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    return said.stdout


@pytest.fixture(scope="module")
def fresh(sdk: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A merchant's project, which has the package from its tarball and nothing else."""
    folder = tmp_path_factory.mktemp("merchant")
    packed = json.loads(_run(*NPM, "pack", "--json", "--ignore-scripts", "--pack-destination", folder, cwd=sdk))
    (folder / "package.json").write_text('{ "private": true, "type": "module" }')
    _run(*NPM, "install", "--offline", "--no-audit", "--no-fund", folder / packed[0]["filename"], cwd=folder)
    return folder


def test_the_units(sdk: Path) -> None:
    """vitest, over the sources."""
    _run(node_program(), "node_modules/vitest/vitest.mjs", "run", cwd=sdk)


def test_the_types_of_the_sources(sdk: Path) -> None:
    _run(node_program(), "node_modules/typescript/bin/tsc", "--noEmit", cwd=sdk)


def test_the_script_is_light_and_says_where_its_sources_are(sdk: Path) -> None:
    script = (sdk / "dist/checkout.js").read_bytes()
    assert len(gzip.compress(script, 9)) <= HEAVIEST
    assert script.endswith(b"//# sourceMappingURL=checkout.js.map\n")
    told = json.loads((sdk / "dist/checkout.js.map").read_text())
    assert len(told["sources"]) == len([text for text in told["sourcesContent"] if text]) > 5
    assert str(sdk) not in json.dumps(told)
    for forbidden in (b"eval(", b"innerHTML", b"document.write", b"new Function", b"localStorage", b"cookie"):
        assert forbidden not in script


def test_what_the_gateway_serves_is_what_the_sources_build(sdk: Path) -> None:
    for served in SERVED.iterdir():
        assert served.read_bytes() == (sdk / "dist" / served.name).read_bytes(), f"{served.name} is old: make sdk"


def test_the_tarball_has_what_is_needed_and_no_more(fresh: Path) -> None:
    (tarball,) = fresh.glob("*.tgz")
    with tarfile.open(tarball) as packed:
        names = {name.removeprefix("package/") for name in packed.getnames()}
    built = {
        "checkout.js",
        "checkout.js.map",
        "checkout.mjs",
        "checkout.mjs.map",
        "checkout.d.ts",
        "checkout.d.mts",
        "build.json",
    }
    assert names == {"package.json", "README.md", "LICENSE"} | {f"dist/{name}" for name in built}
    assert "dependencies" not in json.loads((fresh / "node_modules/@ledgate/checkout/package.json").read_text())


def test_it_is_imported_and_required_where_no_browser_is(fresh: Path) -> None:
    """Server-side rendering imports it, constructs it, and only `open()` needs a browser."""
    script = """
      import Default, { PaymentGateway } from "@ledgate/checkout";
      import { createRequire } from "node:module";
      const required = createRequire(import.meta.url)("@ledgate/checkout");
      const said = [];
      for (const One of [PaymentGateway, Default, required.PaymentGateway, required.default]) {
        const made = new One({ key: "k", orderId: "o", checkoutUrl: "https://pay.example/checkout" });
        made.close();
        try { made.open() } catch (error) { said.push(One.version + " " + error.message) }
      }
      console.log(JSON.stringify([said, "PaymentGateway" in globalThis]));
    """
    version = json.loads((fresh / "node_modules/@ledgate/checkout/package.json").read_text())["version"]
    told = json.loads(_run(node_program(), "--input-type=module", "-e", script, cwd=fresh))
    assert told == [[f"{version} PaymentGateway: open() needs a browser"] * 4, False]


@pytest.mark.parametrize(
    ("resolution", "module"), [("NodeNext", "NodeNext"), ("Bundler", "ESNext"), ("Node10", "CommonJS")]
)
def test_its_types_hold(sdk: Path, fresh: Path, resolution: str, module: str) -> None:
    """What is right compiles, by import and by require; what is wrong does not."""
    files = ["right.ts", "required.cts"] if module == "NodeNext" else ["right.ts"]
    for name in files:
        (fresh / name).write_text((PAGES / name).read_text())
    tsc = sdk / "node_modules/typescript/bin/tsc"
    strict = ["--strict", "--noEmit", "--skipDefaultLibCheck", "--exactOptionalPropertyTypes", "--target", "ES2022"]
    _run(node_program(), tsc, *strict, "--moduleResolution", resolution, "--module", module, *files, cwd=fresh)
