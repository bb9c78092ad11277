#!/usr/bin/env bash
# Lints .github/workflows with actionlint, which Go builds, and zizmor, a Python package. Where one can't be had, it is skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."
actionlint=github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
zizmor=zizmor==1.32.0
target=$PWD/target/lint-$(uname -m)

# In a folder of their own, complete or not at all.
GOBIN=$target go install "$actionlint" 2>"$target.log" || true
if [ -x "$target/actionlint" ]; then
    "$target/actionlint"
else
    echo "skipped: actionlint: $(tail -n 1 "$target.log")"
fi
if [ ! -x "$target/venv/bin/zizmor" ]; then
    { python3 -m venv --clear "$target/venv" && "$target/venv/bin/pip" install --quiet --disable-pip-version-check "$zizmor"; } \
        >"$target.log" 2>&1 || true
fi
if [ -x "$target/venv/bin/zizmor" ]; then
    "$target/venv/bin/zizmor" --offline --quiet --no-progress .github/workflows
else
    echo "skipped: zizmor: $(tail -n 1 "$target.log")"
fi
