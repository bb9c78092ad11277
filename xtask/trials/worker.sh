#!/bin/sh
# A worker that can be made to fail, and that says what it has done.
task=$(cat)
echo "Processing $task"
case $task in
bad*) exit 65 ;;
cherry) mkdir /marks/cherry 2>/dev/null && exit 75 ;;
apple) if mkdir /marks/apple 2>/dev/null; then sleep 600; fi ;;
esac
echo "Done $task"
