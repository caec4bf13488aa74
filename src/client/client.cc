// The public class of a client on a loop, and the answer to before_attempt.
#include "tern/client.h"

#include "client/loop_client.h"
#include "client/pending_attempt.h"
#include "connection/handlers_session.h"

#include <new>
#include <utility>

namespace tern {

Retry Retry::never() {
  Retry retry;
  retry.again = [](const Ended&) { return false; };
  return retry;
}

// ---- Attempt

namespace client {

PendingAttempt::~PendingAttempt() {
  if (answered_.load(std::memory_order_relaxed)) return;
  answer({.kind = AttemptAnswer::Kind::none});
}

// There is one post for each attempt, so they need no bound.
void PendingAttempt::answer(AttemptAnswer answer) noexcept {
  if (answered_.exchange(true)) return;
  bool posted = false;
  try {
    posted = mailbox_->post(
        [client = client_, number = number_, answer = std::move(answer)]() mutable {
          if (const auto self = client.lock()) self->on_answer(number, std::move(answer));
        },
        {.bounded = false});
  } catch (const std::bad_alloc&) {
  }
  if (!posted) answered_.store(false);  // the destructor tries again
}

}  // namespace client

std::size_t Attempt::failures() const noexcept { return pending_->failures(); }

void Attempt::go(std::string url, std::vector<std::pair<std::string, std::string>> headers,
                 std::vector<std::string> protocols) const {
  pending_->answer(
      {.text = std::move(url), .headers = std::move(headers), .protocols = std::move(protocols)});
}

void Attempt::fail(std::string why) const {
  pending_->answer({.kind = client::AttemptAnswer::Kind::fail, .text = std::move(why)});
}

void Attempt::give_up(std::string why) const {
  pending_->answer({.kind = client::AttemptAnswer::Kind::give_up, .text = std::move(why)});
}

// ---- Client

Client::Client(Loop& loop, std::string url, ClientOptions options)
    : Client(loop, std::move(url), std::make_shared<ClientOptions>(std::move(options))) {}

Client::Client(Loop& loop, std::string url, std::shared_ptr<ClientOptions> options)
    : client_(std::make_shared<client::LoopClient>(loop, std::move(url), std::move(options))) {}

Client::Client(Client&&) noexcept = default;

Client& Client::operator=(Client&& other) noexcept {
  if (this == &other) return *this;
  if (client_) client_->abandon();
  client_ = std::move(other.client_);
  return *this;
}

Client::~Client() {
  if (client_) client_->abandon();
}

namespace {

// The sessions of plain functions share them.
class HandlersMaker final : public client::SessionMaker {
 public:
  explicit HandlersMaker(Handlers handlers)
      : SessionMaker(connection::session_type<connection::HandlersSession>),
        handlers_(std::move(handlers)) {}
  void make(void* memory, const ResponseHead&) override {
    ::new (memory) connection::HandlersSession{&handlers_};
  }

 private:
  Handlers handlers_;
};

}  // namespace

Result<void> Client::start(std::unique_ptr<client::SessionMaker> maker) {
  return client_->start(std::move(maker));
}

Result<void> Client::connect(Handlers handlers) {
  if (!handlers.on_message) {
    return Error::described(Errc::options_invalid, "client: on_message is missing");
  }
  return start(std::make_unique<HandlersMaker>(std::move(handlers)));
}

bool Client::stop(CloseCode code, std::string_view reason) noexcept {
  return client_->stop(code, reason);
}
void Client::reconnect() noexcept { client_->reconnect(); }
void Client::settle() noexcept { client_->settle(); }
Handle Client::handle() const noexcept { return client_->handle(); }
SendStatus Client::send(Message message, SendOptions options) noexcept {
  return client_->send(message, options);
}
ClientState Client::state() const noexcept { return client_->state(); }
std::optional<Loop::Clock::time_point> Client::next_attempt() const noexcept {
  return client_->next_attempt();
}
StageTimes Client::times() const noexcept { return client_->times(); }
std::size_t Client::dropped() const noexcept { return client_->dropped(); }
std::optional<Error> Client::error() const { return client_->error(); }

}  // namespace tern
