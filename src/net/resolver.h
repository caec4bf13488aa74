#pragma once

#include "tern/error.h"

#include "net/address.h"
#include "net/lookups.h"

#include <chrono>
#include <cstdint>
#include <stop_token>
#include <string_view>

namespace tern::net {

/// Returns the addresses of `host`. Families alternate, and the family of the resolver's first
/// address is first (RFC 8305 §4). A numeric host needs no look-up. Other hosts are looked up at
/// most Lookups::max_threads at a time in this process, and the same name at most
/// Lookups::max_threads_of_a_host times; the others wait in the order in which they came. Waits at
/// most until `deadline`. A look-up that is not wanted any more, because the deadline passed or
/// `stop` was requested, is dropped if it still waits, and abandoned if it runs. Errors:
/// Errc::name_not_resolved with the text of the resolver; Errc::timed_out; Errc::stopped;
/// Errc::no_memory; an error of the system if no thread runs and none can be started. Throws
/// std::bad_alloc.
Result<Addresses> resolve(std::string_view host, std::uint16_t port,
                          std::chrono::steady_clock::time_point deadline,
                          std::stop_token stop = {});

/// Does the same without waiting. Calls `done` once, in a thread of the look-ups, unless the Lookup
/// is cancelled or destroyed before. For a numeric host or a host that cannot be a name, or if no
/// thread runs and none can be started, it calls `done` in this thread before it returns. `done`
/// must not throw. Works in a child of fork() too. Throws std::bad_alloc; then `done` is not
/// called.
Lookup resolve_async(std::string_view host, std::uint16_t port, Lookups::Done done);

/// Reorders the addresses so that families alternate. The family of the first address stays first,
/// and the order within each family stays the same.
void interleave_families(Addresses& addresses);

}  // namespace tern::net
