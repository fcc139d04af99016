"""Looks at what image/build made: check.py FOLDER VERSION PLATFORM..."""

import json
import os
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from pathlib import Path

folder, version, platforms = Path(sys.argv[1]), sys.argv[2], sys.argv[3:]
FILES = ["etc/ssl/certs/ca-certificates.crt", "vpo"]
MACHINES = {"linux/amd64": 62, "linux/arm64": 183}
EMULATORS = {"linux/amd64": "qemu-x86_64-static", "linux/arm64": "qemu-aarch64-static"}


def demand(true, sentence):
    if not true:
        sys.exit(f"image: {sentence}")


def blob(descriptor):
    return folder / "oci/blobs" / descriptor["digest"].replace(":", "/")


def read(descriptor):
    return json.loads(blob(descriptor).read_text())


def check_program(platform, program):
    """The ELF file is for the platform and asks for no loader, which the empty base doesn't have."""
    demand(program[:6] == b"\x7fELF\x02\x01", f"{platform}: vpo is no 64-bit ELF file")
    demand(struct.unpack_from("<H", program, 18)[0] == MACHINES[platform], f"{platform}: vpo is for another machine")
    (start,), (size, count) = struct.unpack_from("<Q", program, 32), struct.unpack_from("<HH", program, 54)
    kinds = [struct.unpack_from("<I", program, start + size * n)[0] for n in range(count)]
    demand(3 not in kinds, f"{platform}: vpo is linked dynamically")


def run(platform, program):
    """What the program of the image says of itself: run as it is, or under qemu-user-static."""
    with tempfile.NamedTemporaryFile(delete=False) as file:
        file.write(program)
    path = Path(file.name)
    path.chmod(0o755)
    own = {"x86_64": "linux/amd64", "aarch64": "linux/arm64"}.get(os.uname().machine)
    emulator = shutil.which(EMULATORS[platform])
    try:
        if platform != own and not emulator:
            return f"not run, since there is no {EMULATORS[platform]}"
        command = [str(path)] if platform == own else [emulator, str(path)]
        said = subprocess.run([*command, "--version"], capture_output=True, text=True, check=True, env={}).stdout.strip()
    finally:
        path.unlink()
    demand(said.split() == ["vpo", version], f"{platform}: vpo --version says {said!r}")
    return "run" if platform == own else "run under qemu"


def check_sbom(platform):
    """Every crate in the list is one of Cargo.lock, and ours is among them."""
    listed = json.loads((folder / f"vpo-{version}-{platform.replace('/', '-')}.cdx.json").read_text())
    crates = {(c["name"], c["version"]) for c in listed.get("components", []) if c.get("purl", "").startswith("pkg:cargo/")}
    locked = {(p["name"], p["version"]) for p in tomllib.loads(Path("Cargo.lock").read_text())["package"]}
    demand(crates <= locked, f"{platform}: the SBOM names what Cargo.lock doesn't: {sorted(crates - locked)}")
    demand({"version-package-operator", "kube-client", "ring"} <= {name for name, _ in crates}, f"{platform}: the SBOM lists no crates")
    return len(crates), len(listed["components"])


(top,) = json.loads((folder / "oci/index.json").read_text())["manifests"]
found = {f"{m['platform']['os']}/{m['platform']['architecture']}": m for m in read(top)["manifests"]}
demand(sorted(found) == sorted(platforms), f"the layout has {sorted(found)}")
for platform in platforms:
    manifest = read(found[platform])
    config = read(manifest["config"])
    demand(f"{config['os']}/{config['architecture']}" == platform, f"{platform}: the image says {config['architecture']}")
    demand(config["config"].get("User") == "65532:65532", f"{platform}: the user is {config['config'].get('User')!r}")
    demand(config["config"].get("Entrypoint") == ["/vpo"], f"{platform}: it starts {config['config'].get('Entrypoint')}")
    files = {}
    for layer in manifest["layers"]:
        with tarfile.open(blob(layer)) as tar:
            files |= {m.name.lstrip("./"): tar.extractfile(m).read() if m.isfile() else b"" for m in tar if not m.isdir()}
    # So there is no shell either.
    demand(sorted(files) == FILES, f"{platform}: the image has the files {sorted(files)}")
    check_program(platform, files["vpo"])
    ran = run(platform, files["vpo"])
    crates, components = check_sbom(platform)
    size = sum(layer["size"] for layer in manifest["layers"])
    print(
        f"image: {platform}: {size / 1e6:.1f} MB to pull, vpo {len(files['vpo']) / 1e6:.1f} MB static ({ran}), "
        f"{crates} crates among {components} components of the SBOM, {found[platform]['digest']}"
    )
