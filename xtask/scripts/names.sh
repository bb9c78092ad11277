#!/usr/bin/env bash
# The tools' names, a line each: every tool has a page in section 1 of the manual.
set -euo pipefail
cd "$(dirname "$0")/../../man"
basename --suffix=.1 --multiple ./*.1 | LC_ALL=C sort
