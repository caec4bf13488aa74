#!/usr/bin/env bash
# scripts/make_certificate.sh [DIRECTORY [NAME...]]: makes cert.pem and key.pem for trying things out.
# The certificate is for localhost, 127.0.0.1, ::1 and the names given, for 30 days, and signed by
# itself: a client trusts it as its CA (--ca cert.pem).
set -euo pipefail

directory=${1:-.}
shift || true
names="DNS:localhost,IP:127.0.0.1,IP:::1"
for name in "$@"; do
  if [[ $name == *:* || $name =~ ^[0-9.]+$ ]]; then names+=",IP:$name"; else names+=",DNS:$name"; fi
done

command -v openssl >/dev/null || { echo "make_certificate: install openssl" >&2; exit 1; }
mkdir -p "$directory"
umask 077  # the key is nobody else's
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
  -subj "/CN=${1:-localhost}" -addext "subjectAltName=$names" \
  -keyout "$directory/key.pem" -out "$directory/cert.pem" 2>/dev/null ||
  { echo "make_certificate: openssl failed" >&2; exit 1; }
echo "$directory/cert.pem $directory/key.pem"
