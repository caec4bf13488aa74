// The client of a request, as trusted proxies describe it.
#pragma once

#include "tern/behind_proxy.h"
#include "tern/http.h"

#include "server/trusted_peers.h"

#include <optional>
#include <span>
#include <string>

namespace tern::server {

/// The believed part of a request that a trusted proxy passed on.
struct Told {
  /// The client: "192.0.2.7:51234", without a port "192.0.2.7" or "2001:db8::7"; "unix:"; or the
  /// identifier behind which a proxy hides it, as "unknown" or "_a1". Empty: nothing is told, so
  /// the client is the proxy itself.
  std::string address{};
  std::optional<bool> secure{};  ///< whether the client spoke TLS; absent: it is not told
  std::string host{};            ///< the host that the client named; empty: it is not told
};

/// Reads the fields of a request that came from a trusted proxy. The chain of addresses is read
/// from its end. It leads to the last address that is not trusted; if all are trusted, to the first
/// one. An entry that cannot be read ends the chain, because whoever wrote it may have written all
/// before it. The same holds for a hidden client.
///
/// The scheme and the host are those that the proxy of that entry received. X-Forwarded-Proto and
/// -Host have them at the same place, if they have as many elements as X-Forwarded-For; otherwise
/// only their last element is believed. Throws std::bad_alloc. RFC 7239 §5, §6, §8.1.
Told told_by_proxies(std::span<const HeaderField> fields, TrustedHeader header,
                     const TrustedPeers& trusted);

}  // namespace tern::server
