// Resolves names to addresses. getaddrinfo blocks without a limit and cannot be cancelled. So a
// lookup runs in a thread of its own, which the caller abandons when the deadline passes. The
// thread owns everything that it uses and ends with its answer.
#include "net/resolver.h"

#include <condition_variable>
#include <cstring>
#include <memory>
#include <mutex>
#include <netdb.h>
#include <new>
#include <optional>
#include <signal.h>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace tern::net {

namespace {

using Done = UniqueFunction<void(Result<Addresses>)>;

struct Lookup {
  std::string host;
  std::uint16_t port;
  Done done;
};

std::string stage_of(std::string_view host) { return "resolve " + std::string(host); }

Error resolver_error(std::string_view host, int code, int error_number) {
  if (code == EAI_SYSTEM) return Error({error_number, std::system_category()}, stage_of(host));
  if (code == EAI_MEMORY) return Error(Errc::no_memory, stage_of(host));
  return Error(Errc::name_not_resolved, stage_of(host) + " (" + ::gai_strerror(code) + ")");
}

Result<Addresses> look_up(const std::string& host, std::uint16_t port) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* raw = nullptr;
  const int code = ::getaddrinfo(host.c_str(), nullptr, &hints, &raw);
  if (code != 0) return resolver_error(host, code, errno);
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> found(raw, ::freeaddrinfo);
  Addresses addresses;
  for (const addrinfo* entry = raw; entry != nullptr; entry = entry->ai_next) {
    if (auto address = Address::from(entry->ai_addr, entry->ai_addrlen)) {
      address->set_port(port);
      addresses.push_back(*address);
    }
  }
  if (addresses.empty()) return resolver_error(host, EAI_NONAME, 0);
  interleave_families(addresses);
  return addresses;
}

void run_lookup(Lookup& lookup) noexcept {
  // This thread blocks all signals, because the signals of the application are for its own threads.
  sigset_t all;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, nullptr);
  const auto result = [&]() -> Result<Addresses> {
    try {
      return look_up(lookup.host, lookup.port);
    } catch (const std::bad_alloc&) {
      return Errc::no_memory;
    }
  };
  lookup.done(result());
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

void resolve_async(std::string_view host, std::uint16_t port, Done done) {
  if (const auto numeric = Address::parse(host, port)) return done(Addresses{*numeric});
  if (host.empty() || host.find('\0') != host.npos) {
    return done(resolver_error(host, EAI_NONAME, 0));
  }
  const auto lookup = std::make_shared<Lookup>(Lookup{std::string(host), port, std::move(done)});
  try {
    std::thread([lookup] { run_lookup(*lookup); }).detach();
  } catch (const std::system_error& failure) {
    lookup->done(Error(failure.code(), stage_of(host)));
  }
}

Result<Addresses> resolve(std::string_view host, std::uint16_t port,
                          std::chrono::steady_clock::time_point deadline, std::stop_token stop) {
  const auto answer = std::make_shared<Answer>();
  resolve_async(host, port, [answer](Result<Addresses> result) {
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
    return Error(stop.stop_requested() ? Errc::stopped : Errc::timed_out, stage_of(host));
  }
  return std::move(*answer->result);
}

}  // namespace tern::net
