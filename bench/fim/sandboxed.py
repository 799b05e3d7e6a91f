"""The inside of the sandbox: takes limits upon itself, then runs the program from its input.

`sandbox.py` starts it, and says what this protects from. Arguments: the descriptor to report to,
the folder that may be written to, seconds of CPU, bytes of memory, bytes of a file.
"""

from __future__ import annotations

import os
import resource
import sys

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
REFUSED = (
    "ctypes.", "fcntl.", "ftplib.", "http.client.", "imaplib.", "nntplib.", "os.exec", "os.fork",
    "os.kill", "os.posix_spawn", "os.spawn", "os.startfile", "os.system", "poplib.", "pty.",
    "resource.setrlimit", "signal.pthread_kill", "smtplib.", "socket.", "subprocess.Popen",
    "syslog.", "telnetlib.", "urllib.Request", "webbrowser.",
)  # fmt: skip
CHANGES = {
    "os.chmod", "os.chown", "os.link", "os.mkdir", "os.remove", "os.removexattr", "os.rename",
    "os.rmdir", "os.setxattr", "os.symlink", "os.truncate", "os.utime", "shutil.chown",
    "shutil.move", "shutil.rmtree",
}  # fmt: skip
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


def leave_the_network():
    """Move this process into an empty network, where the kernel lets it."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes  # noqa: PLC0415 - only before the hook

    try:
        return ctypes.CDLL(None).unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0
    except (OSError, AttributeError):
        return False


def limit(cpu_seconds, memory_bytes, longest_file):
    """Have the kernel end or refuse what is too much."""
    limits = {
        resource.RLIMIT_CPU: cpu_seconds,
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: longest_file,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_NOFILE: 32,
    }
    for what, value in limits.items():
        resource.setrlimit(what, (value, value))


def make_guard(folder):
    """Return an audit hook that lets a program read anything, and write in its folder only."""
    inside = os.path.realpath(folder) + os.sep
    real_path, decode = os.path.realpath, os.fsdecode

    def may_write(path):
        if isinstance(path, int):
            return True  # open already
        return (real_path(decode(path)) + os.sep).startswith(inside)

    def guard(event, arguments):
        if event == "open":
            path, _, flags = arguments
            writes = isinstance(flags, int) and flags & WRITING and path is not None
            if writes and not may_write(path):
                raise PermissionError("the sandbox: no writing outside of its folder")
        elif event in CHANGES:
            paths = [part for part in arguments if isinstance(part, str | bytes)]
            if not all(may_write(path) for path in paths):
                raise PermissionError("the sandbox: no changes outside of its folder")
        elif event.startswith(REFUSED):
            raise PermissionError(f"the sandbox refuses {event}")

    return guard


def main():
    answer, folder, *limits = sys.argv[1:]
    report = int(answer)
    isolated = leave_the_network()
    os.write(report, b"isolated\n" if isolated else b"audited\n")
    secret, program = sys.stdin.buffer.read().split(b"\n", 1)
    sys.argv[1:] = []
    limit(*map(int, limits))
    code = None
    sys.addaudithook(make_guard(folder))
    try:
        code = compile(program, "program.py", "exec")
        exec(code, {"__name__": "__main__"})  # noqa: S102 - what the sandbox is for
        word = b"passed"
    except SystemExit:
        word = b"left"
    except BaseException as error:  # noqa: BLE001 - any of them is a verdict
        word = type(error).__name__.encode()
    os.write(report, secret + b" " + word + b"\n")
    os._exit(0)


if __name__ == "__main__":
    main()
