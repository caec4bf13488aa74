// The peer has no clock of its own: all deadlines of its engine are off, so only those of the
// server end a connection.
#include "server/test_connection.h"

#include "http/token.h"

#include <algorithm>
#include <array>
#include <new>
#include <stdexcept>

namespace tern::server {
namespace {

constexpr auto never = Timeouts::Duration::max();

EngineOptions client_options() {
  EngineOptions options;
  options.limits.max_message_bytes = std::size_t{1} << 30;
  options.limits.max_queued_bytes = std::size_t{1} << 30;
  options.limits.max_head_bytes = std::size_t{1} << 20;
  options.limits.max_header_fields = 1000;
  options.timeouts = {.handshake = never,
                      .silence = never,
                      .pong = never,
                      .close = never,
                      .stall = never,
                      .http_idle = never};
  return options;
}

// The chunks of a body, RFC 9112 §7.1, without their sizes. tern wrote them, so a fault ends them.
std::string without_chunks(std::string_view rest) {
  std::string body;
  for (;;) {
    std::size_t size = 0;
    const std::size_t line = rest.find("\r\n");
    if (line == rest.npos) return body;
    for (const char c : rest.substr(0, line)) {
      size = size * 16 + static_cast<std::size_t>(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    rest.remove_prefix(line + 2);
    body += rest.substr(0, size);
    if (size == 0 || rest.size() < size + 2) return body;
    rest.remove_prefix(size + 2);
  }
}

std::string text_of(Event::Kind kind, Message message) {
  const std::string payload(message.text());
  if (kind == Event::Kind::ping) return "ping " + payload;
  if (kind == Event::Kind::pong) return "pong " + payload;
  return (message.is_text() ? "text " : "binary ") + payload;
}

}  // namespace

TestConnection::TestConnection(net::Fd socket, std::string request, bool head_only)
    : options_(client_options()), raw_(std::move(request)), head_only_(head_only) {
  transport_.emplace(std::move(socket));
  head_.start(http::HeadParser::Kind::response, options_.limits);
}

// ---- the answer

std::string_view TestConnection::header(std::string_view name) const noexcept {
  const auto found = std::ranges::find_if(
      fields_, [&](const auto& field) { return http::iequals(field.first, name); });
  return found == fields_.end() ? std::string_view() : std::string_view(found->second);
}

std::string TestConnection::body() const {
  const bool chunked = http::iequals(header("Transfer-Encoding"), "chunked");
  return chunked ? without_chunks(body_) : body_;
}

std::optional<std::string> TestConnection::take() {
  if (received_.empty()) return {};
  std::string first = std::move(received_.front());
  received_.pop_front();
  return first;
}

// ---- what the peer does

Engine& TestConnection::opened() {
  if (engine_) return *engine_;
  throw std::runtime_error("there is no WebSocket: the answer is " + std::to_string(status_));
}

void TestConnection::send(Message message) { opened().send(message, {.check_text = false}); }

void TestConnection::ping(std::string_view payload) {
  opened().ping(std::as_bytes(std::span(payload)));
}

void TestConnection::close(CloseCode code, std::string_view reason) {
  opened().close(code, reason);
}

void TestConnection::drop() noexcept { end(); }

void TestConnection::send_bytes(std::string_view bytes) { raw_ += bytes; }

// ---- bytes

bool TestConnection::move(TimePoint now) {
  if (state_ == State::ended) return false;
  if (engine_) engine_->advance(now);
  const bool wrote = write(now);
  const bool got = state_ != State::ended && !stalled_ && !server_ended_ && read(now);
  if (state_ == State::open && engine_->finished()) {
    take_frames({}, now);  // a write may be what ended it, after all that was read
    end();
  }
  return wrote || got || state_ == State::ended;
}

// Returns the bytes that the server took; 0 if it takes none now.
std::size_t TestConnection::write_some(std::span<const iovec> pieces, TimePoint now) {
  const net::Transport::Transfer put = transport_->write(pieces);
  if (put.state == net::Transport::State::failed) on_ended(now, put.error);
  return put.bytes;
}

// Frames that wait go before bytes that the test sends as they are.
bool TestConnection::write(TimePoint now) {
  bool any = false;
  while (engine_ && engine_->queued_bytes() > 0) {
    const std::size_t taken = write_some(engine_->output(), now);
    if (taken == 0) return any;
    engine_->consume_output(taken);
    any = true;
  }
  while (!raw_.empty()) {
    const iovec piece{raw_.data(), raw_.size()};
    const std::size_t taken = write_some({&piece, 1}, now);
    if (taken == 0) return any;
    raw_.erase(0, taken);
    any = true;
  }
  return any;
}

bool TestConnection::read(TimePoint now) {
  bool any = false;
  std::array<std::byte, 16384> buffer;
  while (state_ != State::ended) {
    const iovec space{buffer.data(), buffer.size()};
    const net::Transport::Transfer got = transport_->read({&space, 1});
    if (got.state == net::Transport::State::wait_read) return any;
    any = true;
    if (got.state != net::Transport::State::ok) {
      on_ended(now, got.error);
      return any;
    }
    std::span<std::byte> input = std::span(buffer).first(got.bytes);
    if (state_ == State::head) take_head(input);
    if (state_ == State::body) {
      body_.append(reinterpret_cast<const char*>(input.data()), input.size());
    } else if (state_ == State::open) {
      take_frames(input, now);
    }
  }
  return any;
}

// The server has ended TCP: properly, or by an error. The engine still answers a Close frame.
void TestConnection::on_ended(TimePoint now, std::error_code error) {
  server_ended_ = true;
  if (!engine_) return end();
  error ? engine_->feed_error(error) : engine_->feed_eof();
  take_frames({}, now);
}

void TestConnection::take_head(std::span<std::byte>& input) {
  input = input.subspan(head_.feed(input));
  if (head_.status() == http::HeadParser::Status::failed) return end();
  if (head_.status() != http::HeadParser::Status::done) return;
  const ResponseHead head = head_.response();
  const bool interim = head.status < 200 && head.status != 101;
  if (interim) {
    head_.start(http::HeadParser::Kind::response, options_.limits);
    return take_head(input);
  }
  status_ = head.status;
  for (const HeaderField& field : head.fields) fields_.emplace_back(field.name, field.value);
  state_ = State::body;
  if (head_only_) input = {};
  if (status_ != 101) return;
  auto engine =
      Engine::established(Role::client, {.protocol = std::string(header("Sec-WebSocket-Protocol"))},
                          options_, workspace_);
  if (!engine) throw std::bad_alloc();
  engine_.emplace(*std::move(engine));
  state_ = State::open;
}

void TestConnection::take_frames(std::span<std::byte> input, TimePoint now) {
  engine_->advance(now);
  engine_->feed(0, input);
  while (const Event event = engine_->next()) {
    switch (event.kind()) {
      case Event::Kind::message:
      case Event::Kind::ping:
      case Event::Kind::pong:
        received_.push_back(text_of(event.kind(), event.message()));
        break;
      case Event::Kind::closed:
        record_end();
        break;
      default:
        break;
    }
  }
  engine_->settle();
}

void TestConnection::record_end() {
  const CloseInfo& info = engine_->close_info();
  if (info.code == CloseCode::abnormal) {
    received_.push_back("end");
    return;
  }
  std::string text = "close " + std::to_string(static_cast<int>(info.code));
  if (!info.reason.empty()) text += ' ' + info.reason;
  received_.push_back(std::move(text));
}

void TestConnection::end() noexcept {
  state_ = State::ended;
  transport_.reset();
}

}  // namespace tern::server
