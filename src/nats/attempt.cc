// Attempts to connect, each in a thread of its own. The number of an attempt tells whether the
// driver still waits for it.
#include "nats/attempt.h"

#include "nats/library.h"

#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

namespace tern::nats {

// The state that the thread of the driver shares with those of the attempts.
struct Attempts::Shared {
  std::mutex mutex{};
  std::condition_variable changed{};
  unsigned number = 0;    // of the attempt that is waited for; others were given up
  unsigned given_up = 0;  // attempts that were given up and go on
  bool is_waiting = false;
  bool has_ended = false;
  ConnectionPtr connection{};
  std::string failure{};
};

namespace {

constexpr unsigned most_given_up = 4;

struct Outcome {
  ConnectionPtr connection{};
  std::string failure{};
};

Outcome connect_now(natsOptions* options, Callbacks* callbacks, bool tls) {
  natsConnection* made = nullptr;
  const natsStatus status = natsConnection_Connect(&made, options);
  if (status == NATS_OK) return {.connection = ConnectionPtr(made)};
  release_callbacks(callbacks);
  if (status == NATS_SSL_ERROR && !tls) {
    return {.failure = "it requires TLS: write tls:// or give the option tls"};
  }
  return {.failure = error_of(status).message()};
}

}  // namespace

Attempts::Attempts() : shared_(std::make_shared<Shared>()) {}

Result<Connected> Attempts::connect(const Options& options, const ServerUrl& server,
                                    const std::shared_ptr<Session>& session,
                                    std::chrono::milliseconds most) {
  std::unique_lock lock(shared_->mutex);
  if (shared_->given_up >= most_given_up) {
    return Error::described(Errc::timed_out, "earlier attempts to connect still hang");
  }
  auto made = make_options(options, server);
  if (!made) return made.error();
  const bool tls = needs_tls(options, server);
  auto callbacks = set_callbacks(made->get(), session, !tls);
  if (!callbacks) return callbacks.error();

  const std::shared_ptr<natsOptions> native = std::move(*made);
  const unsigned number = ++shared_->number;
  shared_->has_ended = false;
  shared_->is_waiting = true;
  const auto run = [shared = shared_, number, tls, callbacks = *callbacks, native] {
    Outcome outcome;
    try {
      outcome = connect_now(native.get(), callbacks, tls);
    } catch (const std::bad_alloc&) {  // there was no memory for the words
    }
    const std::lock_guard ending(shared->mutex);
    if (shared->number != number || !shared->is_waiting) {
      --shared->given_up;
      return;  // the connection closes after the lock is free
    }
    shared->connection = std::move(outcome.connection);
    shared->failure = std::move(outcome.failure);
    shared->has_ended = true;
    shared->changed.notify_one();
  };
  try {
    std::thread(run).detach();
  } catch (const std::system_error& error) {
    shared_->is_waiting = false;
    release_callbacks(*callbacks);
    return Error(error.code(), "start a thread to connect");
  } catch (const std::bad_alloc&) {
    shared_->is_waiting = false;
    release_callbacks(*callbacks);
    throw;
  }
  shared_->changed.wait_for(lock, most, [&] { return shared_->has_ended || !shared_->is_waiting; });
  const bool in_time = std::exchange(shared_->is_waiting, false);
  if (!shared_->has_ended) {
    ++shared_->given_up;
    return in_time ? error_of(NATS_TIMEOUT) : Error::described(Errc::stopped, "stopped");
  }
  if (!shared_->connection) return Error::described(Errc::closed, shared_->failure);
  return Connected{.connection = std::move(shared_->connection), .options = native};
}

void Attempts::interrupt() noexcept {
  const std::lock_guard lock(shared_->mutex);
  shared_->is_waiting = false;
  shared_->changed.notify_one();
}

}  // namespace tern::nats
