#!/bin/sh
# Says what it was given and takes some time over it. WORK_SECONDS is for those who can't wait.
set -eu
task=$(cat)
echo "Processing $task"
sleep "${WORK_SECONDS:-10}"
