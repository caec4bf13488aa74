#pragma once

#include "tern/error.h"
#include "tern/unique_function.h"

#include "net/address.h"

#include <chrono>
#include <cstdint>
#include <string_view>
#include <vector>

namespace tern::net {

using Addresses = std::vector<Address>;

/// The addresses of `host`, families alternating from the resolver's first choice (RFC 8305 §4).
/// Numeric hosts need no lookup. Waits until `deadline` at most; a lookup that takes longer is
/// abandoned, not waited for. Errors: Errc::name_not_resolved, with the resolver's words;
/// Errc::timed_out; errno's when no thread can be started.
Result<Addresses> resolve(std::string_view host, std::uint16_t port,
                          std::chrono::steady_clock::time_point deadline);

/// The same without waiting: `done` is called once, in a thread that lives only for this lookup,
/// or, for numeric hosts and when no thread can be started, in this one before the call returns. It
/// must not throw.
void resolve_async(std::string_view host, std::uint16_t port,
                   UniqueFunction<void(Result<Addresses>)> done);

/// Reorders so that families alternate, beginning with the first one's; each family keeps its
/// order.
void interleave_families(Addresses& addresses);

}  // namespace tern::net
