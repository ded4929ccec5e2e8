"""Makes .bench-env with the peers: dvc, disk-objectstore and the table formats from the package
index, restic and git from the system (installed here when this runs as root on Debian)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from measure import PEERS

PACKAGES = ["dvc", "disk-objectstore", "numpy"]
TABLES = ["deltalake", "pyiceberg[sql-sqlite,pyarrow]", "icechunk", "zarr", "pylance"]
SYSTEM = ["restic", "git"]


def newest_python() -> str:
    for minor in range(20, 10, -1):
        found = shutil.which(f"python3.{minor}")
        if (
            found
            and subprocess.run(
                [found, "-c", "import venv, ensurepip"], check=False, capture_output=True
            ).returncode
            == 0
        ):
            return found
    return sys.executable


def main() -> None:
    python = newest_python()
    subprocess.run([python, "-m", "venv", str(PEERS)], check=True)
    pip = [str(PEERS / "bin" / "python"), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "--upgrade", "pip"], check=True)
    subprocess.run([*pip, *PACKAGES, *TABLES], check=True)
    missing = [name for name in SYSTEM if shutil.which(name) is None]
    if missing and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=True)
        subprocess.run(
            ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing], check=True
        )
        missing = [name for name in SYSTEM if shutil.which(name) is None]
    print(
        f"peers are in {PEERS}" + (f"; not to be had here: {', '.join(missing)}" if missing else "")
    )


if __name__ == "__main__":
    main()
