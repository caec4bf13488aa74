#!/usr/bin/env bash
# Installs through apt the packages that a job needs and that are missing. If none is missing, it does
# nothing.
#   scripts/setup.sh build|test|check|coverage|interop|bench|peers|guard|cluster
# Without root and without a password-less sudo it prints the command to run, and fails.
# shellcheck disable=SC2034   # ${!job} reads the variables
set -euo pipefail

# Each word is one need: "package", or "package:command" if any package may provide the command.
# "libclang-rt" stands for clang's sanitizer and fuzzer run-times; the package name contains the version.
build="cmake:cmake g++:c++ ninja-build:ninja libssl-dev zlib1g-dev libcli11-dev
  nlohmann-json3-dev libnats-dev libhiredis-dev"
test="$build libgtest-dev pkg-config:pkg-config clang-format:clang-format openssl:openssl"
check="$test clang:clang++ clang-tidy:clang-tidy llvm:llvm-cov libwslay-dev libclang-rt
  patch:patch valgrind:valgrind"
coverage="$test gcovr:gcovr"
interop="$build python3:python3 python3-websockets python3-requests python3-prometheus-client nodejs:node node-ws
  chromium:chromium chromium-driver:chromedriver curl:curl openssl:openssl nginx-light:nginx
  haproxy:haproxy caddy:caddy tinyproxy-bin:tinyproxy squid-openssl microsocks:microsocks dante-server
  systemd:systemd-socket-activate nats-server redis-server"
bench="$build libbenchmark-dev"
peers="$bench libboost-dev libwebsockets-dev libwebsocketpp-dev golang-go:go
  golang-github-gorilla-websocket-dev nodejs:node node-ws"
guard="$build valgrind:valgrind"
cluster="$build nats-server redis-server haproxy"

job=${1:-}
case $job in
  build | test | check | coverage | interop | bench | peers | guard | cluster) needs=${!job} ;;
  *) echo "usage: $0 build|test|check|coverage|interop|bench|peers|guard|cluster" >&2; exit 2 ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "setup: this is not a Debian system, so nothing is installed; the job '$job' needs (package:command): $needs" >&2
  exit 0
fi

missing=()
wanted=()
for need in $needs; do
  case $need in
    *:*) command -v "${need#*:}" >/dev/null || missing+=("${need%:*}") ;;
    libclang-rt)
      runtime=$(clang++ -print-file-name="libclang_rt.fuzzer-$(uname -m).a" 2>/dev/null || true)
      [[ -e $runtime ]] || missing+=(libclang-rt)
      ;;
    *) wanted+=("$need") ;;
  esac
done
installed=$(dpkg-query --show --showformat '${Package} ${db:Status-Status}\n' "${wanted[@]}" 2>/dev/null || true)
for package in "${wanted[@]}"; do
  [[ $installed == *"$package installed"* ]] || missing+=("$package")
done
((${#missing[@]})) || exit 0

# If clang is not installed yet, its version is known only after `apt-get update`.
name_runtime() {
  local version
  version=$(clang++ -dumpversion 2>/dev/null ||
    apt-cache policy clang 2>/dev/null | sed -n 's/^ *Candidate: *\([0-9]*:\)\?\([0-9]*\).*/\2/p')
  missing=("${missing[@]/%libclang-rt/libclang-rt-${version%%.*}-dev}")
}

if ((EUID == 0)); then
  as_root=(env)
elif sudo -n true 2>/dev/null; then
  as_root=(sudo -n env)
else
  name_runtime
  echo "setup: this needs root; run:" >&2
  echo "sudo apt-get update && sudo apt-get install -y --no-install-recommends ${missing[*]}" >&2
  exit 1
fi

apt=("${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
"${apt[@]}" update || echo "setup: apt-get update failed, so the old package lists are used" >&2
name_runtime
echo "setup: installing ${missing[*]}"
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"
