#!/usr/bin/env bash
# Makes a certificate and its key for experiments; see usage() below.
set -euo pipefail

usage() {
  cat <<'END'
usage: scripts/make_certificate.sh [DIRECTORY [NAME...]]

Writes cert.pem and key.pem to DIRECTORY (default: the current one) and makes it if necessary.
It replaces existing files of these names. Only the owner may read the key.
The certificate is for localhost, 127.0.0.1, ::1 and each NAME, which is a host name or an IP
address. It is valid for 30 days and signed by itself, so a client trusts it as its CA:

  scripts/make_certificate.sh
  build/bin/echo_server --cert cert.pem --key key.pem
  build/bin/echo_client --ca cert.pem wss://localhost:9001/echo
END
}

fail() {  # EXIT_CODE TEXT: prints one line and ends the script
  echo "make_certificate: $2" >&2
  exit "$1"
}

for word in "$@"; do
  case $word in
    -h | --help) usage && exit 0 ;;
    -*) fail 2 "unknown option $word (see --help)" ;;
  esac
done

directory=${1-.}
shift || true
[[ -n $directory ]] || fail 2 "the directory has no name (see --help)"
names="DNS:localhost,IP:127.0.0.1,IP:::1"
for name in "$@"; do
  [[ $name =~ ^[A-Za-z0-9.:*_-]+$ ]] || fail 2 "no host name or IP address: '$name' (see --help)"
  if [[ $name == *:* || $name =~ ^[0-9.]+$ ]]; then names+=",IP:$name"; else names+=",DNS:$name"; fi
done
subject=${1:-localhost}

command -v openssl >/dev/null || fail 1 "install openssl"
mkdir -p "$directory"
for file in cert.pem key.pem; do
  [[ ! -d $directory/$file ]] || fail 1 "$directory/$file is a directory"
done

# Both files are made in another directory and then moved, so that a failure does not change the old pair.
umask 077  # only the owner may read the key
new=$(mktemp -d "$directory/.make_certificate.XXXXXX")
trap 'rm -rf "$new"' EXIT
if ! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 \
  -subj "/CN=${subject:0:64}" -addext "subjectAltName=$names" \
  -keyout "$new/key.pem" -out "$new/cert.pem" 2>"$new/errors"; then
  cat "$new/errors" >&2
  fail 1 "openssl failed, see above"
fi
chmod 644 "$new/cert.pem"  # a certificate is public
mv -f "$new/key.pem" "$new/cert.pem" "$directory"
echo "$directory/cert.pem $directory/key.pem"
