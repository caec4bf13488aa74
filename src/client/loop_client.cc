// A client on a loop: which attempt runs, which connection counts, and how both begin.
//
//   start ─▶ prepare ─▶ before_attempt ─▶ go ─▶ LoopAttempt ─▶ LiveConnection ─▶ open
//               ▲                                   │ fail           │ on_closed: fail, end
//               └──────────── wait ◀── conclude ◀───┴────────────────┘
//
// Only prepare, show_request, conclude and report call code of the application, besides the
// session's handlers.
// The application may destroy the Client in any of them, so each one keeps the object until it
// returns, and looks at is_over() afterwards.
#include "client/loop_client.h"

#include "base/later.h"
#include "client/failure.h"
#include "connection/dispatch.h"
#include "engine/validate.h"
#include "http/token.h"
#include "http/url.h"
#include "tls/context.h"

#include <algorithm>
#include <exception>
#include <new>
#include <span>
#include <utility>

namespace tern::client {

using connection::LiveConnection;

namespace {

// Why these options can never work, besides those of dial; empty if they can.
std::string why_invalid(const ClientOptions& options) {
  const Retry& retry = options.retry;
  std::string why = engine::why_invalid_time("retry.first", retry.first, true);
  if (why.empty()) why = engine::why_invalid_time("retry.most", retry.most, true);
  if (why.empty()) why = engine::why_invalid_time("retry.stable", retry.stable, true);
  if (why.empty()) {
    why = engine::why_invalid_time("retry.first_after_end", retry.first_after_end, true);
  }
  if (!why.empty() || !options.outbox) return why;
  if (options.outbox->max_bytes == 0 || options.outbox->max_messages == 0) {
    return "outbox: max_bytes or max_messages is 0; to keep nothing, leave the outbox out";
  }
  const Limits& limits = options.dial.limits;
  if (options.outbox->max_bytes > limits.max_queued_bytes - limits.low_water_bytes) {
    return "outbox.max_bytes: with dial.limits.low_water_bytes more than max_queued_bytes";
  }
  return engine::why_invalid_time("outbox.max_age", options.outbox->max_age, true);
}

// The options of one attempt: each given field replaces those of its name, and given subprotocols
// replace all.
std::shared_ptr<const DialOptions> with_request(const DialOptions& dial, AttemptAnswer answer) {
  auto changed = std::make_shared<DialOptions>(dial);
  if (!answer.protocols.empty()) changed->protocols = std::move(answer.protocols);
  auto& fields = answer.headers;
  for (auto& field : fields) {
    std::erase_if(changed->headers,
                  [&](const auto& old) { return http::iequals(old.first, field.first); });
  }
  for (auto& field : fields) changed->headers.push_back(std::move(field));
  return changed;
}

// The options of the attempt that uses the given socket.
std::shared_ptr<const DialOptions> with_socket(const DialOptions& dial, int socket) {
  auto changed = std::make_shared<DialOptions>(dial);
  changed->socket = socket;
  return changed;
}

std::string text_of(std::span<const iovec> pieces) {
  std::string text;
  for (const iovec& piece : pieces) {
    text.append(static_cast<const char*>(piece.iov_base), piece.iov_len);
  }
  return text;
}

}  // namespace

LoopClient::LoopClient(Loop& loop, std::string_view url, std::shared_ptr<ClientOptions> options)
    : settings_(ClientGroup::settings_of(loop, std::move(options))),
      url_(group().url_of(url)),
      environment_{loop.core(), group().metrics, *this, settings_->shared},
      backoff_(settings_->backoff) {
  group().add(*this);
  if (this->options().outbox) {
    outbox_ = std::make_unique<OutboxQueue>(*this->options().outbox);
  }
}

LoopClient::~LoopClient() = default;

// ---- beginning

Result<void> LoopClient::start(std::unique_ptr<SessionMaker> maker) {
  const auto self = weak_from_this().lock();  // the log may destroy the Client
  if (!is_running()) return Error(Errc::closed, "the loop has ended");
  if (maker_ != nullptr) {
    return Error::described(Errc::already_running,
                            "client: connect() was called before; reconnect() begins again");
  }
  if (stopping_) return Error(Errc::closed, "stop() was called");
  Result<void> checked = check();
  net::Fd given(std::exchange(settings_->options->dial.socket, -1));  // closed if this fails
  if (!checked) {
    connection::log_composed(options().log, [&] {
      connection::log(options().log, LogLevel::error, checked.error().message());
    });
    return checked;
  }
  core().timers().arm(*this, no_attempt);
  if (options().dial.stop.stop_possible()) {
    on_stop_ = std::make_unique<std::stop_callback<StopPost>>(
        options().dial.stop, StopPost{weak_from_this(), core().mailbox()});
  }
  maker_ = std::move(maker);
  given_ = std::move(given);
  set_state(ClientState::connecting);
  schedule(Todo::attempt);
  return {};
}

// Certificates are loaded here, so that wrong ones are an error of connect().
Result<void> LoopClient::check() {
  const DialOptions& dial = options().dial;
  auto url = http::parse_url(url_.view());
  if (!url) return std::move(url).error();
  if (auto checked = check_options(*url, dial); !checked) return checked;
  if (const std::string why = why_invalid(options()); !why.empty()) {
    return Error::described(Errc::options_invalid, "client " + client::name_of(*url) + ": " + why);
  }
  if (url->secure) {
    if (auto loaded = load(dial.tls); !loaded) return loaded;
  }
  const ProxySettings* const proxy = dial.proxy.settings();
  const bool tls_to_proxy =
      proxy != nullptr && proxy->server && proxy->server->protocol == ProxyServer::Protocol::https;
  return tls_to_proxy ? load(proxy->tls) : Result<void>();
}

Result<void> LoopClient::load(const TlsClient& options) {
  TlsMemory& memory = options.memory != nullptr ? *options.memory : group().tls;
  if (auto context = memory.contexts().get(options); !context) return std::move(context).error();
  return {};
}

void LoopClient::schedule(Todo todo) noexcept {
  todo_ = todo;
  static_cast<net::Deferred*>(this)->unlink();  // it may wait for its release
  core().defer(*this);
}

void LoopClient::at_turn_end() noexcept {
  const auto self = weak_from_this().lock();
  if (todo_ == Todo::replace) {  // end() sees it
    if (connection_ != nullptr) connection_->abandon();
    if (todo_ == Todo::replace) todo_ = Todo::nothing;
  } else {
    run(std::exchange(todo_, Todo::nothing));
  }
  wait_for_release();
}

void LoopClient::run(Todo todo) noexcept {
  switch (todo) {
    case Todo::nothing:
    case Todo::replace:
      return;
    case Todo::attempt:
      return prepare();
    case Todo::report_stop:
      return report_stop();
    case Todo::restart:
      report_stop(std::chrono::nanoseconds(0));
      if (state() == ClientState::connecting && todo_ == Todo::nothing) prepare();
      return;
  }
}

void LoopClient::prepare() noexcept {
  const auto self = weak_from_this().lock();
  set_state(ClientState::connecting);
  other_url_ = SharedText();
  if (options().dial.stop.stop_requested()) return stop_here({}, {});
  const std::uint32_t number = ++attempt_number_;
  std::shared_ptr<PendingAttempt> pending;
  try {
    if (!options().before_attempt) return go({});
    pending = std::make_shared<PendingAttempt>(weak_from_this(), core().mailbox(), number,
                                               backoff_.failures());
  } catch (const std::bad_alloc&) {
    return fail(Error(Errc::no_memory), Stage::prepare);
  }
  try {
    settings_->options->before_attempt(Attempt(pending));
  } catch (...) {
    connection::log_exception(options().log, {}, "before_attempt", {});
    pending->answer({.kind = AttemptAnswer::Kind::threw});
  }
}

void LoopClient::on_answer(std::uint32_t number, AttemptAnswer answer) noexcept {
  if (!is_running() || number != attempt_number_ || state() != ClientState::connecting) return;
  if (attempt_ != nullptr) return;
  switch (answer.kind) {
    case AttemptAnswer::Kind::go:
      break;
    case AttemptAnswer::Kind::fail:
      return fail(Error(Errc::attempt_failed, answer.text), Stage::prepare);
    case AttemptAnswer::Kind::give_up:
      return fail(Error(Errc::attempt_given_up, answer.text), Stage::prepare);
    case AttemptAnswer::Kind::threw:
      return fail(Error(Errc::attempt_failed, "before_attempt threw"), Stage::prepare);
    case AttemptAnswer::Kind::none:
      return fail(Error(Errc::attempt_failed, "before_attempt gave no answer"), Stage::prepare);
  }
  try {
    go(std::move(answer));
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::no_memory), Stage::prepare);
  }
}

void LoopClient::go(AttemptAnswer answer) {
  auto url = http::parse_url(answer.text.empty() ? url_.view() : answer.text);
  if (!url) return fail(std::move(url).error(), Stage::prepare);
  if (!answer.text.empty()) other_url_ = SharedText(client::name_of(*url));
  std::shared_ptr<const DialOptions> dial(settings_->options, &options().dial);
  const bool has_request = !answer.headers.empty() || !answer.protocols.empty();
  const bool changed = has_request || !answer.text.empty();
  if (has_request) dial = with_request(*dial, std::move(answer));
  if (auto checked = changed ? check_options(*url, *dial) : Result<void>(); !checked) {
    return fail(checked.error(), Stage::prepare);
  }
  if (given_) dial = with_socket(*dial, given_.get());
  const auto deadline = base::later(core().now(), dial->timeout);
  attempt_ = new LoopAttempt(core(), group(), *this, Destination(*std::move(url), dial), deadline,
                             std::move(given_));
  attempt_->start();
}

// ---- an attempt

void LoopClient::on_way_open(LoopAttempt& attempt) noexcept {
  try {
    connect(attempt);
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::no_memory), Stage::upgrade);
  }
}

void LoopClient::on_proxy_request(LoopAttempt&, std::string_view head) noexcept {
  show_request(head);
}

void LoopClient::on_way_failed(LoopAttempt&, Error failure, Stage stage) noexcept {
  fail(std::move(failure), stage);
}

void LoopClient::connect(LoopAttempt& attempt) {
  const auto self = weak_from_this().lock();  // the engine refers to the settings
  auto engine = Engine::client(attempt.request(), settings_->engine, group().workspace);
  if (!engine) return fail(std::move(engine).error(), Stage::upgrade);
  if (options().on_request) {
    show_request(text_of(engine->output()));
    if (attempt_ != &attempt) return;  // it stopped the client
  }
  LoopAttempt::Way way = attempt.take_way();
  ++connections_;
  self_ = self;
  if (way.socket) {
    connection_ = LiveConnection::start(std::move(way.socket), *std::move(engine), environment_);
  } else {
    connection_ = LiveConnection::start(std::move(way.transport), *std::move(engine), environment_);
  }
  if (connection_ == nullptr) {
    --connections_;
    wait_for_release();
    return fail(Error(Errc::no_memory), Stage::upgrade);
  }
  if (connection_->is_opening()) return;
  // It has ended already, because epoll has no room for it.
  const std::error_code why = std::exchange(connection_, nullptr)->engine().close_info().error;
  fail(Error(why, "upgrade " + shown_url()), Stage::upgrade);
}

void LoopClient::show_request(std::string_view head) noexcept {
  auto& on_request = settings_->options->on_request;
  if (!on_request) return;
  const auto self = weak_from_this().lock();
  try {
    on_request(head);
  } catch (...) {
    connection::log_exception(options().log, {}, "on_request", {});
  }
}

// Stops, and drops what runs. The application hears of it only by the session's on_close, which may
// call the client: so the client has stopped before.
void LoopClient::cancel() noexcept {
  halt({});
  static_cast<net::Deferred*>(this)->unlink();
  todo_ = Todo::nothing;
  ++attempt_number_;
  close_attempt();
  place_.store(nowhere, std::memory_order_relaxed);
  if (LiveConnection* const connection = std::exchange(connection_, nullptr)) {
    // The session must not go while one of its functions runs.
    connection->is_busy() ? connection->terminate(Errc::terminated) : connection->abandon();
  }
  wait_for_release();
}

void LoopClient::close_attempt() noexcept {
  if (LoopAttempt* const attempt = std::exchange(attempt_, nullptr)) attempt->close();
}

// ---- events of the connection

void LoopClient::on_head(LiveConnection& connection) noexcept {
  if (&connection != connection_) return;
  attempt_->clock().secured(connection.transport().ready_since());
  attempt_->clock().done(Step::upgrade, std::chrono::steady_clock::now());
  connection.make_session(
      maker_->type, [&](void* memory) { maker_->make(memory, connection.engine().response()); });
}

void LoopClient::on_opening_over(LiveConnection& connection) noexcept {
  if (&connection != connection_ || !connection.session()) return;
  since_ = core().now();
  const connection::Registry::Place at = connection.place();
  place_.store(std::uint64_t{at.slot} << 32 | at.generation, std::memory_order_relaxed);
  set_state(ClientState::open);
}

void LoopClient::on_opened(LiveConnection& connection) noexcept {
  if (&connection != connection_) return;
  close_attempt();
  flush_outbox();
}

void LoopClient::on_drained(LiveConnection& connection) noexcept {
  if (&connection == connection_) flush_outbox();
}

void LoopClient::on_closed(LiveConnection& connection) noexcept {
  if (&connection != connection_) return;
  const auto self = weak_from_this().lock();
  connection_ = nullptr;
  place_.store(nowhere, std::memory_order_relaxed);
  if (!connection.is_opening()) return end(connection.engine().close_info());
  try {
    on_refused(connection);
  } catch (const std::bad_alloc&) {
    fail(Error(Errc::no_memory), Stage::upgrade);
  }
}

// Continues with a redirect, or reports the failure.
void LoopClient::on_refused(LiveConnection& connection) {
  const std::error_code why = connection.engine().close_info().error;
  const net::Transport* const transport = &connection.transport();
  const Stage stage = ended_in_tls(why, transport) ? Stage::tls : Stage::upgrade;
  attempt_->clock().secured(transport->ready_since());
  Error failure = handshake_error(connection.engine(), shown_url(), transport);
  Destination to = attempt_->destination();
  auto followed = to.follow(failure);
  if (!followed) return fail(std::move(followed).error(), stage);
  if (!*followed) return fail(std::move(failure), stage);
  other_url_ = SharedText(client::name_of(to.url()));
  attempt_->start(std::move(to));
}

void LoopClient::on_gone(LiveConnection&) noexcept {
  --connections_;
  wait_for_release();
}

// The loop frees the connections at the end of the turn, and then this object, which is behind the
// last of them. If there is work before that, at_turn_end() calls this again.
void LoopClient::wait_for_release() noexcept {
  if (connections_ > 0 || self_ == nullptr || todo_ != Todo::nothing) return;
  core().retire(*this);
}

// This may destroy the object.
void LoopClient::on_retired() noexcept {
  if (connections_ == 0) std::exchange(self_, nullptr).reset();
}

}  // namespace tern::client
