// Implements the memory that the clients of a loop share. The loop has only a weak pointer to it,
// so the last client frees it.
#include "client/client_group.h"

#include "connection/live_connection.h"

#include <array>
#include <cstring>

namespace tern::client {

Settings::Settings(Loop& loop, std::shared_ptr<ClientGroup> on,
                   std::shared_ptr<ClientOptions> given)
    : group(std::move(on)),
      options(std::move(given)),
      engine{.limits = options->dial.limits,
             .timeouts = options->dial.timeouts,
             .deflate = options->dial.deflate},
      backoff{.first = options->retry.first,
              .first_after_end = options->retry.first_after_end,
              .most = options->retry.most,
              .stable = options->retry.stable,
              .attempts = options->retry.attempts},
      shared{loop, group->workspace, engine, group->registry, options->log} {}

ClientGroup::ClientGroup(net::LoopCore& core)
    : scratch(&core),
      proxy_scratch(&core),
      registry(std::make_shared<connection::Registry>(core.mailbox())) {
  core.add(*this);
}

std::shared_ptr<ClientGroup> ClientGroup::of(net::LoopCore& core) {
  if (auto group = std::static_pointer_cast<ClientGroup>(core.shared_by_clients().lock())) {
    return group;
  }
  auto group = std::make_shared<ClientGroup>(core);
  core.shared_by_clients() = group;
  return group;
}

std::shared_ptr<const Settings> ClientGroup::settings_of(Loop& loop,
                                                         std::shared_ptr<ClientOptions> options) {
  auto group = of(loop.core());
  std::weak_ptr<const Settings>& of_last = group->last_settings_;
  auto last = of_last.lock();
  if (last != nullptr && last->options == options) return last;
  auto settings = std::make_shared<const Settings>(loop, std::move(group), std::move(options));
  of_last = settings;
  return settings;
}

SharedText ClientGroup::url_of(std::string_view url) {
  if (last_url_.view() != url) last_url_ = SharedText(url);
  return last_url_;
}

// Without random bytes it returns half of the range. Then all clients wait for half of their limit,
// which is no worse than a backoff without randomness.
std::uint64_t ClientGroup::draw() noexcept {
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  std::array<std::byte, sizeof(std::uint64_t)> bytes;
  if (random_.fill(bytes)) return half;
  std::uint64_t number;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

// The clients are notified first. Otherwise a client would try again when its connection ends.
void ClientGroup::on_loop_end() noexcept {
  const auto self = weak_from_this().lock();  // the last client may go meanwhile
  while (!clients_.empty()) clients_.pop_front().on_loop_end();
  registry->for_each([](connection::LiveConnection& connection) { connection.abandon(); });
}

}  // namespace tern::client
