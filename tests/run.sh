#!/bin/sh
# Installs what the tests need, then runs them: Debian's dcmtk, Orthanc, HAProxy and PostgreSQL when they are missing and we may,
# a virtual environment in .venv, the package with its test extra. Further words go to pytest.
set -eu
cd "$(dirname "$0")/.."

missing=""
command -v storescu >/dev/null 2>&1 || missing="$missing dcmtk"
{ command -v Orthanc || [ -x /usr/sbin/Orthanc ]; } >/dev/null 2>&1 || missing="$missing orthanc"
{ command -v haproxy || [ -x /usr/sbin/haproxy ]; } >/dev/null 2>&1 || missing="$missing haproxy"
command -v openssl >/dev/null 2>&1 || missing="$missing openssl"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null 2>&1 || missing="$missing postgresql"
if [ -n "$missing" ]; then
    as_root=""
    [ "$(id -u)" = 0 ] || as_root="sudo -n"
    if command -v apt-get >/dev/null 2>&1 && $as_root true 2>/dev/null; then
        # A package's own service must not start: the tests start what they need on free ports.
        $as_root apt-get -q update
        # shellcheck disable=SC2086
        $as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q install -y --no-install-recommends $missing
    else
        echo "tests: missing:$missing; install them (Debian: apt-get install$missing) and run again" >&2
        exit 1
    fi
fi

python=${PYTHON:-python3}
"$python" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' || {
    echo "tests: $python is not Python 3.11 to 3.13; name one with PYTHON=" >&2
    exit 1
}
unset PYTHONDONTWRITEBYTECODE # hundreds of processes import the package: it is compiled once
[ -x .venv/bin/python ] || "$python" -m venv .venv
.venv/bin/python -m pip install -q -e '.[test]'
exec .venv/bin/python -m pytest -n 3 --dist worksteal "$@"
