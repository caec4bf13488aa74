#pragma once

#include "tern/error.h"
#include "tern/unique_function.h"

#include "net/address.h"

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string_view>
#include <vector>

namespace tern::net {

using Addresses = std::vector<Address>;

/// Returns the addresses of `host`. Families alternate, and the family of the resolver's first
/// address is first (RFC 8305 §4). A numeric host needs no lookup. Waits at most until `deadline`;
/// a lookup that takes longer is abandoned, as one during which `stop` is requested. Errors:
/// Errc::name_not_resolved with the text of the resolver; Errc::timed_out; Errc::stopped; an error
/// of the system if no thread can be started.
Result<Addresses> resolve(std::string_view host, std::uint16_t port,
                          std::chrono::steady_clock::time_point deadline,
                          std::stop_token stop = {});

/// Does the same without waiting. Calls `done` once, in a thread that exists only for this lookup.
/// For a numeric host, or if no thread can be started, it calls `done` in this thread before it
/// returns. `done` must not throw.
void resolve_async(std::string_view host, std::uint16_t port,
                   UniqueFunction<void(Result<Addresses>)> done);

/// Reorders the addresses so that families alternate. The family of the first address stays first,
/// and the order within each family stays the same.
void interleave_families(Addresses& addresses);

}  // namespace tern::net
