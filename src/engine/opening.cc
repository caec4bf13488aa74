// The engine's part of the opening. ServerOpening and ClientOpening read and write HTTP. The engine
// passes input, decisions and deadlines to them and carries out each OpeningStep.
#include "engine/guarded.h"
#include "engine/kept.h"
#include "engine/workspace.h"

#include <new>
#include <utility>

namespace tern {

using engine::ClientOpening;
using engine::OpeningStep;
using engine::ServerOpening;

// ---- steps

void Engine::start_opening() {
  engine::Active& active = *active_;
  if (role_ == Role::server) {
    active.opening = workspace_->memory().take_opening();
    if (!active.opening) active.opening = std::make_unique<engine::Opening>();
    const bool idle = between_requests_;
    between_requests_ = false;
    std::get<ServerOpening>(*active.opening).start(*options_, active.in, active.out, idle);
  } else {
    active.opening = std::make_unique<engine::Opening>(std::in_place_type<ClientOpening>, *options_,
                                                       active.in, active.out);
  }
}

// Between two requests a connection has no block, like an open connection at rest.
void Engine::rest_between_requests() noexcept {
  ServerOpening* const server = server_opening();
  if (server == nullptr || !server->is_idle() || !active_->has_nothing()) return;
  workspace_->memory().keep_opening(std::move(active_->opening));
  workspace_->memory().give_back(active_.release());
  between_requests_ = true;
}

// Input arrived. Returns true if it begins a request after an answer.
bool Engine::begin_request() noexcept {
  if (!active_) {
    const bool begins = between_requests_;
    between_requests_ = false;
    return begins;
  }
  ServerOpening* const server = server_opening();
  return server != nullptr && server->begin_request();
}

// Returns null if there is none: before the first byte, on a client, or some time after the
// opening.
ServerOpening* Engine::server_opening() const noexcept {
  return active_ ? std::get_if<ServerOpening>(active_->opening.get()) : nullptr;
}

ClientOpening* Engine::client_opening() const noexcept {
  return active_ ? std::get_if<ClientOpening>(active_->opening.get()) : nullptr;
}

// Returns the opening whose request waits for accept() or respond(), or null.
ServerOpening* Engine::undecided() const noexcept {
  ServerOpening* const server = phase_ == Phase::opening ? server_opening() : nullptr;
  return server != nullptr && server->is_deciding() ? server : nullptr;
}

std::string_view Engine::date_line() const noexcept { return workspace_->memory().date_line(now_); }

Event Engine::next_opening() {
  active_->will_write(now_);
  ServerOpening* const server = server_opening();
  follow(server != nullptr ? server->next(active_->input_end(), date_line())
                           : client_opening()->next(active_->input_end()));
  if (active_->due != Event::Kind::none) {
    return Event(std::exchange(active_->due, Event::Kind::none));
  }
  return next_end();
}

void Engine::follow(const OpeningStep& step) {
  switch (step.kind) {
    case OpeningStep::Kind::wait:
      return;
    case OpeningStep::Kind::request:
      active_->due = Event::Kind::request;
      return;
    case OpeningStep::Kind::pull:
      active_->due = Event::Kind::pull;
      return;
    case OpeningStep::Kind::body:
      active_->due = Event::Kind::body;
      clock_.restart(now_);
      return;
    case OpeningStep::Kind::open:
      adopt(step.agreement);
      return opened();
    case OpeningStep::Kind::end:
      return end(CloseCode::abnormal, step.why);
    case OpeningStep::Kind::drop:
      return terminate(step.why);
  }
}

void Engine::opened() noexcept {
  phase_ = Phase::open;
  active_->due = Event::Kind::open;
  clock_.restart(now_);
}

// Returns the time that the peer has, counted by clock_.
Timeouts::Duration Engine::opening_limit() const noexcept {
  if (const ServerOpening* const server = server_opening())
    return server->limit(options_->timeouts);
  const ClientOpening* const client = client_opening();
  if (client != nullptr) return client->limit();
  return between_requests_ ? options_->timeouts.http_idle : options_->timeouts.handshake;
}

void Engine::on_opening_timeout() {
  activate();
  active_->will_write(now_);
  ServerOpening* const server = server_opening();
  follow(server != nullptr ? server->expire(date_line()) : client_opening()->expire());
}

void Engine::close_opening() {
  ServerOpening* const server = server_opening();
  if (server == nullptr) return terminate(Errc::closed);
  active_->will_write(now_);
  follow(server->close(date_line()));
}

// ---- server

const Request& Engine::request() const noexcept {
  static const Request none{};
  const ServerOpening* const server = server_opening();
  return server != nullptr ? server->request() : none;
}

std::error_code Engine::upgrade_error() const noexcept {
  const ServerOpening* const server = undecided();
  if (server == nullptr) return Errc::closed;
  const auto errc = server->upgrade_error();
  return errc ? make_error_code(*errc) : std::error_code();
}

void Engine::reached(Reached how) noexcept {
  ServerOpening* const server = undecided();
  if (server == nullptr) return;
  guarded([&] { server->reached(std::move(how)); });
}

bool Engine::has_unread_body() const noexcept {
  const ServerOpening* const server = undecided();
  return server != nullptr && server->has_unread_body();
}

std::error_code Engine::read_body() noexcept {
  ServerOpening* const server = undecided();
  if (server == nullptr || !server->has_unread_body() || server->is_answering()) {
    return Errc::closed;
  }
  std::error_code error;
  guarded([&] {
    active_->will_write(now_);
    const OpeningStep step = server->read_body(date_line());
    error = step.why;
    clock_.restart(now_);
    follow(step);
  });
  if (!error && has_ended()) error = close_info().error;
  return error;
}

std::string Engine::take_body() noexcept {
  ServerOpening* const server = undecided();
  return server != nullptr ? server->take_body() : std::string();
}

void Engine::wait_for_answer() noexcept {
  ServerOpening* const server = undecided();
  if (server == nullptr) return;
  server->wait_for_answer();
  clock_.restart(now_);
}

std::error_code Engine::accept(const Accept& accept) noexcept {
  ServerOpening* const server = undecided();
  if (server == nullptr) return Errc::closed;
  std::error_code error;
  guarded([&] {
    active_->will_write(now_);
    const OpeningStep step = server->accept(accept, date_line());
    error = step.why;
    if (!error && (accept.limits || accept.deflate)) {
      auto own = std::make_unique<EngineOptions>(*options_);
      if (accept.limits) own->limits = *accept.limits;
      if (accept.deflate) own->deflate = *accept.deflate;
      keep().options = std::move(own);
      options_ = kept_->options.get();
      active_->in.start(role_, options_->limits);
    }
    follow(step);
  });
  if (!error && phase_ != Phase::open) error = close_info().error;
  return error;
}

std::error_code Engine::respond(const Response& response) noexcept {
  ServerOpening* const server = undecided();
  if (server == nullptr) return Errc::closed;
  std::error_code error;
  guarded([&] {
    active_->will_write(now_);
    const OpeningStep step = server->respond(response, date_line());
    error = step.why;
    clock_.restart(now_);
    follow(step);
  });
  return error;
}

bool Engine::wants_pull() const noexcept {
  const ServerOpening* const server = phase_ == Phase::opening ? server_opening() : nullptr;
  return server != nullptr && server->wants_pull();
}

void Engine::pull() {
  if (!wants_pull()) return;
  try {
    active_->will_write(now_);
    const OpeningStep step = server_opening()->pull();
    clock_.restart(now_);  // the time for the next request, if the body is complete
    follow(step);
  } catch (const std::bad_alloc&) {
    terminate(Errc::no_memory);
    throw;
  } catch (...) {
    terminate(Errc::handler_threw);
    throw;
  }
}

// ---- both roles

std::string_view Engine::explanation() const noexcept {
  if (const auto* server = server_opening()) return server->explanation();
  const ClientOpening* const client = client_opening();
  return client != nullptr ? client->explanation() : std::string_view();
}

// ---- client

const ResponseHead& Engine::response() const noexcept {
  static const ResponseHead none{};
  const ClientOpening* const client = client_opening();
  return client != nullptr ? client->response() : none;
}

std::string_view Engine::response_body() const noexcept {
  const ClientOpening* const client = client_opening();
  return client != nullptr ? client->response_body() : std::string_view();
}

}  // namespace tern
