#!/usr/bin/env bash
# Runs clang-tidy on the library's sources. Most of its time goes to the headers of the standard library, so it
# reads up to ten files of a room together (CMAKE_UNITY_BUILD), which takes a fifth of the time. The build directory is
# only configured.
set -euo pipefail
cd "$(dirname "$0")/.."

"${SETUP:-scripts/setup.sh}" check
build=build/check-tidy
cmake -S . -B $build -DCMAKE_BUILD_TYPE=Debug -DCMAKE_CXX_COMPILER=clang++ -DCMAKE_UNITY_BUILD=ON \
  -DTERN_BUILD_TESTS=OFF -DTERN_BUILD_EXAMPLES=OFF -DTERN_BUILD_TOOLS=OFF -DTERN_INSTALL=OFF >/dev/null
# bugprone-suspicious-include would report the files that CMake makes. layers_test reports an #include of a .cc
# file in the library.
sed -n 's/^ *"file": "\(.*\)",\?$/\1/p' $build/compile_commands.json |
  xargs -P "$(nproc)" -n 1 clang-tidy --quiet --checks=-bugprone-suspicious-include -p $build 2>&1 |
  { grep -v 'warnings\? generated\.$' || true; }
