// A client that upgrades pays 1 / upgrades_per_second of a second each time. It may be a second in
// debt.
#include "server/address_limits.h"

#include <algorithm>
#include <new>

namespace tern::server {
namespace {

constexpr std::chrono::nanoseconds longest_debt = std::chrono::seconds(1);
constexpr std::size_t bytes_of_prefix = 8;

}  // namespace

// No client has an IPv6 address that begins with 32 zero bits, but ::1, so IPv4 addresses have that
// room.
ClientKey key_of(const net::Address& address) noexcept {
  std::uint64_t key = 0;
  const auto bytes = address.bytes();
  for (const std::byte byte : bytes.first(std::min(bytes.size(), bytes_of_prefix))) {
    key = key << 8 | std::to_integer<std::uint64_t>(byte);
  }
  return ClientKey{key};
}

std::optional<ClientKey> key_of(std::string_view host) noexcept {
  const auto address = net::Address::parse(host, 0);
  if (!address) return {};
  return key_of(*address);
}

// Mixes all bits, and the place of the object, so that a client cannot choose addresses of one
// bucket (the finaliser of MurmurHash3).
std::size_t AddressLimits::Hash::operator()(ClientKey key) const noexcept {
  std::uint64_t mixed = static_cast<std::uint64_t>(key) ^ seed;
  mixed = (mixed ^ mixed >> 33) * 0xFF51AFD7ED558CCDULL;
  mixed = (mixed ^ mixed >> 33) * 0xC4CEB9FE1A85EC53ULL;
  return static_cast<std::size_t>(mixed ^ mixed >> 33);
}

bool AddressLimits::connect(ClientKey client) noexcept {
  const std::lock_guard lock(mutex_);
  try {
    Client& known = clients_[client];
    if (known.connections >= limits_.connections) return false;
    ++known.connections;
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void AddressLimits::disconnect(ClientKey client) noexcept {
  const std::lock_guard lock(mutex_);
  const auto found = clients_.find(client);
  if (found == clients_.end() || found->second.connections == 0) return;
  --found->second.connections;
  if (found->second.connections == 0 && !found->second.in_upgraded) clients_.erase(found);
}

bool AddressLimits::upgrade(ClientKey client, TimePoint now) noexcept {
  const std::lock_guard lock(mutex_);
  forget_old(now);
  try {
    Client& known = clients_[client];
    const std::chrono::nanoseconds price = longest_debt / limits_.upgrades_per_second;
    const TimePoint paid_until = std::max(known.paid_until, now) + price;
    if (paid_until - now > longest_debt) return false;
    if (!known.in_upgraded) upgraded_.push_back(client);
    known.in_upgraded = true;
    known.paid_until = paid_until;
    return true;
  } catch (const std::bad_alloc&) {
    return false;
  }
}

void AddressLimits::forget_old(TimePoint now) noexcept {
  while (!upgraded_.empty()) {
    const auto first = clients_.find(upgraded_.front());
    const bool old = first == clients_.end() || first->second.paid_until <= now;
    if (!old && upgraded_.size() < most_others_) return;
    upgraded_.pop_front();
    if (first == clients_.end()) continue;
    first->second.in_upgraded = false;
    if (first->second.connections == 0) clients_.erase(first);
  }
}

std::size_t AddressLimits::size() const noexcept {
  const std::lock_guard lock(mutex_);
  return clients_.size();
}

}  // namespace tern::server
