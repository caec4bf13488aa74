// Resolves names to addresses. getaddrinfo blocks without a limit and cannot be cancelled. So a
// look-up runs in a thread of Lookups, and the caller abandons it when the deadline passes.
#include "net/resolver.h"

#include <atomic>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <optional>
#include <string>
#include <system_error>
#include <utility>

namespace tern::net {

namespace {

Error resolver_error(std::string_view host, int code, int error_number) {
  if (code == EAI_SYSTEM) return Error({error_number, std::system_category()}, lookup_stage(host));
  if (code == EAI_MEMORY) return Error(Errc::no_memory, lookup_stage(host));
  return Error(Errc::name_not_resolved, lookup_stage(host) + " (" + ::gai_strerror(code) + ")");
}

Result<Addresses> look_up(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw);
  if (code != 0) return resolver_error(host, code, errno);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(raw, ::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = raw; entry != nullptr; entry = entry->ai_next) {
    if (const auto address = Address::from(entry->ai_addr, entry->ai_addrlen)) {
      addresses.push_back(*address);
    }
  }
  if (addresses.empty()) return resolver_error(host, EAI_NONAME, 0);
  interleave_families(addresses);
  return addresses;
}

struct OfProcess {
  Lookups lookups{look_up};
  OfProcess* parents;  // the object of the parent process after a fork; no code uses it
};

// The one exception from the rule that tern has no variables for the whole process: a bound for the
// process needs a count for the process. The first look-up creates the object. It is never
// destroyed, because a look-up may still run when main returns; the pointer stays, so that no
// checker takes the object for a leak. A child of fork() replaces the object, because the threads
// that its copy counts do not exist in the child, and one of them may have held the lock.
Lookups& lookups_of_process() {
  constinit static std::atomic<OfProcess*> current = nullptr;
  OfProcess* held = current.load(std::memory_order_acquire);
  while (held == nullptr || held->lookups.in_child()) {
    auto made = std::make_unique<OfProcess>(OfProcess{.parents = held});
    if (current.compare_exchange_strong(held, made.get(), std::memory_order_acq_rel)) {
      return made.release()->lookups;
    }
  }
  return held->lookups;
}

struct Answer {
  std::mutex mutex{};
  std::condition_variable_any arrived{};
  std::optional<Result<Addresses>> result{};  // guarded by mutex
};

}  // namespace

void interleave_families(Addresses& addresses) {
  if (addresses.empty()) return;
  Addresses first;
  Addresses second;
  for (const Address& address : addresses) {
    (address.family() == addresses.front().family() ? first : second).push_back(address);
  }
  addresses.clear();
  for (std::size_t i = 0; i < first.size() || i < second.size(); ++i) {
    if (i < first.size()) addresses.push_back(first[i]);
    if (i < second.size()) addresses.push_back(second[i]);
  }
}

Lookup resolve_async(std::string_view host, std::uint16_t port, Lookups::Done done) {
  if (const auto numeric = Address::parse(host, port)) {
    done(Addresses{*numeric});
    return {};
  }
  if (host.empty() || host.find('\0') != host.npos) {
    done(resolver_error(host, EAI_NONAME, 0));
    return {};
  }
  return lookups_of_process().add(host, port, std::move(done));
}

Result<Addresses> resolve(std::string_view host, std::uint16_t port,
                          std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
  const auto answer = std::make_shared<Answer>();
  // Its destructor drops the look-up from the queue if this function gives up.
  const Lookup lookup = resolve_async(host, port, [answer](Result<Addresses> result) {
    const std::lock_guard lock(answer->mutex);
    answer->result.emplace(std::move(result));
    answer->arrived.notify_one();
  });
  std::unique_lock lock(answer->mutex);
  const auto here = [&] { return answer->result.has_value(); };
  if (deadline == std::chrono::steady_clock::time_point::max()) {
    answer->arrived.wait(lock, stop, here);
  } else {
    answer->arrived.wait_until(lock, stop, deadline, here);
  }
  if (!here()) {
    return Error(stop.stop_requested() ? Errc::stopped : Errc::timed_out, lookup_stage(host));
  }
  return std::move(*answer->result);
}

}  // namespace tern::net
