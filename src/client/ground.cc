// Implements the memory that the clients of a loop share. The loop has only a weak pointer to it,
// so the last client frees it.
#include "client/ground.h"

#include "connection/live_connection.h"

#include <array>
#include <cstring>

namespace tern::client {

Settings::Settings(Loop& loop, std::shared_ptr<Ground> on, std::shared_ptr<ClientOptions> given)
    : ground(std::move(on)),
      options(std::move(given)),
      engine{.limits = options->dial.limits,
             .timeouts = options->dial.timeouts,
             .deflate = options->dial.deflate},
      backoff{.first = options->retry.first,
              .first_after_end = options->retry.first_after_end,
              .most = options->retry.most,
              .stable = options->retry.stable,
              .attempts = options->retry.attempts},
      shared{loop, ground->workspace, engine, ground->registry, options->log} {}

Ground::Ground(net::LoopCore& core)
    : scratch(&core),
      proxy_scratch(&core),
      registry(std::make_shared<connection::Registry>(core.mailbox())) {
  core.add(*this);
}

std::shared_ptr<Ground> Ground::of(net::LoopCore& core) {
  if (auto ground = std::static_pointer_cast<Ground>(core.shared_by_clients().lock())) {
    return ground;
  }
  auto ground = std::make_shared<Ground>(core);
  core.shared_by_clients() = ground;
  return ground;
}

std::shared_ptr<const Settings> Ground::settings_of(Loop& loop,
                                                    std::shared_ptr<ClientOptions> options) {
  auto ground = of(loop.core());
  std::weak_ptr<const Settings>& of_last = ground->last_settings_;
  auto last = of_last.lock();
  if (last != nullptr && last->options == options) return last;
  auto settings = std::make_shared<const Settings>(loop, std::move(ground), std::move(options));
  of_last = settings;
  return settings;
}

SharedText Ground::url_of(std::string_view url) {
  if (last_url_.view() != url) last_url_ = SharedText(url);
  return last_url_;
}

// Without random bytes it returns half of the range. Then all clients wait for half of their limit,
// which is no worse than a backoff without randomness.
std::uint64_t Ground::draw() noexcept {
  constexpr std::uint64_t half = std::uint64_t{1} << 63;
  std::array<std::byte, sizeof(std::uint64_t)> bytes;
  if (random_.fill(bytes)) return half;
  std::uint64_t number;
  std::memcpy(&number, bytes.data(), sizeof number);
  return number;
}

// The clients are notified first. Otherwise a client would try again when its connection ends.
void Ground::on_loop_end() noexcept {
  const auto self = weak_from_this().lock();  // the last client may go meanwhile
  while (!clients_.empty()) clients_.pop_front().on_loop_end();
  registry->for_each([](connection::LiveConnection& connection) { connection.abandon(); });
}

}  // namespace tern::client
