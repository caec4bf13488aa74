#!/usr/bin/env bash
# Makes a certificate and its key for trying things out, see usage() below.
set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/make_certificate.sh [DIRECTORY [NAME...]]

Writes cert.pem and key.pem to DIRECTORY, which is made if need be (default: the current one).
The certificate is for localhost, 127.0.0.1, ::1 and each NAME, which is a host name or an IP
address. It is valid for 30 days and signed by itself, so a client trusts it as its CA:

  scripts/make_certificate.sh
  build/bin/echo_server --cert cert.pem --key key.pem
  build/bin/echo_client --ca cert.pem wss://localhost:9001/echo
END
}

case ${1:-} in
  -h | --help) usage && exit 0 ;;
  -*) echo "make_certificate: unknown option $1 (see --help)" >&2 && exit 2 ;;
esac

directory=${1:-.}
shift || true
names="DNS:localhost,IP:127.0.0.1,IP:::1"
for name in "$@"; do
  if [[ $name == *:* || $name =~ ^[0-9.]+$ ]]; then names+=",IP:$name"; else names+=",DNS:$name"; fi
done

command -v openssl >/dev/null || { echo "make_certificate: install openssl" >&2; exit 1; }
mkdir -p "$directory"
umask 077  # others may not read the key
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
  -subj "/CN=${1:-localhost}" -addext "subjectAltName=$names" \
  -keyout "$directory/key.pem" -out "$directory/cert.pem" 2>/dev/null ||
  { echo "make_certificate: openssl failed" >&2; exit 1; }
echo "$directory/cert.pem $directory/key.pem"
